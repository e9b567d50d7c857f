"""Events: the runs of alarms of one series, and the part of each in which the anomaly is likely to lie.

Every window that touches an anomaly scores high, so that alarms begin up to a window before it and end as long after
it. The score of a step is the mean over the windows that cover it: it falls as fewer of them touch the anomaly. Of the
steps near its peak those are left that differ from the nearest normal windows more than normal steps do.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np

from tracetune.base.stretches import stretches_of
from tracetune.estimators.anomaly.series_scores import Scores

if TYPE_CHECKING:
    from tracetune.estimators.anomaly.item_scorer import ItemScorer
    from tracetune.estimators.anomaly.step_differences import StepDifferences

_SHARE = 0.6  # of the peak; docs/anomaly.md says what it gave
_SHARE_OF_DIFFERENCE = 0.15  # of the largest in an event; likewise


@dataclass(frozen=True)
class Event:
    """One event; places of steps.

    Attributes:
        start: the first step that scores at least 0.6 of the highest of its run, and differs, see `events_of`.
        stop: the step after the last such one.
        peak: the step with the highest score among these.
        alarms: the first step of its run of alarms, and that after the last.
    """

    start: int
    stop: int
    peak: int
    alarms: tuple[int, int]


def events_of(scores: Scores, item: "ItemScorer") -> list[Event]:
    """Return the events of a series.

    An event begins and ends with a step that scores at least 0.6 of the highest score of its run of alarms in one of
    the channels that raise it, and in this channel differs from the nearest normal windows more than 0.999 of the
    normal steps do, and at least 0.15 as much as its most different step there. Where no step differs so much, only
    scores count. Runs of alarms with no more than a quarter of the scorer's reach between them are one, and such steps
    with no more than half of it: a run may hold several events.
    """
    place = item.place_of(scores.series) if scores.alarm.any() else None
    return [
        part
        for wide in wide_events(scores, item.reach // 4)
        for part in _parts(wide, scores, item.step_differences, place, item.reach // 2)
    ]


def wide_events(scores: Scores, merge_within: int) -> list[Event]:
    """Return events by scores alone; runs of alarms with no more than ``merge_within`` steps between them are one."""
    return [_near_peak(scores.total, scores.threshold, *run) for run in alarm_stretches(scores.alarm, merge_within)]


def alarm_stretches(alarm: np.ndarray, merge_within: int) -> list[tuple[int, int]]:
    """Return first steps, and those after the last, of the runs in ``alarm`` [T]; see `events_of`."""
    merged: list[tuple[int, int]] = []
    for start, stop in stretches_of(alarm).tolist():
        if merged and start - merged[-1][1] <= merge_within:
            merged[-1] = merged[-1][0], stop
        else:
            merged.append((start, stop))
    return merged


def _near_peak(total: np.ndarray, threshold: np.ndarray, first: int, stop: int) -> Event:
    """Return the event of a run of alarms, from ``first`` to before ``stop``."""
    run = np.nan_to_num(total[first:stop], nan=-np.inf)
    peak = int(run.argmax())
    high = np.flatnonzero((run >= _SHARE * run[peak]) & (run > threshold[first:stop]))
    return Event(first + int(high[0]), first + int(high[-1]) + 1, first + peak, (first, stop))


def _parts(
    event: Event, scores: Scores, channels: Sequence["StepDifferences"], place: int | None, merge_within: int
) -> list[Event]:
    """Return the stretches of a run of alarms that are unlike normal ones, in the channels that raise it.

    Each channel has its own peak: one with scores in the thousands does not hide what happens in another.
    """
    first, stop = event.alarms
    odd = np.zeros(stop - first, dtype=bool)
    for row, values, differences in zip(scores.channels, scores.series.values, channels, strict=True):
        if (np.nan_to_num(row[first:stop], nan=-np.inf) > scores.threshold[first:stop]).any():
            near = _near_peak(row, scores.threshold, first, stop)
            found = np.nan_to_num(differences.of(values, near.start, near.stop, place, event.alarms), nan=0.0)
            odd[near.start - first : near.stop - first] |= (found > 1) & (found >= _SHARE_OF_DIFFERENCE * found.max())
    stretches = (first + np.array(each) for each in alarm_stretches(odd, merge_within))
    return [_part(event, scores.total, int(start), int(end)) for start, end in stretches] or [event]


def _part(event: Event, total: np.ndarray, start: int, stop: int) -> Event:
    """Return the event from ``start`` to before ``stop``."""
    peak = start + int(np.nan_to_num(total[start:stop], nan=-np.inf).argmax())
    return replace(event, start=start, stop=stop, peak=peak)
