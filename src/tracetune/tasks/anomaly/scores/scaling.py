"""Units: of values by the normal part's mean and deviation, of scores by their spread over the normal part."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

_ROUNDING = 1e-9
_FARTHEST = 1e15
LEAST_UNIT = 1e-4  # of scores: below, they differ by rounding


@dataclass(frozen=True)
class Scaling:
    """Mean and deviation of the observed values of a normal part.

    Attributes:
        location: mean.
        scale: deviation, positive; of a constant part a thousandth of its magnitude, so that small changes show.
    """

    location: float
    scale: float

    @classmethod
    def of(cls, values: np.ndarray) -> "Scaling":
        """Return that of values [T]; 0 and 1 where nothing was observed."""
        observed = values[np.isfinite(values)]
        if not len(observed):
            return cls(0.0, 1.0)
        unit = float(np.abs(observed).max()) or 1.0  # squares of values as large as 1e200 would overflow
        location, deviation = unit * float((observed / unit).mean()), unit * float((observed / unit).std())
        if deviation > _ROUNDING * abs(location):
            return cls(location, deviation)
        return cls(location, abs(location) / 1000 or 1.0)

    def scaled(self, values: np.ndarray) -> np.ndarray:
        """Return values in deviations from the mean, at most 1e15 of them: single precision holds their squares."""
        return np.clip((np.asarray(values, float) - self.location) / self.scale, -_FARTHEST, _FARTHEST)


@dataclass(frozen=True)
class Spread:
    """Median and spread of the scores of a normal part.

    Attributes:
        middle: their median.
        unit: their 0.99 quantile less the median, positive.
    """

    middle: float
    unit: float

    @classmethod
    def of(cls, scores: np.ndarray, flat: float = 1.0) -> "Spread":
        """Return that of the scores [T] that are not NaN; 0 and 1 without any.

        Of scores that differ by no more than rounding the unit is ``flat``.
        """
        known = scores[~np.isnan(scores)]
        if not len(known):
            return cls(0.0, 1.0)
        middle, high = np.quantile(known, [0.5, 0.99])
        unit = float(high - middle)
        return cls(float(middle), unit if unit > LEAST_UNIT else flat)

    def scaled(self, scores: np.ndarray) -> np.ndarray:
        """Return scores in these units."""
        return (scores - self.middle) / self.unit


def mean_of_known(scores: Sequence[np.ndarray], weights: Sequence[float] | None = None) -> np.ndarray:
    """Return the weighted mean [T] of several scores [T], over those that are not NaN; NaN where all are."""
    stacked = np.stack(scores)
    shares = np.ones(len(stacked)) if weights is None else np.asarray(weights, float)
    known = np.where(np.isnan(stacked), 0.0, shares[:, None])
    total = known.sum(0)
    sums = (np.where(np.isnan(stacked), 0.0, stacked) * known).sum(0)
    return np.where(total > 0, sums / np.where(total > 0, total, 1.0), np.nan)
