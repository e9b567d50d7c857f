"""Seasonal adjustment of contexts: the season is taken out before the forecast and put back after, as in Theta.

Classical additive decomposition (centred moving average, then the mean of each phase), only where the autocorrelation
at the seasonal lag is significant at 90 %, the test of M4's Theta method (Assimakopoulos & Nikolopoulos 2000;
Makridakis et al. 2020).

Shapes: B batch, C channels, T context, H prediction length, S steps of a season.
"""

import torch
from torch import Tensor
from torch.nn import functional

_THRESHOLD = 1.645  # standard errors of the autocorrelation: 90 % of a normal distribution
_LEAST_SEASONS = 3


def seasonal_component(values: Tensor, observed: Tensor, season: int) -> Tensor:
    """Return what each phase of the season adds [B, C, S]; 0 throughout where there is no significant season.

    The first phase is that of the step after the last one.

    Args:
        values: [B, C, T].
        observed: [B, C, T], not 0 where observed.
        season: S.
    """
    length = values.shape[-1]
    if season == 1 or length < _LEAST_SEASONS * season:
        return values.new_zeros(*values.shape[:-1], season)
    seen = (observed != 0) & ~values.isnan()
    values = torch.where(seen, values, 0.0)
    detrended, known = _detrended(values, seen, season)
    phase = (torch.arange(length, device=values.device) - length) % season
    members = functional.one_hot(phase, season).to(values.dtype)  # [T, S]
    count = known.to(values.dtype) @ members
    means = (detrended @ members) / count.clamp(min=1)
    means = means - means.mean(dim=-1, keepdim=True)
    usable = (count > 0).all(dim=-1, keepdim=True) & _is_seasonal(values, seen, season)
    return torch.where(usable, means, 0.0)


def repeat_season(component: Tensor, steps: Tensor) -> Tensor:
    """Return what a seasonal component [B, C, S] adds to steps [L], counted from the step after the context."""
    return component[..., steps % component.shape[-1]]


def _detrended(values: Tensor, seen: Tensor, season: int) -> tuple[Tensor, Tensor]:
    """Return values less their moving average over one season, 0 where that is not known, and where it is."""
    weights = torch.ones(season + 1 - season % 2, dtype=values.dtype, device=values.device)
    if season % 2 == 0:
        weights[0] = weights[-1] = 0.5
    kernel = weights.reshape(1, 1, -1)
    reach = len(weights) // 2
    rows = torch.stack([values, seen.to(values.dtype)]).flatten(0, 2).unsqueeze(1)  # [2 B C, 1, T]
    sums = functional.conv1d(functional.pad(rows, (reach, reach)), kernel).squeeze(1).unflatten(0, (2, *seen.shape[:2]))
    known = seen & (sums[1] > season - 0.25)
    return torch.where(known, values - sums[0] / season, 0.0), known


def _is_seasonal(values: Tensor, seen: Tensor, season: int) -> Tensor:
    """Return whether the autocorrelation at the seasonal lag is significant, [B, C, 1]."""
    count = seen.sum(dim=-1, keepdim=True)
    centred = torch.where(seen, values - values.sum(dim=-1, keepdim=True) / count.clamp(min=1), 0.0)
    energy = centred.square().sum(dim=-1, keepdim=True)
    lags = [(centred[..., lag:] * centred[..., :-lag]).sum(dim=-1, keepdim=True) for lag in range(1, season + 1)]
    correlations = torch.cat(lags, dim=-1) / torch.where(energy > 0, energy, 1.0)
    spread = (1 + 2 * correlations[..., :-1].square().sum(dim=-1, keepdim=True)) / count.clamp(min=1)
    return (count >= _LEAST_SEASONS * season) & (correlations[..., -1:].abs() > _THRESHOLD * spread.sqrt())
