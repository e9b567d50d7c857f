"""Alarm thresholds from scores alone, without labels.

Peaks over threshold (Pickands 1975; for alarms Siffer et al., KDD 2017): excesses over a high quantile follow a
generalised Pareto distribution, which says where a score is exceeded with a given small probability.
"""

from dataclasses import dataclass

import numpy as np
import pandas as pd
from scipy.optimize import minimize_scalar

from tracetune.base.errors import InputError, argument

_FEWEST_PEAKS = 10
_LEAST_SHAPE = -0.5  # below, maximum likelihood is not regular (Smith 1985)


@dataclass(frozen=True)
class ParetoTail:
    """A generalised Pareto distribution of excesses y >= 0: P(Y > y) = (1 + shape y / scale)^(-1 / shape).

    Attributes:
        shape: 0 is the exponential distribution, above 0 the tail is heavy.
        scale: positive, in units of the scores.
    """

    shape: float
    scale: float

    def rarity(self, excesses: np.ndarray) -> np.ndarray:
        """Return -log of the probability [K] that excesses [K] >= 0 are exceeded; infinite beyond the end of a tail."""
        if abs(self.shape) < 1e-9:
            return excesses / self.scale
        with np.errstate(divide="ignore"):
            return np.log(np.maximum(1 + self.shape * excesses / self.scale, 0)) / self.shape

    def quantile(self, probability: float) -> float:
        """Return the excess that is exceeded with this probability."""
        if abs(self.shape) < 1e-9:
            return -self.scale * float(np.log(probability))
        return self.scale / self.shape * (probability**-self.shape - 1)


def fit_pareto_tail(excesses: np.ndarray) -> ParetoTail:
    """Return the maximum-likelihood tail of positive excesses [K].

    Grimshaw (Technometrics 1993): with theta = shape / scale, the likelihood is highest for shape(theta) = mean of
    log(1 + theta y), which leaves one dimension, -log(shape / theta) - shape - 1 per excess, to search.
    """
    unit = float(excesses.mean())
    values = excesses / unit
    lowest, highest = -1 / values.max(), 1e3

    def loss(position: float) -> float:
        theta = lowest + np.exp(position)
        shape = float(np.log1p(theta * values).mean())
        if abs(theta) < 1e-9 or abs(shape) < 1e-9:
            return 1.0  # exponential: the mean is 1
        return (
            float(np.log(shape / theta) + shape + 1) if shape >= _LEAST_SHAPE else 1e9
        )  # infinity would spoil the search

    positions = np.linspace(np.log(1e-6), np.log(highest), 400)
    start = int(np.argmin([loss(position) for position in positions]))
    around = positions[max(start - 1, 0)], positions[min(start + 1, len(positions) - 1)]
    best = minimize_scalar(loss, bounds=around, method="bounded", options={"xatol": 1e-10})
    if not best.fun < 1.0:
        return ParetoTail(0.0, unit)
    theta = lowest + np.exp(best.x)
    shape = float(np.log1p(theta * values).mean())
    return ParetoTail(shape, shape / theta * unit)


def peaks_over_threshold(scores: np.ndarray, false_alarm_rate: float, tail_share: float = 0.02) -> float:
    """Return the score that normal steps exceed with probability ``false_alarm_rate``.

    Args:
        scores: [T] finite scores of normal steps.
        false_alarm_rate: share of normal steps that may raise an alarm, such as 1e-4.
        tail_share: share of the highest scores that the tail is fitted to.

    Raises:
        InputError: rates outside (0, 1), or too few scores for a tail.
    """
    if not 0 < false_alarm_rate < tail_share < 1:
        raise InputError(
            f"Expected 0 < {argument('false_alarm_rate')} < tail_share < 1, found {false_alarm_rate} and {tail_share}. "
            "A rate such as 0.0001 means one false alarm in 10,000 steps."
        )
    scores = np.asarray(scores, float)
    base = float(np.quantile(scores, 1 - tail_share))
    excesses = scores[scores > base] - base
    if np.ptp(scores) == 0:
        return float(np.nextafter(scores[0], np.inf))
    if len(excesses) < _FEWEST_PEAKS:
        raise InputError(
            f"Expected at least {_FEWEST_PEAKS} scores above the {1 - tail_share:.0%} quantile to fit their tail, "
            f"found {len(excesses)} of {len(scores)}. Give more normal steps, or a larger tail_share."
        )
    return base + fit_pareto_tail(excesses).quantile(false_alarm_rate * len(scores) / len(excesses))


def rolling_quantile(scores: np.ndarray, window: int, level: float) -> np.ndarray:
    """Return thresholds [T]: the quantile ``level`` of the ``window`` scores before each step; infinite before those.

    Raises:
        InputError: a window below 2 steps, or a level outside (0, 1).
    """
    if window < 2 or not 0 < level < 1:
        raise InputError(f"Expected a window of at least 2 steps and a level in (0, 1), found {window} and {level}.")
    thresholds = pd.Series(scores).rolling(window).quantile(level).shift(1)
    return thresholds.fillna(np.inf).to_numpy()
