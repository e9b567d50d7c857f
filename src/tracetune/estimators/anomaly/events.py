"""Events: the runs of alarms of one series, and the part of each in which the anomaly is likely to lie.

Every window that touches an anomaly scores high, so that alarms begin up to a window before it and end as long after
it. The score of a step is the mean over the windows that cover it: it falls as fewer of them touch the anomaly.
"""

from dataclasses import dataclass

import numpy as np

from tracetune.estimators.anomaly.series_scores import Scores

_SHARE = 0.6  # of the peak; docs/anomaly.md says what it gave


@dataclass(frozen=True)
class Event:
    """One event; places of steps.

    Attributes:
        start: the first step that scores at least 0.6 of the peak.
        stop: the step after the last such one.
        peak: the step with the highest score.
        alarms: the first step of its run of alarms, and that after the last.
    """

    start: int
    stop: int
    peak: int
    alarms: tuple[int, int]


def events_of(scores: Scores, merge_within: int) -> list[Event]:
    """Return the events of a series; runs of alarms with no more than ``merge_within`` steps between them are one."""
    return [_narrowed(scores.total, scores.threshold, *run) for run in alarm_runs(scores.alarm, merge_within)]


def alarm_runs(alarm: np.ndarray, merge_within: int) -> list[tuple[int, int]]:
    """Return first steps, and those after the last, of the runs in ``alarm`` [T]; see `events_of`."""
    edges = np.flatnonzero(np.diff(np.concatenate([[False], alarm, [False]]).astype(np.int8)))
    merged: list[tuple[int, int]] = []
    for start, stop in edges.reshape(-1, 2).tolist():
        if merged and start - merged[-1][1] <= merge_within:
            merged[-1] = merged[-1][0], stop
        else:
            merged.append((start, stop))
    return merged


def _narrowed(total: np.ndarray, threshold: np.ndarray, first: int, stop: int) -> Event:
    """Return the event of a run of alarms, from ``first`` to before ``stop``."""
    run = np.nan_to_num(total[first:stop], nan=-np.inf)
    peak = int(run.argmax())
    high = np.flatnonzero((run >= _SHARE * run[peak]) & (run > threshold[first:stop]))
    return Event(first + int(high[0]), first + int(high[-1]) + 1, first + peak, (first, stop))
