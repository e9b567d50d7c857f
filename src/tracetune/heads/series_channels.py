"""Channels of series before kernels read them: brought to one unit, and how many a kernel adds up.

Shapes: S series, C channels, L steps, R rows of kernels, J kernels of a row.
"""

import numpy as np
import torch
from torch import Tensor

_MOST_CHANNELS = 9  # that one kernel reads


def level_and_deviation(values: Tensor) -> tuple[Tensor, Tensor]:
    """Return the mean and the deviation [C] of each channel over series [S, C, L]; missing values are left out.

    The deviation of a constant channel is 1.
    """
    known = torch.isfinite(values)
    count = known.sum(dim=(0, 2)).clamp(min=1)
    location = torch.nan_to_num(values).sum(dim=(0, 2)) / count
    centred = torch.nan_to_num(values - location[:, None])
    deviation = (centred.square().sum(dim=(0, 2)) / count).sqrt()
    return location, torch.where(deviation > 0, deviation, torch.ones_like(deviation))


def channels_read(rows: int, kernels: int, channels: int) -> Tensor:
    """Return which channels each kernel adds up, [R, J, C]: one, or a few, the fewer the likelier; always the same."""
    rng = np.random.default_rng(0)
    most = min(channels, _MOST_CHANNELS)
    read = torch.zeros(rows, kernels, channels)
    for row in read.view(-1, channels):
        count = int(2 ** rng.uniform(0, np.log2(most + 1)))
        row[rng.choice(channels, count, replace=False)] = 1.0
    return read
