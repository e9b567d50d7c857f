"""Instance normalisation, which every backbone shares: location and scale of each series, gaps, masks.

Statistics are returned instead of kept on a module, so that calls may interleave.
"""

from dataclasses import dataclass

import torch
from torch import Tensor

_EPSILON = 1e-5  # added to the deviation, as RevIN does


@dataclass(frozen=True)
class InstanceStatistics:
    """Location and scale of each input series, as its normalisation found them.

    Attributes:
        location: [B, C, 1] mean of the observed steps.
        scale: [B, C, 1] standard deviation of the observed steps, positive.
    """

    location: Tensor
    scale: Tensor

    def denormalise(self, values: Tensor) -> Tensor:
        """Map values [B, C, L] from the normalised space back to the units of the input."""
        return values * self.scale + self.location


def normalise(values: Tensor, visible: Tensor) -> tuple[Tensor, InstanceStatistics]:
    """Normalise values [B, C, T] over their visible steps (RevIN without its affine part), and return the statistics.

    Always in float32. A series without visible steps has location 0 and scale 1. Missing values become 0.
    """
    count = visible.sum(dim=-1, keepdim=True)
    shown = torch.where(visible, values, 0.0)
    location = shown.sum(dim=-1, keepdim=True) / count.clamp(min=1)
    variance = torch.where(visible, values - location, 0.0).square().sum(dim=-1, keepdim=True) / count.clamp(min=1)
    scale = torch.where(count > 0, variance.sqrt() + _EPSILON, 1.0)
    normalised = torch.nan_to_num((values - location) / scale, nan=0.0, posinf=0.0, neginf=0.0)
    return normalised, InstanceStatistics(location, scale)


def interpolate_gaps(values: Tensor, observed: Tensor) -> Tensor:
    """Fill unobserved steps of [B, C, T] linearly between their observed neighbours; edges repeat the nearest."""
    length = values.shape[-1]
    steps = torch.arange(length, device=values.device).expand(values.shape)
    before = torch.where(observed, steps, -1).cummax(dim=-1).values
    after = torch.where(observed, steps, length).flip(-1).cummin(dim=-1).values.flip(-1)
    left = torch.where(before >= 0, before, after).clamp(max=length - 1)
    right = torch.where(after < length, after, left)
    start, end = values.gather(-1, left), values.gather(-1, right)
    share = (steps - left) / (right - left).clamp(min=1)
    return torch.where(
        observed, values, torch.where(observed.any(-1, keepdim=True), start + share * (end - start), 0.0)
    )


def per_channel(mask: Tensor, values: Tensor) -> Tensor:
    """Expand a mask shared by channels, [B, L], to [B, C, L]."""
    return mask.unsqueeze(1).expand(-1, values.shape[1], -1) if mask.ndim == 2 else mask
