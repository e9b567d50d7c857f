"""Features of a series by random kernels that compete: how strongly each wins, and how often it loses.

These are the features of Hydra (Dempster, Schmidt & Webb, "Hydra: competing convolutional kernels for fast and accurate
time series classification", 2023). Kernels of nine normal weights with sum 0 stand in groups of eight. At each step of
a dilated convolution one kernel of a group has the largest response, and one the smallest. A kernel has two features:
the mean over all steps of the responses with which it wins, and the share of steps at which it loses, both as square
roots. The series and its first differences have groups of their own.

Different from the paper: channels are standardised by the mean and the deviation of all series, as in `Convolutions`;
kernels are always the same, whatever the seed.

Shapes: S series, B batch, C channels, L steps, G groups, F features.
"""

import math
from collections.abc import Iterator

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional

from tracetune.heads.kernel_counts import GROUP, SERIES_AT_ONCE, TAPS
from tracetune.heads.series_channels import channels_read, level_and_deviation

_REPRESENTATIONS = 2  # the series, and its differences
_STEEPNESS = 3.0  # of the soft competition that stands in for the hard one in gradients
_GENTLE = 0.03  # under the root, in gradients alone


class CompetingKernels(nn.Module):
    """Features [B, F] of series [B, C, L]: how strongly each kernel wins, and how often it loses, in square roots.

    Args:
        channels: C. Each group reads a few of them, drawn once and for all.
        length: L, at least 10.
        kernels: of each dilation and representation; rounded down to a multiple of eight.
    """

    location: Tensor
    scale: Tensor
    kernels: Tensor
    read: Tensor

    def __init__(self, channels: int, length: int, kernels: int) -> None:
        super().__init__()
        self.length = length
        self.dilations = tuple(2**power for power in range(int(math.log2((length - 1) / (TAPS - 1))) + 1))
        self.groups = kernels // GROUP
        rows = len(self.dilations) * _REPRESENTATIONS
        self.register_buffer("location", torch.zeros(channels))
        self.register_buffer("scale", torch.ones(channels))
        self.register_buffer("kernels", _kernels(rows, self.groups), persistent=False)
        self.register_buffer("read", channels_read(rows, self.groups, channels))

    @property
    def features(self) -> int:
        """Return F."""
        return len(self.kernels) * self.groups * GROUP * 2

    @torch.no_grad()
    def learn(self, values: Tensor) -> None:
        """Take level and deviation of each channel from series [S, C, L] without labels."""
        location, scale = level_and_deviation(values)
        self.location.copy_(location)
        self.scale.copy_(scale)

    def forward(self, values: Tensor) -> Tensor:
        """Return features [B, F] of series [B, C, L]; missing values count as the mean of their channel."""
        return torch.cat([self._features(part) for part in values.split(SERIES_AT_ONCE)])

    def _features(self, values: Tensor) -> Tensor:
        found = [part for responses in self._responses(values) for part in (_won(responses), _lost(responses))]
        return gentle_root(torch.cat(found, dim=1))

    def _responses(self, values: Tensor) -> Iterator[Tensor]:
        """Yield responses [B, G, 8, L] of all kernels at each dilation, to the series and to its differences."""
        standard = torch.nan_to_num((values - self.location[:, None]) / self.scale[:, None])
        rows = iter(zip(self.kernels, self.read, strict=True))
        for dilation in self.dilations:
            for given in (standard, standard.diff(dim=-1)):
                kernels, read = next(rows)
                added = given if len(self.location) == 1 else torch.einsum("gc,bcl->bgl", read, given)
                yield _convolved(added, kernels, dilation)


def gentle_root(values: Tensor) -> Tensor:
    """Return roots, with the gradient of the root of values + 0.03.

    A root is infinitely steep at 0: what hardly ever happens would outweigh all else that speaks for a class.
    """
    roots = values.detach().sqrt()
    if not values.requires_grad:
        return roots
    smooth = (values + _GENTLE).sqrt()
    return roots + (smooth - smooth.detach())


def _convolved(values: Tensor, kernels: Tensor, dilation: int) -> Tensor:
    """Return responses [B, G, 8, L] of kernels [G, 8, 9] to series [B, 1 or G, L], zeros around them."""
    groups, padding = values.shape[1], TAPS // 2 * dilation
    weights = kernels.flatten(0, 1).unsqueeze(1)
    found = functional.conv1d(values, weights, dilation=dilation, padding=padding, groups=groups)
    return found.unflatten(1, kernels.shape[:2])


def _won(responses: Tensor) -> Tensor:
    """Return the mean over steps of the responses with which each kernel wins its group, [B, 8 G]."""
    wins = responses.detach() == responses.detach().amax(dim=2, keepdim=True)
    return (responses.clamp(min=0) * wins).mean(dim=-1).flatten(1)


def _lost(responses: Tensor) -> Tensor:
    """Return the share of steps at which each kernel loses in its group, [B, 8 G].

    Backwards it is the softmax of the group, since a competition has no gradient.
    """
    losses = (responses.detach() == responses.detach().amin(dim=2, keepdim=True)).to(responses.dtype)
    if responses.requires_grad:
        unit = responses.detach().std().clamp(min=torch.finfo(responses.dtype).tiny)
        soft = torch.softmax(-_STEEPNESS * responses / unit, dim=2)
        losses = losses + (soft - soft.detach())
    return losses.mean(dim=-1).flatten(1)


def _kernels(rows: int, groups: int) -> Tensor:
    """Return weights [rows, G, 8, 9], their sum 0 and that of their sizes 1."""
    # the stream of RandomState never changes, so that a saved head finds its kernels again
    drawn = np.random.RandomState(0).standard_normal((rows, groups, GROUP, TAPS))
    drawn -= drawn.mean(axis=-1, keepdims=True)
    return torch.from_numpy(drawn / np.abs(drawn).sum(axis=-1, keepdims=True)).float()
