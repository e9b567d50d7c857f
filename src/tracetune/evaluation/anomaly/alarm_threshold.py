"""The score from which on to raise an alarm at a stated false-alarm rate, and what that rests on: rows and events.

Scores near each other are alike: a hundred rows above a level may be one event. Peaks over threshold of all rows
takes them for a hundred, and is sure of a tail that was seen once. Here separate events count, of every stretch as
long as a score reaches only the highest. Above a base they are taken for exponentially distributed; of K of them no
more is known than their sum S, so that a new one exceeds x with (1 + x / S)^-K, the predictive distribution under the
scale prior: heavier than exponential, the more so the fewer events there are. A share s of the rows is above the
base, and the threshold is where s times that is the stated rate. Where there are events enough, Grimshaw's fit to all
excesses may raise it. Of fewer than five events the mean excess is all that is used, in the place of that of five: by
the formula one event would put the threshold at 300 times its excess, where a highest score would be an alarm.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from tracetune.base.errors import InputError
from tracetune.evaluation.anomaly.normal_scores import require_false_alarm_rate
from tracetune.evaluation.anomaly.thresholds import peaks_over_threshold

ENOUGH_EVENTS = 10
FEWEST_EVENTS = 5
_SHARES = (0.02, 0.05, 0.1, 0.2, 0.3)  # of rows above the base; the first with enough events


@dataclass(frozen=True)
class AlarmThreshold:
    """A threshold, and what it rests on.

    Attributes:
        value: an alarm is raised above it.
        rows: normal steps with a score that it comes from.
        events: separate events among them above the base of the tail, at most one in every ``reach`` steps; below
            ``FEWEST_EVENTS`` the value is a guess.
        share: of the rows that are above that base; 0 where there is no tail.
    """

    value: float
    rows: int
    events: int
    share: float

    @property
    def fitted(self) -> bool:
        """Return whether there was a tail; without one the value is the highest normal score."""
        return self.share > 0

    @property
    def guessed(self) -> bool:
        """Return whether there were too few events to tell how high rare scores are."""
        return self.fitted and self.events < FEWEST_EVENTS

    @property
    def lowest_rate(self) -> float | None:
        """Return the share of rows that a single event of mean length takes up: what lies below is extrapolated."""
        return self.share / self.events if self.fitted else None


def alarm_threshold(parts: Sequence[np.ndarray], reaches: Sequence[int], false_alarm_rate: float) -> AlarmThreshold:
    """Return the score that normal steps exceed with this probability, without labels.

    Args:
        parts: scores [T] of normal steps of each series in order, NaN where there is none.
        reaches: of each, steps; what is farther than this from a step has no part in its score.
        false_alarm_rate: share of normal steps that may raise an alarm.

    Raises:
        InputError: a rate outside (0, 0.25), or no scores.
    """
    require_false_alarm_rate(false_alarm_rate)
    known = np.concatenate([part[~np.isnan(part)] for part in parts]) if parts else np.empty(0)
    if not len(known):
        raise InputError("Expected scores of normal steps, found none.")
    share, base, peaks = 0.0, 0.0, np.empty(0)
    for share in [share for share in _SHARES if share > false_alarm_rate] or [2 * false_alarm_rate]:
        base = float(np.quantile(known, 1 - share))
        peaks = np.concatenate([_peaks(part, reach, base) for part, reach in zip(parts, reaches, strict=True)]) - base
        if len(peaks) >= ENOUGH_EVENTS:
            break
    if not len(peaks):
        return AlarmThreshold(float(known.max()), len(known), 0, 0.0)
    counted = max(len(peaks), FEWEST_EVENTS)
    excess = peaks.mean() * counted * ((share / false_alarm_rate) ** (1 / counted) - 1)
    value = base + float(excess)
    if len(peaks) >= ENOUGH_EVENTS and (known > base).sum() >= ENOUGH_EVENTS:
        value = max(value, peaks_over_threshold(known, false_alarm_rate, share))
    return AlarmThreshold(value, len(known), len(peaks), share)


def _peaks(scores: np.ndarray, reach: int, base: float) -> np.ndarray:
    """Return the highest score of every ``reach`` steps, where it is above the base."""
    steps = max(reach, 1)
    padded = np.pad(np.nan_to_num(scores, nan=-np.inf), (0, -len(scores) % steps), constant_values=-np.inf)
    highest = padded.reshape(-1, steps).max(axis=1)
    return highest[highest > base]
