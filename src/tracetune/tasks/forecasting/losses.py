"""Losses of forecasts, one a sample.

Shapes: B batch, C channels, H horizon, Q quantiles.
"""

from collections.abc import Sequence

import torch
from torch import Tensor


def squared_error_per_sample(forecast: Tensor, future_values: Tensor, future_mask: Tensor | None) -> Tensor:
    """Return the mean squared error [B] of forecasts [B, C, H] over the observed future steps."""
    errors = (forecast - future_values).square()
    if future_mask is None:
        return errors.flatten(1).mean(dim=1)
    return (errors * future_mask).flatten(1).sum(dim=1) / future_mask.flatten(1).sum(dim=1).clamp(min=1)


def quantile_loss_per_sample(
    quantiles: Tensor, levels: Sequence[float], future_values: Tensor, future_mask: Tensor | None
) -> Tensor:
    """Return twice the quantile loss [B] of quantiles [B, C, H, Q], mean over levels and observed future steps.

    Koenker & Bassett 1978: q (y - f) where the value y is above the quantile f, else (1 - q) (f - y). Twice, so that at
    the median it is the absolute error.
    """
    level = torch.tensor(levels, dtype=quantiles.dtype, device=quantiles.device)
    above = future_values.unsqueeze(-1) - quantiles
    losses = 2 * torch.maximum(level * above, (level - 1) * above).mean(dim=-1)  # [B, C, H]
    if future_mask is None:
        return losses.flatten(1).mean(dim=1)
    return (losses * future_mask).flatten(1).sum(dim=1) / future_mask.flatten(1).sum(dim=1).clamp(min=1)
