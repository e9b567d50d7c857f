"""How long a series keeps a shape: the longest stretch of steps at which a convolution is above its threshold.

One of the pools of MultiRocket (Tan, Dempster, Bergmeir & Webb 2022, "longest stretch of positive values"), on the
kernels and thresholds of `Convolutions`, of a series and of its first differences.

Shapes: S series, B batch, C channels, L steps, J kernels, F features.
"""

import torch
from torch import Tensor, nn

from tracetune.heads.convolutions import Convolutions
from tracetune.heads.kernel_counts import SERIES_AT_ONCE


class LongestStretches(nn.Module):
    """Features [B, F] of series [B, C, L]: longest stretches above thresholds, as shares of the steps.

    Args:
        channels: C.
        length: L, at least 10.
        features: most of them of the series, and as many of its differences, see `Convolutions`.
    """

    def __init__(self, channels: int, length: int, features: int) -> None:
        super().__init__()
        self.length = length
        self.levels = Convolutions(channels, length, features)
        self.differences = Convolutions(channels, length - 1, features)

    @property
    def features(self) -> int:
        """Return F."""
        return self.levels.features + self.differences.features

    def learn(self, values: Tensor) -> None:
        """Take thresholds from series [S, C, L] without labels."""
        self.levels.learn(values)
        self.differences.learn(values.diff(dim=-1))

    def forward(self, values: Tensor) -> Tensor:
        """Return features [B, F] of series [B, C, L]; missing values count as the mean of their channel."""
        return torch.cat([self._features(part) for part in values.split(SERIES_AT_ONCE)])

    def _features(self, values: Tensor) -> Tensor:
        inputs = ((self.levels, values), (self.differences, values.diff(dim=-1)))
        found = [longest_stretch(above) for module, given in inputs for above, _ in module.above(given)]
        return torch.stack(found, dim=1).flatten(1)


def longest_stretch(above: Tensor) -> Tensor:
    """Return the longest run of 1 along the last dimension, as a share of it, from 0 and 1 [..., L].

    Its gradient is that of the steps of the run, the first such where there are several, and of the two beside it.
    """
    steps = torch.arange(1, above.shape[-1] + 1, dtype=torch.int32, device=above.device)
    last_below = torch.where(above.detach() > 0, torch.zeros_like(steps), steps).cummax(dim=-1).values
    longest, end = (steps - last_below).max(dim=-1, keepdim=True)
    if not above.requires_grad:
        return longest.squeeze(-1).to(above.dtype) / above.shape[-1]
    places = steps - 1
    of_run = (places >= end - longest) & (places <= end + 1)
    return (above * of_run).mean(dim=-1)
