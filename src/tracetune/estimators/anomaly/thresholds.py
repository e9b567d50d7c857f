"""Rules that raise alarms from scores, without labels."""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

import numpy as np
import pandas as pd

from tracetune.base.argument_types import checked_fields
from tracetune.base.errors import InputError, Remark, argument, shown
from tracetune.estimators.anomaly.series_scores import Scores
from tracetune.evaluation.anomaly.thresholds import rolling_quantile

_LEAST_THRESHOLD = 1e-6  # scores of a part that is all the same differ by rounding


class Threshold(Protocol):
    """A rule that turns scores into thresholds."""

    @property
    def steps(self) -> int:
        """Return how many steps before a step have a part in its threshold."""
        ...

    def of(self, scores: np.ndarray, before: np.ndarray) -> np.ndarray:
        """Return a threshold [T] for each of the scores [T]; ``before`` are those of the steps before them."""
        ...


@checked_fields
@dataclass(frozen=True)
class FixedThreshold:
    """One score for all steps: above it is an alarm.

    Attributes:
        value: in units of the scores, in which 0 is the median of the normal part and 1 its 0.99 quantile.
    """

    value: float
    steps: int = 0

    def __post_init__(self) -> None:
        if not math.isfinite(self.value):
            raise InputError(f"Expected {argument('threshold')} to be a finite number, found {self.value}.")

    def of(self, scores: np.ndarray, before: np.ndarray) -> np.ndarray:
        """Return the same threshold [T] for all steps."""
        return np.full(len(scores), max(self.value, _LEAST_THRESHOLD))


@checked_fields
@dataclass(frozen=True)
class RollingQuantile:
    """A high quantile of the scores before a step, for series that change for good.

    Attributes:
        window: how many scores before a step; without as many there is no alarm.
        level: of the quantile: about 1 - level of the steps raise an alarm.
    """

    window: int = 1000
    level: float = 0.999

    def __post_init__(self) -> None:
        if self.window < 2 or not 0 < self.level < 1:
            raise InputError(
                f"Expected a window of at least 2 steps and a level in (0, 1), found {self.window} and {self.level}."
            )

    @property
    def steps(self) -> int:
        """Return the number of steps of the window."""
        return self.window

    def of(self, scores: np.ndarray, before: np.ndarray) -> np.ndarray:
        """Return thresholds [T], infinite before there are enough scores.

        A step without a score counts as the one before it.
        """
        known = pd.Series(np.concatenate([before[-self.window :], scores])).ffill().to_numpy()
        return np.maximum(rolling_quantile(known, self.window, self.level), _LEAST_THRESHOLD)[-len(scores) :]


def short_past(found: Sequence[Scores], rule: Threshold) -> list[Remark]:
    """Return a remark on each series whose first steps cannot raise an alarm: too few scores lie before them.

    Raises:
        InputError: that is so for every step of every series.
    """
    blind = [int(np.isinf(each.threshold).sum()) for each in found]
    steps = sum(len(each.threshold) for each in found)
    if not any(blind) or not rule.steps:
        return []
    wanted = f"{argument('window', flag='--rolling')} of {rule.steps:,} scores before a step"
    if sum(blind) == steps:
        raise InputError(
            f"Expected a past as long as the {wanted}, found no step with as many: none could raise an alarm. Use a "
            "shorter window, or give more steps."
        )
    first = next(each.series.item_id for each, count in zip(found, blind, strict=True) if count)
    return [
        Remark(
            f"{sum(blind):,} of {steps:,} steps cannot raise an alarm (first of {first!r}): the {wanted} reaches back "
            "further than the scores that there are. Use a shorter window to look at them too."
        )
    ]


def threshold_rule(threshold: Threshold | float | None, default: float) -> Threshold:
    """Return a rule as it is, a score as the rule that holds it fixed, and the default score without either.

    Raises:
        InputError: it is neither a number nor a rule.
    """
    if threshold is None:
        return FixedThreshold(default)
    if not isinstance(threshold, bool):
        if isinstance(threshold, (int, float, np.number)):
            return FixedThreshold(float(threshold))
        if callable(getattr(threshold, "of", None)):
            return threshold
    raise InputError(
        f"Expected {argument('threshold')} to be a number, or a rule such as RollingQuantile(window=1000), found "
        f"{shown(threshold)}."
    )
