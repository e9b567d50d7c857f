"""The entry: a file or a frame becomes a `Reading`: a panel of regular series, and what was understood of the table."""

import logging
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, Unpack

import numpy as np
import pandas as pd

from tracetune.base.errors import InputError, Remark, argument, unknown_name
from tracetune.data.frequency import Offset, as_offset, offset_text
from tracetune.data.panels import Origin, Panel, Series
from tracetune.data.reading.anomaly_archive import with_archive_parts
from tracetune.data.reading.assemble import panel_series
from tracetune.data.reading.cleaning import clean
from tracetune.data.reading.columns import TIME_NAMES, Items, TimeColumn, is_named
from tracetune.data.reading.files import read_raw
from tracetune.data.reading.frames import raw_of_frame, refuse_objects
from tracetune.data.reading.items import find_items, single_item
from tracetune.data.reading.label_times import LabelTimes
from tracetune.data.reading.labels import label_name, step_labels, without_column
from tracetune.data.reading.layout import HeaderTimes, find_header_times, row_series
from tracetune.data.reading.nested import unnested
from tracetune.data.reading.numbers import as_numbers, required_numbers, sentinels
from tracetune.data.reading.options import ReadingOptions
from tracetune.data.reading.raw import Decision, RawTable, listed, shown
from tracetune.data.reading.reading import Reading, reading_of
from tracetune.data.reading.rows import Rows
from tracetune.data.reading.sources import FrameSource, ReadingKeywords, Table, TimesByName
from tracetune.data.reading.summary import MOSTLY_MISSING, missing_share
from tracetune.data.reading.targets import CONSTANT, FLAG, calendar_warnings, find_targets
from tracetune.data.reading.times.date_choice import Times, choose_times
from tracetune.data.reading.times.time_column import NoTimeColumnError, find_time

logger = logging.getLogger(__name__)


def read_table(
    source: FrameSource,
    options: ReadingOptions | None = None,
    *,
    remembered: ReadingOptions | None = None,
    rows_as_steps: bool = False,
    label_column: str | None = None,
    labels: TimesByName | None = None,
    left_out: Sequence[str] = (),
    every_channel: bool = False,
) -> Reading:
    """Read a file or a frame as a panel of regular series.

    >>> import pandas as pd
    >>> days = pd.DataFrame({"day": ["2024-01-01", "2024-01-02", "2024-01-04"], "sales": [3, 5, 4]})
    >>> reading = read_table(days)
    >>> reading.panel.freq, reading.panel.series[0].values.tolist()
    ('D', [[3.0, 5.0, nan, 4.0]])

    Args:
        source: path of a table (see `SUFFIXES` in `files`), or a frame of pandas, polars or pyarrow.
        options: what is pinned; everything else is found out.
        remembered: what a model remembers of the table it was trained on; ``options`` come first.
        rows_as_steps: take each row as one step whatever its timestamp says: no gap is filled, and repeated or
            unordered timestamps are allowed. For benchmark files whose published splits count rows.
        label_column: a column that says which steps are anomalous, where the table has it; see `step_labels`. Names
            of files of the UCR anomaly archive say it too, and those of TSB-AD which steps are to learn from.
        labels: times of anomalies, which then count instead of that column; see `LabelTimes`.
        left_out: columns that are not looked at, where the table has them.
        every_channel: take each numeric column of a table with items as a channel, where several could be the target;
            else that is refused.

    Raises:
        InputError: the table cannot be understood, can be understood in two ways, or would spoil a model; says what
            was seen and which option decides.
    """
    given = options or ReadingOptions()
    pinned = given.over(remembered) if remembered is not None else given
    raw = read_raw(source, pinned) if isinstance(source, (str, Path)) else unnested(raw_of_frame(source), pinned)
    if remembered is not None:
        pinned = given.over(remembered.fitting(raw.frame.columns))
    if label_column is not None:
        label_column = label_name(label_column, raw.frame.columns)
    left_out = [label_name(name, raw.frame.columns) for name in left_out]
    for name in (name for name in left_out if name in raw.frame.columns):
        raw, pinned = without_column(raw, pinned, name)
    how: dict[str, Any] = {"rows_as_steps": rows_as_steps, "label_column": label_column, "every_channel": every_channel}
    how["labels"] = None if labels is None else LabelTimes.of(labels, source)
    reading = read_cells(raw, pinned, **how) if remembered is None else read_cells_alike(raw, pinned, given, **how)
    return reading if label_column is None else with_archive_parts(reading, source)


def read_cells_alike(raw: RawTable, pinned: ReadingOptions, given: ReadingOptions, **how: Any) -> Reading:
    """Read a table as those of a training were read; day and month may stand otherwise where dates have one reading.

    Args:
        raw: the cells.
        pinned: what a model remembers, and before that what is given.
        given: what is pinned about this table.
        how: further arguments of `read_cells`.
    """
    of_training = given.freq is None and pinned.freq is not None
    try:
        reading = read_cells(raw, pinned, **how)
    except InputError:
        if given.day_first is None and (other := _otherwise_written(raw, pinned, how)):
            return other
        if of_training:
            _refuse_another_step(raw, pinned, how)
        raise
    if of_training and missing_share(reading.panel) >= MOSTLY_MISSING:  # such as days on a grid of hours
        _refuse_another_step(raw, pinned, how, f"; {argument('freq', pinned.freq)} if most rows are left out")
    return reading


def _otherwise_written(raw: RawTable, remembered: ReadingOptions, how: dict[str, Any]) -> Reading | None:
    """Return a table whose dates can be read in one way alone, but with the day elsewhere than in training."""
    if remembered.day_first is None:
        return None
    try:
        reading = read_cells(raw, replace(remembered, day_first=None), **how)
    except InputError:
        return None
    form = next((each.found for each in reading.understood.decisions if each.subject == "dates"), "")
    said = Remark(f"dates are read as {form}, the only way that they can be; in training day and month stood otherwise")
    return replace(reading, warnings=(*reading.warnings, said))


def _refuse_another_step(raw: RawTable, remembered: ReadingOptions, how: dict[str, Any], otherwise: str = "") -> None:
    """Raise InputError where a table has another step than those that a model was trained on."""
    try:
        freq = read_cells(raw, replace(remembered, freq=None), **how).panel.freq
    except InputError:
        return
    if freq is not None and freq != remembered.freq:
        raise InputError(
            f"Expected steps of {remembered.freq!r}, as in training, found {freq!r}. Bring the table to that step, "
            f"e.g. with {argument('resample', f'{remembered.freq}:mean')}, or take the model for these with "
            f"{argument('freq', freq)}{otherwise}."
        )


def panel_from_frame(
    frame: Table,
    *,
    remembered: ReadingOptions | None = None,
    rows_as_steps: bool = False,
    every_channel: bool = False,
    **options: Unpack[ReadingKeywords],
) -> Panel:
    """Return the panel of a frame or path; ``options`` are the fields of `ReadingOptions`. See `read_table`.

    A panel is returned as it is. What is likely wrong with a table is logged as a warning.
    """
    if isinstance(frame, Panel):
        return frame
    pinned = keyword_options(options)
    how: dict[str, Any] = {"rows_as_steps": rows_as_steps, "every_channel": every_channel}
    return logged(read_table(frame, pinned, remembered=remembered, **how)).panel


def logged(reading: Reading) -> Reading:
    """Return a reading; what was understood is logged, what is likely wrong as a warning."""
    logger.info("%s", reading.line)
    for warning in reading.warnings:
        logger.warning("%s", warning)
    return reading


def keyword_options(keywords: ReadingKeywords) -> ReadingOptions:
    """Return options from keywords; None is as good as none.

    Raises:
        InputError: there is no such option, or a value is none of it.
    """
    unknown = [name for name in keywords if name not in ReadingOptions.__dataclass_fields__]
    if unknown:
        raise unknown_name("reading option", unknown[0], ReadingOptions.__dataclass_fields__)
    given: dict[str, Any] = {name: value for name, value in keywords.items() if value is not None}
    return ReadingOptions(**given)


def read_cells(
    raw: RawTable,
    options: ReadingOptions,
    *,
    rows_as_steps: bool = False,
    partial: bool = False,
    text_ids: Sequence[str] = (),
    label_column: str | None = None,
    labels: LabelTimes | None = None,
    every_channel: bool = False,
) -> Reading:
    """Read a table whose cells are there.

    ``partial``: the table is a chunk of a larger one, whose item columns ``text_ids`` hold text. ``label_column``,
    ``labels`` and ``every_channel``: as for `read_table`.
    """
    if raw.frame.empty:
        names = ", ".join(shown(str(name)) for name in raw.frame.columns[:12])
        raise InputError(f"Expected a table with rows, found none (columns: {names}).")
    raw, notes = clean(raw, keep_rows=partial or rows_as_steps)
    refuse_objects(raw)
    raw = replace(raw, text_ids=tuple(text_ids))
    header = find_header_times(raw, options, labelled=label_column in raw.frame.columns)
    if header is not None:
        return _read_row_series(raw, header, options, notes, labels)
    if label_column is None:
        return _read_steps(raw, options, notes, rows_as_steps, partial, labels, every_channel=every_channel)
    of_rows: np.ndarray | LabelTimes | None = labels
    if label_column in raw.frame.columns:
        if labels is None:
            of_rows, told = step_labels(raw.frame[label_column], raw, options.missing)
            notes = [*notes, *told]
        raw, options = without_column(raw, options, label_column)
    reading = _read_steps(raw, options, notes, rows_as_steps, partial, of_rows, every_channel=every_channel)
    return replace(reading, warnings=(*reading.warnings, *_left_out_channels(reading)))


def _left_out_channels(reading: Reading) -> list[Remark]:
    """Return warnings where columns are left out because they are constant or flags: an anomaly may be in them."""
    ignored = reading.understood.ignored
    constants = [name for name, reason in ignored if reason.startswith(CONSTANT)]
    flags = [name for name, reason in ignored if reason == FLAG]
    remarks = []
    if constants:
        remarks.append(
            f"{listed('column', constants)} left out, as constant: a change of that is no anomaly. Name all channels "
            f"with {argument('target')} to learn it too"
        )
    if flags:
        remarks.append(
            f"{listed('column', flags)} left out, as 0 and 1 alone. Name it with {argument('label_column')} if it "
            f"labels anomalies, or all channels with {argument('target')} to learn it too"
        )
    return list(map(Remark, remarks))


def _read_steps(
    raw: RawTable,
    options: ReadingOptions,
    notes: Sequence[str],
    rows_as_steps: bool,
    partial: bool,
    labels: np.ndarray | LabelTimes | None = None,
    *,
    every_channel: bool = False,
) -> Reading:
    """Read a table with one step of one item a row, and perhaps its label [rows]."""
    freq = None if options.freq is None else as_offset(options.freq)
    labelled = isinstance(labels, np.ndarray)
    time, items, times = _steps_of_rows(raw, options, freq, labelled=labelled)
    chosen = {"every_channel": every_channel, "flags": labelled}  # where labels are, flags are none
    targets = find_targets(raw, time, items, times.values, options, **chosen)
    values = np.stack([required_numbers(raw.frame[name], raw, options.missing) for name in targets.columns])
    if not partial:
        _refuse_unobserved(targets.columns, values)
    rows = Rows(items.codes, items.names, times.values, values, raw)
    made = panel_series(rows, freq, options, rows_as_steps=rows_as_steps)
    series = [Series(items.names[code], moments, kept, items.keys[code]) for code, moments, kept in made.series]
    origin = Origin(
        items.columns, _time_name(time), times.zone, times.local_clock, raw.kind, times.form,
        id_types=raw.types_of(items.columns), marks=raw.marks,
    )  # fmt: skip
    panel = Panel(tuple(series), targets.columns, made.offset, origin)
    decisions = [*raw.decisions, time.decision, *times.decisions, items.decision, targets.decision, made.decision]
    said = [*notes, *time.notes, *items.notes, *targets.notes, *times.notes, *made.notes]
    doubts = [*targets.warnings, *_sentinels(targets.columns, values), *made.warnings]
    reading = reading_of(panel, decisions, targets.ignored, said, doubts, options)
    return _labelled(reading, labels, rows, freq, options, rows_as_steps)


def _labelled(
    reading: Reading,
    labels: np.ndarray | LabelTimes | None,
    rows: Rows,
    freq: Offset | None,
    options: ReadingOptions,
    rows_as_steps: bool,
) -> Reading:
    """Return a reading with the labels of its steps, of labels [rows] or of times."""
    if labels is None:
        return reading
    if not isinstance(labels, LabelTimes):
        return replace(reading, labels=_labels_of_steps(labels, rows, freq, options, rows_as_steps))
    of_rows, timed = labels.label(reading.panel, rows)
    found = timed.with_gaps(reading.panel, _labels_of_steps(of_rows, rows, freq, options, rows_as_steps))
    notes, warnings = [timed.note(found)], timed.doubts()
    return replace(
        reading,
        labels=found,
        notes=(*reading.notes, *map(Remark, notes)),
        warnings=(*reading.warnings, *map(Remark, warnings)),
    )


def _steps_of_rows(
    raw: RawTable, options: ReadingOptions, freq: Offset | None, *, labelled: bool
) -> tuple[TimeColumn, Items, Times]:
    """Return the column of times, the item of each row, and its step.

    ``labelled``: each row has a label of its own, so that without times rows of nothing but numbers are the steps.
    """
    if options.layout == "rows":
        return _rows_as_time(raw, options, "layout rows was given")
    if _is_numbers_alone(raw, options):
        return _rows_as_time(raw, options, "the table is one column of numbers")
    try:
        time = find_time(raw, options)
    except NoTimeColumnError:
        if (
            not labelled
            or options.layout is not None
            or not all(_numeric(cells, raw, options) for _, cells in raw.frame.items())
        ):
            raise
        return _rows_as_time(raw, options, "each row has a label, and no column holds dates")
    items = find_items(raw, time, freq, options)
    return time, items, choose_times(time, items.codes, freq)


def _sentinels(names: Sequence[str], values: np.ndarray) -> list[str]:
    """Return a doubt for each number of a channel [C, rows] that often stands for missing."""
    return [
        f"{shown(name)} has {count:,} cells of {value:g}, which often stands for missing: give "
        f"{argument('missing', f'{value:g}')} if it does"
        for name, column in zip(names, values, strict=True)
        for value, count in sentinels(column)
    ]


def _labels_of_steps(
    labels: np.ndarray, rows: Rows, freq: Offset | None, options: ReadingOptions, rows_as_steps: bool
) -> tuple[np.ndarray, ...]:
    """Return labels [L] on the grid of each series: a step made of several rows is anomalous where one of them is."""
    observed = np.bincount(rows.codes, (~np.isnan(rows.values)).any(axis=0)) > 0
    known = np.where(observed[rows.codes], np.nan_to_num(labels), np.nan)  # items without any value are left out
    merged = replace(
        options,
        duplicates=options.duplicates and "sum",
        resample=options.resample and f"{options.resample.partition(':')[0]}:max",
    )
    made = panel_series(replace(rows, values=known[None]), freq, merged, rows_as_steps=rows_as_steps)
    return tuple((kept[0] > 0).astype(int) for _, _, kept in made.series)


def _refuse_unobserved(columns: Sequence[str], values: np.ndarray) -> None:
    """Raise InputError if one of several channels [C, rows] has no value."""
    empty = np.isnan(values).all(axis=1)
    if empty.any() and not empty.all():
        raise InputError(
            f"Column {shown(columns[int(empty.argmax())])} has no value at all. Leave it out of {argument('target')}."
        )


def _is_numbers_alone(raw: RawTable, options: ReadingOptions) -> bool:
    """Return whether a table is one column of numbers, which is not called as times are."""
    names = list(raw.frame.columns)
    if len(names) != 1 or options.timestamp_column or options.id_column or is_named(names[0], TIME_NAMES):
        return False
    return _numeric(raw.frame[names[0]], raw, options)


def _numeric(cells: pd.Series, raw: RawTable, options: ReadingOptions) -> bool:
    """Return whether the first cells of a column are numbers."""
    return not as_numbers(cells.head(1000), raw, options.missing).wrong.any()


def _rows_as_time(raw: RawTable, options: ReadingOptions, reason: str) -> tuple[TimeColumn, Items, Times]:
    """Return steps by the order of the rows, for tables without dates, and why they are taken so."""
    rows = len(raw.frame)
    decision = Decision("time column", "none: each row is one step", reason, "layout", "rows")
    time = TimeColumn((), pd.Series(np.arange(rows)), [], decision)
    items = find_items(raw, time, None, options) if options.id_column else single_item(rows, reason)
    order = np.argsort(items.codes, kind="stable")
    counts = np.bincount(items.codes)
    steps = np.empty(rows, np.int64)
    steps[order] = np.concatenate([np.arange(count) for count in counts])
    return time, items, Times(steps, None, False, (), ())


def _time_name(time: TimeColumn) -> str:
    return time.columns[0] if len(time.columns) == 1 else "timestamp"


def _read_row_series(
    raw: RawTable,
    header: HeaderTimes,
    options: ReadingOptions,
    notes: Sequence[str],
    labels: LabelTimes | None = None,
) -> Reading:
    """Read a table with one series a row: each cell is one step, blanks before and after the values are none."""
    freq = None if options.freq is None else as_offset(options.freq)
    if freq is not None and header.kind == "steps_in_header":
        raise InputError(
            f"{argument('freq', offset_text(freq))} was given, but the steps in the header have no dates. Leave it out."
        )
    found = row_series(raw, header, options)
    cells = pd.Series(header.columns, dtype=object, name="header")
    column = TimeColumn(header.columns, cells, header.readings, header.decision)
    times = choose_times(column, np.zeros(len(header.columns), np.int64), freq)
    names = ["/".join(map(str, key)) for key in found.keys]
    observed = ~np.isnan(found.values)
    order = np.argsort(times.values, kind="stable")
    codes, places = [], []
    for number, seen in enumerate(observed):
        ends = np.flatnonzero(seen[order])
        chosen = order[ends[0] if header.kind == "dates_in_header" else 0 : ends[-1] + 1] if len(ends) else order[:1]
        codes.append(np.full(len(chosen), number))
        places.append(chosen)
    at = np.concatenate(places)
    rows = Rows(np.concatenate(codes), names, times.values[at], found.values[np.concatenate(codes), at][None], raw)
    made = panel_series(rows, freq, options)
    series = [Series(names[code], moments, kept, found.keys[code]) for code, moments, kept in made.series]
    types = raw.types_of(found.id_columns)
    origin = Origin(
        found.id_columns, "timestamp", times.zone, times.local_clock, raw.kind, times.form, id_types=types,
        marks=raw.marks,
    )  # fmt: skip
    panel = Panel(tuple(series), ("target",), made.offset, origin)
    target = Decision("target", "the cells", "one series a row")
    decisions = [*raw.decisions, header.decision, *times.decisions, found.decision, target, made.decision]
    cycles = calendar_warnings(names, "each is a series of its own")
    said = [*notes, *header.notes, *times.notes, *made.notes]
    reading = reading_of(panel, decisions, found.ignored, said, [*cycles, *made.warnings], options)
    return _labelled(reading, labels, rows, freq, options, rows_as_steps=False)
