"""Shares of a series whose shape is alike: 84 short kernels, dilated, and how often each is above a threshold.

These are the features of MiniRocket (Dempster, Schmidt & Webb, KDD 2021): every kernel has nine weights, three of them
2 and six of them -1, so that its sum is 0 and the level of a series says nothing; a feature is the share of steps at
which the convolution is above a threshold. They know nothing but the series itself, and so see what a backbone that was
pretrained on others does not.

Different from the paper: thresholds are quantiles over several series instead of one each, so that nothing is drawn;
channels are standardised by the mean and the deviation of all series, so that those of different units can be added.

Shapes: B batch, C channels, L steps, J kernels, F features.
"""

from collections.abc import Iterator
from itertools import combinations

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional

from tracetune.heads.kernel_counts import HEAVY_TAPS, KERNELS, SERIES_AT_ONCE, TAPS
from tracetune.heads.series_channels import channels_read, level_and_deviation
from tracetune.heads.step_gradient import above_zero

_EXAMPLES = 32  # series whose convolutions give the thresholds
_VALUES = 2048  # of each convolution, evenly spread over these series; their quantiles are the thresholds
_GOLDEN = (5**0.5 - 1) / 2


class Convolutions(nn.Module):
    """Features [B, F] of series [B, C, L]: shares of steps at which a convolution is above a threshold.

    Half of the kernels read the whole series, zeros around it; the other half only steps at which all taps lie inside.

    Args:
        channels: C. Each kernel reads a few of them, drawn once and for all, of each dilation others.
        length: L, at least 9.
        features: most of them; F is the largest multiple of 84 below.
    """

    location: Tensor
    scale: Tensor
    thresholds: Tensor
    deviations: Tensor
    read: Tensor

    def __init__(self, channels: int, length: int, features: int) -> None:
        super().__init__()
        self.length = length
        self.dilations = _dilations(length, features // KERNELS)
        self.register_buffer("location", torch.zeros(channels))
        self.register_buffer("scale", torch.ones(channels))
        self.register_buffer("thresholds", torch.zeros(sum(self.dilations.values()), KERNELS))
        self.register_buffer("deviations", torch.ones(len(self.dilations), KERNELS))
        self.register_buffer("read", channels_read(len(self.dilations), KERNELS, channels))

    @property
    def features(self) -> int:
        """Return F."""
        return self.thresholds.numel()

    @torch.no_grad()
    def learn(self, values: Tensor) -> None:
        """Take level and deviation of each channel, and the thresholds, from series [S, C, L] without labels."""
        location, scale = level_and_deviation(values)
        self.location.copy_(location)
        self.scale.copy_(scale)
        chosen = np.linspace(0, len(values) - 1, min(_EXAMPLES, len(values))).round().astype(int)
        examples = self._standard(values[chosen])
        quantiles = torch.from_numpy((np.arange(1, self.features + 1) * _GOLDEN % 1).astype(np.float32))
        quantiles = quantiles.to(values.device).view_as(self.thresholds)
        first = 0
        for number, (dilation, each) in enumerate(self.dilations.items()):
            found = self._convolved(examples, number, dilation).transpose(0, 1).flatten(1)  # [J, B L]
            found = found[:, :: found.shape[1] // _VALUES | 1]  # an odd step meets other places in each series
            self.deviations[number] = found.std(dim=1).clamp(min=torch.finfo(found.dtype).tiny)
            ranks = (quantiles[first : first + each].T * (found.shape[1] - 1)).round().long()
            self.thresholds[first : first + each] = found.sort(dim=1).values.gather(1, ranks).T
            first += each

    def forward(self, values: Tensor) -> Tensor:
        """Return features [B, F] of series [B, C, L]; missing values count as the mean of their channel."""
        return torch.cat([self._shares(part) for part in values.split(SERIES_AT_ONCE)])

    def _shares(self, values: Tensor) -> Tensor:
        found = [(above * weights).sum(dim=-1) for above, weights in self.above(values)]
        return torch.stack(found, dim=1).flatten(1)

    def above(self, values: Tensor) -> Iterator[tuple[Tensor, Tensor]]:
        """Yield, for each threshold, at which steps of series [B, C, L] the convolutions are above it.

        Yields:
            1 or 0 [B, J, L], and the weights [J, L] with which steps count in a share.
        """
        standard = self._standard(values)
        thresholds = self.thresholds.split(list(self.dilations.values()))
        for number, dilation in enumerate(self.dilations):
            convolved, weights = self._convolved(standard, number, dilation), self._weights(number, dilation)
            for threshold in thresholds[number]:
                yield above_zero(convolved - threshold[:, None], self.deviations[number][:, None]), weights

    def _standard(self, values: Tensor) -> Tensor:
        return torch.nan_to_num((values - self.location[:, None]) / self.scale[:, None])

    def _convolved(self, values: Tensor, number: int, dilation: int) -> Tensor:
        """Return convolutions [B, J, L] of standardised series [B, C, L] at one dilation, zeros around them."""
        reach = TAPS // 2 * dilation
        padded = functional.pad(values, (reach, reach))
        taps = torch.stack([padded[..., tap * dilation :][..., : values.shape[-1]] for tap in range(TAPS)], dim=1)
        kernels = _kernels().to(values)
        if len(self.location) == 1:
            return torch.einsum("jt,btl->bjl", kernels, taps[:, :, 0])
        return torch.einsum("jt,jc,btcl->bjl", kernels, self.read[number].to(values), taps)

    def _weights(self, number: int, dilation: int) -> Tensor:
        """Return the weight [J, L] of each step in a share."""
        inner = torch.zeros(self.length, device=self.thresholds.device)
        reach = min(TAPS // 2 * dilation, (self.length - 1) // 2)
        inner[reach : self.length - reach] = 1
        whole = torch.ones_like(inner)
        of_half = torch.stack([whole / whole.sum(), inner / inner.sum()])
        return of_half[(torch.arange(KERNELS, device=inner.device) + number) % 2]


def _dilations(length: int, per_kernel: int) -> dict[int, int]:
    """Return dilations from 1 to the longest that fits, evenly spread in their logarithm, and thresholds of each."""
    longest = np.log2((length - 1) / (TAPS - 1))
    found, counts = np.unique(np.logspace(0, longest, per_kernel, base=2).astype(int), return_counts=True)
    return dict(zip(found.tolist(), counts.tolist(), strict=True))


def _kernels() -> Tensor:
    """Return the weights [J, 9]."""
    kernels = torch.full((KERNELS, TAPS), -1.0)
    for row, heavy in zip(kernels, combinations(range(TAPS), HEAVY_TAPS), strict=True):
        row[list(heavy)] = 2.0
    return kernels
