"""Scores of normal steps as a yardstick: how rare a score is, and which steps do not look normal."""

import math

import numpy as np

from tracetune.base.errors import InputError, argument
from tracetune.evaluation.anomaly.thresholds import ParetoTail, fit_pareto_tail

_TAIL_SHARE = 0.02
_FEWEST_PEAKS = 10
_FEWEST_BLOCKS = 4
_LEAST_UNIT = 1e-6  # scores of a part that is all the same differ by rounding


class NormalScores:
    """Scores of normal steps, and the tail that they go on with beyond the highest of them.

    Args:
        scores: [T]; those that are NaN are left out.
    """

    def __init__(self, scores: np.ndarray) -> None:
        self.ascending = np.sort(scores[~np.isnan(scores)])
        count = len(self.ascending)
        self.base, self.tail, self.tail_share = 0.0, ParetoTail(0.0, 1.0), 1 / (count + 1)
        self.fitted = False
        if not count:
            return
        share = max(_TAIL_SHARE, _FEWEST_PEAKS / count)
        base = float(np.quantile(self.ascending, max(1 - share, 0)))
        excesses = self.ascending[self.ascending > base] - base
        if share < 0.5 and len(excesses) >= _FEWEST_PEAKS // 2:
            self.fitted, self.base, self.tail_share = True, base, share
            # A tail that ends somewhere would call everything beyond its end equally rare.
            fitted = fit_pareto_tail(excesses)
            self.tail = fitted if fitted.shape > 0 else ParetoTail(0.0, float(excesses.mean()))
        else:  # beyond the highest, rarer by e for each distance of that from the median
            self.base = float(self.ascending[-1])
            self.tail = ParetoTail(0.0, self.base - float(np.median(self.ascending)) or 1.0)

    def rarity(self, scores: np.ndarray) -> np.ndarray:
        """Return -log [T] of the share of normal scores that are as high as scores [T]; NaN stays NaN.

        Below the lowest of them it is negative, so that scores are never equally rare for want of normal ones.
        """
        count = len(self.ascending)
        if not count:
            return np.where(np.isnan(scores), np.nan, 0.0)
        share = -math.log(self.tail_share)
        values, lower = np.unique(self.ascending, return_index=True)
        rarity = np.interp(scores, values, np.minimum(-np.log((count - lower + 1) / (count + 1)), share))
        below = np.minimum(scores - values[0], 0) / (np.median(values) - values[0] or 1.0)
        beyond = np.maximum(np.nan_to_num(scores, nan=self.base) - self.base, 0)
        return np.where(beyond > 0, share + self.tail.rarity(beyond), rarity + below)


def suspicious_stretches(
    scores: np.ndarray, reach: int, most: int = 5, risk: float = 0.01
) -> tuple[list[tuple[int, int]], np.ndarray]:
    """Return the stretches of a part called normal that do not look it, and which steps [T] are left without them.

    Scores near each other are alike, so the highest of every ``reach`` steps count. Above their median they are taken
    for exponentially distributed; a peak that one of them would reach with less than ``risk`` is suspicious, and the
    next one is looked at.

    Args:
        scores: [T] of the part, none compared with itself; NaN where there is none.
        reach: steps; what is farther than this from a step has no part in its score.
        most: stretches to look for.
        risk: of calling a normal part suspicious.
    """
    left = np.isfinite(scores)
    found: list[tuple[int, int]] = []
    for _ in range(most):
        peak = int(np.argmax(np.where(left, scores, -np.inf)))
        near = slice(max(peak - reach, 0), peak + reach + 1)
        others = left.copy()
        others[near] = False
        highest = _block_maxima(scores[others], reach)
        if len(highest) < _FEWEST_BLOCKS:
            break
        middle = np.median(highest)
        above = highest[highest >= middle] - middle
        total = max(float(above.sum()), _LEAST_UNIT)
        # An exponential distribution of which no more is known than these values exceeds x with (1 + x / sum)^-count.
        if len(highest) / 2 * (1 + (scores[peak] - middle) / total) ** -len(above) > risk:
            break
        found.append(_run_around(peak, (scores > highest.max()) & left))
        left = others
    return sorted(found), left


def _block_maxima(scores: np.ndarray, steps: int) -> np.ndarray:
    """Return the highest of every ``steps`` scores [T], in order; what is left at the end is passed over."""
    blocks = len(scores) // steps
    return scores[: blocks * steps].reshape(blocks, steps).max(axis=1)


def _run_around(step: int, high: np.ndarray) -> tuple[int, int]:
    """Return the first step, and that after the last, of the run of true values [T] around a step."""
    before, after = np.flatnonzero(~high[:step]), np.flatnonzero(~high[step + 1 :])
    start = int(before[-1]) + 1 if len(before) else 0
    return start, step + 1 + (int(after[0]) if len(after) else len(high) - step - 1)


def require_false_alarm_rate(rate: float) -> None:
    """Refuse a share of normal steps that raise an alarm which is no share of few.

    Raises:
        InputError: it is outside (0, 0.25).
    """
    if not 0 < rate < 0.25:
        raise InputError(
            f"Expected {argument('false_alarm_rate')} between 0 and 0.25, found {rate}. 0.001 means one step in 1,000 "
            "normal ones."
        )
