"""Scores of rows as they arrive, without reading the past again."""

import copy
from collections.abc import Mapping
from dataclasses import dataclass, replace

import narwhals as nw
import numpy as np

from tracetune.base.errors import InputError
from tracetune.data.forecast_frame import free_name
from tracetune.data.panels import Panel, Series
from tracetune.data.reading.sources import FrameOfKind
from tracetune.estimators.anomaly.frames import frame_of_scores
from tracetune.estimators.anomaly.item_scorer import ItemScorer, total
from tracetune.estimators.anomaly.series_scores import Scores
from tracetune.estimators.anomaly.thresholds import Threshold


@dataclass(frozen=True, eq=False)
class Arrived:
    """Scores of the rows whose scores are new or may have changed.

    Attributes:
        scores: of these rows.
        settled: [T], whether no row that is still to come can change the score.
    """

    scores: Scores
    settled: np.ndarray


class ItemStream:
    """Scores of the rows of one item as they arrive, from the end of its normal part on.

    As many steps are kept as can have a part in a score that is not settled: about twice the reach of the scorer.

    Args:
        item: the normal part, learned.
        threshold: where alarms are raised.
    """

    def __init__(self, item: ItemScorer, threshold: Threshold) -> None:
        self.item = item
        self.threshold = threshold
        self.start = len(item.learned)  # place of the first step to tell of
        self.unsettled = max(self.start - item.reach, 0)  # place of the first step whose score can still change
        self.first = 0  # place of the first step that is kept
        self.timestamps, self.values = item.learned.timestamps, item.learned.values
        self.totals = total(item.normal_scores)[: self.unsettled][-max(threshold.steps, 1) :]  # of settled steps
        self._forget()

    def update(self, series: Series, panel: Panel) -> Arrived:
        """Take in further rows and score them, and those before them whose scores were not settled.

        Raises:
            InputError: rows that do not come after those before.
        """
        self._append(*_continued(self.timestamps, series, panel))
        channels = self.item.score(self.values, self.first)
        end = self.first + self.values.shape[1]
        settled = max(self.unsettled, end - self.item.reach)
        new = self.unsettled - self.first
        channels, times, values = channels[:, new:], self.timestamps[new:], self.values[:, new:]
        sums = total(channels)
        thresholds = self.threshold.of(sums, self.totals)
        told = slice(max(self.start - self.unsettled, 0), None)
        scores = Scores(
            Series(series.item_id, times[told], values[:, told], series.key),
            channels[:, told],
            sums[told],
            thresholds[told],
        )
        done = settled - self.unsettled
        self.totals = np.concatenate([self.totals, sums[:done]])[-max(self.threshold.steps, 1) :]
        self.unsettled = settled
        self._forget()
        return Arrived(scores, (np.arange(len(sums)) < done)[told])

    def _append(self, timestamps: np.ndarray, values: np.ndarray) -> None:
        self.timestamps = np.concatenate([self.timestamps, timestamps])
        self.values = np.concatenate([self.values, values], axis=1)

    def _forget(self) -> None:
        """Drop the steps that have no part in a score that can still change."""
        kept = max(self.unsettled - self.item.reach - 1 - self.first, 0)
        self.first += kept
        self.timestamps, self.values = self.timestamps[kept:], self.values[:, kept:]


def stream_frame(panel: Panel, streams: Mapping[str, ItemStream], *, counted: bool) -> FrameOfKind:
    """Return the scores of the rows of a panel, and of those before that were not settled, with ``settled``.

    ``counted``: the panel's steps are counted from 0, and follow the last one of the stream.
    """
    if counted:
        panel = replace(panel, series=tuple(_shifted(each, streams[each.item_id]) for each in panel))
    before = {name: copy.copy(stream) for name, stream in streams.items()}
    try:
        found = [streams[series.item_id].update(series, panel) for series in panel]
    except InputError:
        for name, stream in before.items():  # rows are taken in all together or not at all
            vars(streams[name]).update(vars(stream))
        raise
    frame = nw.from_native(frame_of_scores(panel, [each.scores for each in found]), eager_only=True)
    settled = np.concatenate([each.settled for each in found])
    name = free_name("settled", frame.columns)
    return nw.to_native(frame.with_columns(nw.new_series(name, settled, backend=frame.implementation)))


def _shifted(series: Series, stream: ItemStream) -> Series:
    last = stream.timestamps[-1]
    if last.dtype.kind == "M":
        raise InputError("Expected a table with times, as the one that was learned had; found arrays.")
    return replace(series, timestamps=series.timestamps + last + 1)


def _continued(before: np.ndarray, series: Series, panel: Panel) -> tuple[np.ndarray, np.ndarray]:
    """Return times and values of a series from the step after ``before`` on; steps in between are missing."""
    last, first = before[-1], series.timestamps[0]
    if series.timestamps.dtype != before.dtype:
        raise InputError(f"Expected times like those before ({before.dtype}), found {series.timestamps.dtype}.")
    if first <= last:
        raise InputError(f"Expected rows after {last}, the last one before, found one at {first}.")
    known = Series("", before, np.zeros((0, len(before))))
    steps = 1
    future = panel.future_timestamps(known, steps)
    while future[-1] < first:
        steps *= 2
        future = panel.future_timestamps(known, steps)
    place = int(np.searchsorted(future, first))
    if future[place] != first:
        raise InputError(
            f"Expected the next rows of {series.item_id!r} at steps after {last}, such as {future[max(place - 1, 0)]}, "
            f"found one at {first}, between two steps."
        )
    gap = np.full((len(series.values), place), np.nan)
    return np.concatenate([future[:place], series.timestamps]), np.concatenate([gap, series.values], axis=1)
