"""Trend and season that are taken out of contexts before a backbone reads them, and put back into its forecasts.

A straight line by least squares, as in the Theta method (Assimakopoulos & Nikolopoulos 2000), which forecasts half of
it; and the season of tasks/forecasting/seasonality.py, which is taken out first.

Shapes: B batch, C channels, T context, H prediction length.
"""

from dataclasses import dataclass

import torch
from torch import Tensor

from tracetune.base.argument_types import checked_fields
from tracetune.base.errors import InputError, argument
from tracetune.tasks.forecasting.seasonality import repeat_season, seasonal_component

_LEAST_STEPS = 3  # a line through two is no trend


@checked_fields
@dataclass(frozen=True)
class Adjustment:
    """Trend and season that the backbone does not see, because they are taken out before and put back after.

    >>> from tracetune import Adjustment, Forecaster
    >>> half_the_trend = Adjustment(trend=0.5, season=12)
    >>> Forecaster.from_pretrained("tracetune/tiny", 12, adjustment=half_the_trend).adjustment.trend
    0.5

    Attributes:
        trend: share of the straight line through the context, from 0 (none) to 1 (all of it).
        season: steps of the season, where the context has one; 1 for none.
    """

    trend: float = 0.0
    season: int = 1

    def __post_init__(self) -> None:
        if not 0 <= self.trend <= 1:
            raise InputError(
                f"Expected {argument('trend', flag='--adjust-trend')} as a share from 0 to 1, found {self.trend}."
            )
        if self.season < 1:
            raise InputError(
                f"Expected {argument('season', flag='--adjust-season')} of at least 1 step, found {self.season}."
            )

    @property
    def changes(self) -> bool:
        """Return whether anything is taken out."""
        return self.trend > 0 or self.season > 1

    def apply(self, values: Tensor, observed: Tensor, prediction_length: int) -> tuple[Tensor, Tensor]:
        """Return values [B, C, T] without trend and season, and what both add to the H steps that come [B, C, H].

        Args:
            values: [B, C, T].
            observed: [B, C, T], not 0 where observed.
            prediction_length: H.
        """
        past = torch.arange(-values.shape[-1], 0, device=values.device)
        future = torch.arange(prediction_length, device=values.device)
        component = seasonal_component(values, observed, self.season)
        values = values - repeat_season(component, past)
        added = repeat_season(component, future)
        if self.trend > 0:
            slope = self.trend * slope_of(values, observed)
            values, added = values - slope * past, added + slope * future
        return values, added

    def describe(self) -> str:
        """Return what is taken out, in words; empty for nothing."""
        trend = "" if self.trend == 0 else f"{self.trend:.0%} of the trend"
        season = "" if self.season == 1 else f"a season of {self.season}"
        return " and ".join(part for part in (trend, season) if part)


UNADJUSTED = Adjustment()


def slope_of(values: Tensor, observed: Tensor) -> Tensor:
    """Return the slope a step [B, C, 1] of the least-squares line through the observed values; 0 for fewer than three.

    Args:
        values: [B, C, T].
        observed: [B, C, T], not 0 where observed.
    """
    seen = (observed != 0) & ~values.isnan()
    count = seen.sum(dim=-1, keepdim=True)
    steps = torch.arange(values.shape[-1], device=values.device, dtype=values.dtype).expand_as(values)

    def centred(what: Tensor) -> Tensor:
        shown = torch.where(seen, what, 0.0)
        return torch.where(seen, shown - shown.sum(dim=-1, keepdim=True) / count.clamp(min=1), 0.0)

    time = centred(steps)
    spread = time.square().sum(dim=-1, keepdim=True)
    slope = (time * centred(values)).sum(dim=-1, keepdim=True) / torch.where(spread > 0, spread, 1.0)
    return torch.where(count >= _LEAST_STEPS, slope, 0.0)
