"""Tables of a detector: what comes in as a panel, scores and events as they go out."""

import logging
from collections.abc import Mapping, Sequence
from dataclasses import replace
from numbers import Real
from pathlib import Path
from typing import TYPE_CHECKING, Any, Unpack, cast

import numpy as np
import pandas as pd

from tracetune.base.errors import InputError, argument
from tracetune.base.stretches import stretches_of
from tracetune.data.forecast_frame import clock_times, free_name, item_keys, of_kind, shown_times
from tracetune.data.panels import Origin, Panel, Series
from tracetune.data.reading.labels import LABEL_COLUMN, step_labels
from tracetune.data.reading.options import ReadingOptions
from tracetune.data.reading.raw import RawTable
from tracetune.data.reading.read import keyword_options, logged, read_table
from tracetune.data.reading.sources import FrameOfKind, FrameSource, ReadingKeywords, Table, TimesByName
from tracetune.estimators.anomaly.events import events_of
from tracetune.estimators.anomaly.series_scores import Scores
from tracetune.estimators.index_columns import index_columns
from tracetune.estimators.series_arrays import if_time_first, numbers_of, question_order, refuse_infinite
from tracetune.report.anomaly_plots import MOST_CHANNELS, AnomalyPanel
from tracetune.report.forecast_plots import MOST_PANELS

if TYPE_CHECKING:
    from tracetune.estimators.anomaly.item_scorer import ItemScorer

logger = logging.getLogger(__name__)

AnomalyData = Table | np.ndarray | Sequence[np.ndarray]
"""A table, or arrays: [T], [C, T], or one [C, T] a series."""

StepLabels = np.ndarray | Sequence[np.ndarray] | Sequence[int] | Sequence[str]
"""[T], 1 where anomalous, or one array a series; or words, see `step_labels`."""

AnomalyLabels = StepLabels | TimesByName | None
"""Labels of steps; or, of a table, windows and times by name, or the path of a JSON file with them."""


def panel_of(
    data: AnomalyData,
    remembered: ReadingOptions | None = None,
    left_out: str | None = None,
    **columns: Unpack[ReadingKeywords],
) -> Panel:
    """Return a panel of a table, without the column ``left_out``, or of arrays: [T], [C, T], or one [C, T] a series.

    A list of numbers is an array [T]. Series of arrays are called "0", "1", ..., their channels too, and their steps
    are counted from 0.

    Raises:
        InputError: an unusable table, or arrays of other shapes, of unequal channels, with time before channels, or
            with infinite values.
    """
    if isinstance(data, (list, tuple)) and data and all(isinstance(value, Real) for value in data):
        data = np.asarray(data, float)
    if isinstance(data, np.ndarray) or (isinstance(data, (list, tuple)) and data and isinstance(data[0], np.ndarray)):
        if any(value is not None for value in columns.values()):
            raise InputError(f"Arrays have no columns: leave out {', '.join(columns)}.")
        panel = _panel_of_arrays([data] if isinstance(data, np.ndarray) else list(data))
        if remembered is None:  # nothing was learned: no channels to compare with
            question_order([(len(panel.channels), steps) for steps in panel.lengths])
        return panel
    if isinstance(data, Panel):
        return data
    table = cast(FrameSource, data)  # what is no array
    without = () if left_out is None else (left_out,)
    return logged(read_table(table, keyword_options(columns), remembered=remembered, left_out=without)).panel


def labelled_panel(
    data: AnomalyData,
    labels: AnomalyLabels,
    label_column: str,
    remembered: ReadingOptions | None = None,
    left_out: Sequence[str] = (),
    **columns: Unpack[ReadingKeywords],
) -> tuple[Panel, list[np.ndarray] | None]:
    """Return a panel, and the labels [T] of its series: those given, or of a column of the table; None without.

    Args:
        data: as for `panel_of`.
        labels: [T], one array a series, or None, see `step_labels` for what they may be; or times, see `LabelTimes`.
        label_column: a column that is no channel. A step without a label is normal.
        remembered: how the table that was learned was read.
        left_out: columns of a table that are not looked at.
        columns: as for `panel_of`.

    Raises:
        InputError: as `panel_of`; labels that say something else, or of another length than the series; no column of
            another name than usual.
    """
    in_table = not isinstance(data, (Panel, np.ndarray, list, tuple))
    if isinstance(labels, (str, Path, Mapping)) and not in_table:
        raise InputError(
            f"{argument('labels')} by time goes with a table, given as a frame or by its path. Give labels [steps] of "
            "0 and 1 beside arrays."
        )
    given: StepLabels | None
    if in_table and (labels is None or isinstance(labels, (str, Path, Mapping))):
        reading = logged(
            read_table(
                cast(FrameSource, data),
                keyword_options(columns),
                remembered=remembered,
                label_column=label_column,
                labels=labels,
                left_out=left_out,
            )
        )
        panel, given = reading.panel, reading.labels
    else:
        panel, given = panel_of(data, remembered, label_column, **columns), cast(StepLabels | None, labels)
    if given is None:
        require_label_column(label_column, panel)
        return panel, None
    return panel, labels_of(panel, given)


def labels_of(panel: Panel, labels: np.ndarray | Sequence[Any]) -> list[np.ndarray]:
    """Return the labels [T] of each series of a panel as 0 and 1, of an array [T] or one a series.

    Raises:
        InputError: labels that say something else, or of another length than the series.
    """
    given = [labels] if len(panel) == 1 and np.ndim(labels[0]) == 0 else list(labels)
    if [len(each) for each in given] != list(panel.lengths):
        raise InputError(
            f"Expected a label for each of {', '.join(map(str, panel.lengths[:5]))} steps, found labels of "
            f"{', '.join(str(len(each)) for each in given[:5])} steps."
        )
    return [_numbered(np.asarray(each)) for each in given]


def _numbered(labels: np.ndarray) -> np.ndarray:
    """Return labels [T] as 0 and 1, 0 where missing."""
    found, _ = step_labels(pd.Series(labels, name="labels"), RawTable(pd.DataFrame()))
    return np.nan_to_num(found).astype(int)


def require_label_column(label_column: str, panel: Panel) -> None:
    """Refuse the name of a column of labels that a table does not have, where it is no default.

    Raises:
        InputError: it is another one.
    """
    if label_column != LABEL_COLUMN:
        raise InputError(
            f"Expected a column of labels {label_column!r} beside {', '.join(map(str, panel.channels[:6]))}, found "
            f"none. Correct {argument('label_column')}, or leave it out where no step is labelled."
        )


def normal_part(
    train: AnomalyData,
    labels: AnomalyLabels,
    label_column: str,
    remembered: ReadingOptions | None = None,
    **columns: Unpack[ReadingKeywords],
) -> tuple[Panel, bool]:
    """Return the panel to learn from, and whether it has labels: steps labelled as anomalies are missing in it.

    Of a table whose file says by its name which of its first steps are normal, these alone are left.

    Raises:
        InputError: as `labelled_panel`; or no step that is labelled normal.
    """
    panel, found = labelled_panel(train, labels, label_column, remembered, **columns)
    if (stop := panel.origin.normal_steps) is not None:
        logger.warning("By the file's name the first %s steps are normal: these alone are learned.", f"{stop:,}")
        panel, found = panel.cut(0, stop), found and [each[:stop] for each in found]
    if found is None:
        return panel, False
    count, steps = sum(int(each.sum()) for each in found), sum(map(len, found))
    if count == steps:
        raise InputError(f"Expected steps to learn from, found all {steps:,} labelled as anomalies.")
    if count:
        logger.warning("%s of %s steps are labelled as anomalies: they are not learned.", f"{count:,}", f"{steps:,}")
    series = [
        replace(each, values=np.where(marked > 0, np.nan, each.values))
        for each, marked in zip(panel, found, strict=True)
    ]
    return replace(panel, series=tuple(series)), True


def require_channels(panel: Panel, channels: Sequence[str]) -> None:
    """Raise InputError where a panel has other channels than those that were learned."""
    if tuple(panel.channels) == tuple(channels):
        return
    of_arrays = panel.origin.reading is None
    advice = if_time_first((len(panel.channels), panel.lengths[0]), len(channels)) if of_arrays else ""
    raise InputError(
        f"Expected the {len(channels)} channels that were learned ({', '.join(map(str, channels[:12]))}), found "
        f"{len(panel.channels)}: {', '.join(map(str, panel.channels[:12]))}. Leave {argument('target')} out to read "
        f"these, or learn a detector of those that there are.{advice}"
    )


def frame_of_scores(panel: Panel, found: Sequence[Scores], *, alarms: bool = True) -> FrameOfKind:
    """Return one row a step: item, time, ``score_<channel>`` where there are several, ``score``, and if wanted
    ``threshold`` and ``alarm``; a frame of the kind that the panel came from.
    """
    columns = index_columns(panel, [scores.series.timestamps for scores in found])
    made: dict[str, np.ndarray] = {}
    if len(panel.channels) > 1:
        for number, name in enumerate(panel.channels):
            made[f"score_{name}"] = np.concatenate([scores.channels[number] for scores in found])
    made["score"] = np.concatenate([scores.total for scores in found])
    if alarms:
        made["threshold"] = np.concatenate([scores.threshold for scores in found])
        made["alarm"] = np.concatenate([scores.alarm for scores in found])
    for name, values in made.items():
        columns[free_name(name, columns)] = values
    return of_kind(pd.DataFrame(columns), panel.origin.frame)


def frame_of_events(panel: Panel, found: Sequence[Scores], items: Sequence["ItemScorer"]) -> FrameOfKind:
    """Return one row an event, see `events_of`: item, ``start``, ``end``, ``peak`` (times), ``steps`` from start to
    end, ``score`` and ``channel`` of the peak, ``first_alarm`` and ``last_alarm`` (times) of its run.
    """
    rows: dict[str, list[object]] = {name: [] for name in ("steps", "score", "channel")}
    counts, times = [], []
    for scores, item in zip(found, items, strict=True):
        events = events_of(scores, item)
        counts.append(len(events))
        for event in events:
            places = [event.start, event.stop - 1, event.peak, event.alarms[0], event.alarms[1] - 1]
            times.append(scores.series.timestamps[places])
            rows["steps"].append(event.stop - event.start)
            rows["score"].append(float(scores.total[event.peak]))
            rows["channel"].append(panel.channels[_peak_channel(scores, event.peak)])
    columns: dict[str, object] = {
        name: np.repeat(item_keys(panel, index), counts) for index, name in enumerate(panel.origin.id_columns)
    }
    moments = np.array(times, dtype=found[0].series.timestamps.dtype).reshape(-1, 5) if found else np.zeros((0, 5))
    of_time = dict(zip(("start", "end", "peak", "first_alarm", "last_alarm"), moments.T, strict=True))
    for name in ("start", "end", "peak", "steps", "score", "channel", "first_alarm", "last_alarm"):
        columns[free_name(name, columns)] = clock_times(panel, of_time[name]) if name in of_time else rows[name]
    return of_kind(pd.DataFrame(columns), panel.origin.frame)


def drawn_panels(
    panel: Panel, found: Sequence[Scores], items: Sequence["ItemScorer"], labels: Sequence[np.ndarray] | None = None
) -> list[AnomalyPanel]:
    """Return what a picture shows of each series; of more than it has room for, the first ones.

    Those with labelled anomalies, where there are ``labels`` [T] of each, come first, then those with alarms.
    """
    marked = [stretches_of(each > 0).tolist() for each in labels] if labels is not None else [[]] * len(panel)
    order = sorted(range(len(panel)), key=lambda number: (not marked[number], not found[number].alarm.any()))
    order = order[:MOST_PANELS]
    return [_drawn(panel, found[number], items[number], marked[number]) for number in order]


def _drawn(panel: Panel, scores: Scores, item: "ItemScorer", labelled: Sequence[tuple[int, int]]) -> AnomalyPanel:
    series, count = scores.series, len(panel.channels)
    events = events_of(scores, item)
    of_peaks = [
        _peak_channel(scores, event.peak) for event in sorted(events, key=lambda event: -scores.total[event.peak])
    ]
    drawn = sorted(list(dict.fromkeys([*of_peaks, *range(count)]))[:MOST_CHANNELS])
    return AnomalyPanel(
        title=series.item_id if len(panel) > 1 else str(panel.channels[0]) if count == 1 else "",
        timestamps=shown_times(panel, series.timestamps),
        channels=tuple(str(panel.channels[number]) for number in drawn),
        values=series.values[drawn],  # noqa: PD011
        score=scores.total,
        threshold=scores.threshold,
        events=tuple((event.start, event.stop) for event in events),
        labelled=tuple((start, stop) for start, stop in labelled),
        left_out=count - len(drawn),
    )


def _peak_channel(scores: Scores, step: int) -> int:
    """Return the number of the channel with the highest score at a step."""
    return int(np.nanargmax(scores.channels[:, step]))


def _panel_of_arrays(arrays: Sequence[np.ndarray]) -> Panel:
    series: list[Series] = []
    channels: int | None = None
    for number, array in enumerate(arrays):
        values = numbers_of(array, number)
        values = values[None] if values.ndim == 1 else values
        if values.ndim != 2 or 0 in values.shape:
            raise InputError(
                f"Expected series {number} to have shape [steps] or [channels, steps], found {list(values.shape)}."
            )
        refuse_infinite(values, number)
        channels = len(values) if channels is None else channels
        if len(values) != channels:
            raise InputError(
                f"Expected {channels} channels in series {number} as before, found {len(values)}."
                f"{if_time_first(values.shape, len(series[0]))}"
            )
        series.append(Series(str(number), np.arange(values.shape[1], dtype=np.int64), values))
    origin = Origin(id_columns=() if len(series) == 1 else ("item_id",))
    return Panel(tuple(series), tuple(map(str, range(channels or 0))), None, origin)
