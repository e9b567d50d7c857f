"""Filled series as the table they came from: its rows in their order, its columns, and what was filled in each.

Where a time has no row of its own, a row is added after the one before it. To know which row a step comes from, the
table is read with one column more, the numbers of its rows.

Shapes: C channels, L steps of a series, Q quantiles.
"""

import logging
import re
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from tracetune.base.errors import InputError
from tracetune.data.forecast_frame import clock_times, free_name, item_keys, of_kind
from tracetune.data.panels import Panel
from tracetune.data.reading.files import read_raw
from tracetune.data.reading.frames import raw_of_frame
from tracetune.data.reading.missing import is_textual
from tracetune.data.reading.numbers import as_numbers
from tracetune.data.reading.options import ReadingOptions
from tracetune.data.reading.raw import RawTable
from tracetune.data.reading.read import read_cells, read_cells_alike
from tracetune.data.reading.reading import Reading
from tracetune.data.reading.sources import FrameOfKind, FrameSource
from tracetune.data.time_text import written_times
from tracetune.estimators.index_columns import index_columns

logger = logging.getLogger(__name__)

FILLED = "filled"
_ROW = "tracetune row number"
_WHOLE = re.compile(r"[-+]?\d{1,18}", re.ASCII)  # within 64 bits


@dataclass(frozen=True, eq=False)
class SourceTable:
    """A table, and where each step of its series stands in it.

    Attributes:
        reading: its series, and what was understood.
        frame: the table, with items and times as columns; None where its rows are no steps (one series a row, repeated
            times that were merged, another step).
        rows: of each series the row of each step [L], -1 where a time has none; empty without ``frame``.
        index: the index of a pandas frame; None where it was another kind of table.
    """

    reading: Reading
    frame: pd.DataFrame | None
    rows: tuple[np.ndarray, ...]
    index: pd.Index | None = None

    @property
    def panel(self) -> Panel:
        """Return the series."""
        return self.reading.panel


def read_source(source: FrameSource, options: ReadingOptions, remembered: ReadingOptions) -> SourceTable:
    """Read a table or a file, and find out which row each step comes from.

    Args:
        source: a frame of pandas, polars or pyarrow, or the path of a file.
        options: what is pinned about it.
        remembered: what a model remembers of the table it was trained on; ``options`` come first.

    Raises:
        InputError: the table cannot be read.
    """
    given = options.over(remembered)
    raw = read_raw(source, given) if isinstance(source, (str, Path)) else raw_of_frame(source)
    given = options.over(remembered.fitting(raw.frame.columns))
    partial = _lacks_a_channel(raw.frame, given.target)
    reading = read_cells_alike(raw, given, options, partial=partial, every_channel=True)
    rows = _row_numbers(raw, reading, given, partial)
    if rows is None:
        return SourceTable(reading, None, ())
    frame = _without_marks(raw, reading)
    return SourceTable(reading, frame, rows, source.index if isinstance(source, (pd.DataFrame, pd.Series)) else None)


def _without_marks(raw: RawTable, reading: Reading) -> pd.DataFrame:
    """Return the cells of a table; of columns of numbers with marks of their own, such as 1.234,5, the numbers.

    What is filled in is written with a decimal point, and one table has one decimal mark.
    """
    if raw.decimal == "." and not raw.thousands:
        return raw.frame
    origin, marks = reading.panel.origin, re.escape(raw.decimal + raw.thousands)
    others = [
        name for name in map(str, raw.frame) if name not in (*origin.id_columns, *reading.options.timestamp_column)
    ]
    changed = {}
    for name in (name for name in others if is_textual(raw.frame[name])):
        numbers = as_numbers(raw.frame[name], raw, reading.options.missing)
        marked = raw.frame[name].astype(str).str.contains(f"[{marks}]")
        if marked.any() and not numbers.wrong.any() and not numbers.units:
            changed[name] = numbers.values  # noqa: PD011 - not a pandas object
    return raw.frame.assign(**changed)


def _lacks_a_channel(frame: pd.DataFrame, targets: Sequence[str]) -> bool:
    """Return whether a named target of several has no value, which a model may know from others."""
    named = [frame[name] for name in targets if name in frame]
    return len(targets) > 1 and any(pd.to_numeric(column, errors="coerce").isna().all() for column in named)


def _row_numbers(
    raw: RawTable, reading: Reading, given: ReadingOptions, partial: bool
) -> tuple[np.ndarray, ...] | None:
    """Return the row of each step of each series; None where rows are no steps."""
    channels, times = reading.panel.channels, reading.options.timestamp_column
    whole = set(channels) <= set(raw.frame.columns) and given.resample is None and given.duplicates is None
    if not whole or len(times) > 1:
        return None
    numbered = replace(raw, frame=raw.frame.assign(**{_ROW: np.arange(len(raw.frame))}))
    try:
        panel = read_cells(numbered, replace(reading.options, target=(*channels, _ROW)), partial=partial).panel
    except InputError:  # rows that count as empty only without a number
        return None
    place = panel.channels.index(_ROW)
    numbers = dict(zip(panel.item_ids, (values[place] for values in _values(panel)), strict=True))
    found = [numbers.get(item, np.zeros(0)) for item in reading.panel.item_ids]  # of items with values alone
    if any(len(row) != length for row, length in zip(found, reading.panel.lengths, strict=True)):
        return None
    return tuple(np.nan_to_num(row, nan=-1).astype(np.int64) for row in found)


def _values(panel: Panel) -> list[np.ndarray]:
    """Return the values [C, L] of each series."""
    return [series.values for series in panel]  # noqa: PD011 - not a pandas object


def filled_frame(
    source: SourceTable, filled: Sequence[np.ndarray], quantiles: Sequence[np.ndarray] | None, levels: Sequence[float]
) -> FrameOfKind:
    """Return the table with its gaps filled, of the kind that it was.

    Columns are added: ``filled``, true where a value was filled in (``NAME_filled`` for each of several targets), and
    one for each quantile level (``0.1``, or ``NAME_0.1``), missing where nothing was filled. Whole numbers stay whole.

    Args:
        source: the table.
        filled: [C, L] of each series, NaN where nothing could be filled.
        quantiles: [C, L, Q] of each series; None without.
        levels: Q levels.
    """
    table, places, added = _rows(source) if source.frame is not None else (*_grid(source.panel), True)
    panel = source.panel
    several = len(panel.channels) > 1
    for number, channel in enumerate(panel.channels):
        values = _at(places, [series[number] for series in filled], len(table))
        given = _at(places, [series[number] for series in _values(panel)], len(table))
        marked = np.isnan(given) & ~np.isnan(values)
        table[channel] = _column(table.get(channel), values, marked, source.frame)
        table[free_name(f"{channel}_{FILLED}" if several else FILLED, list(map(str, table)))] = marked
        for place, level in enumerate(levels if quantiles is not None else ()):
            assert quantiles is not None
            of_level = _at(places, [series[number, :, place] for series in quantiles], len(table))
            name = free_name(f"{channel}_{level}" if several else str(level), list(map(str, table)))
            table[name] = np.where(marked, of_level, np.nan)
    return _as_given(table, source, added)


def _rows(source: SourceTable) -> tuple[pd.DataFrame, list[np.ndarray], bool]:
    """Return the rows of a table and those that are added, where each step stands, and whether any was added."""
    frame = source.frame
    assert frame is not None
    order, new = [np.arange(len(frame), dtype=np.float64)], []
    for number, rows in enumerate(source.rows):
        absent = np.flatnonzero(rows < 0)
        steps = np.arange(len(rows))
        before = np.maximum.accumulate(np.where(rows >= 0, steps, -1))[absent]
        after = np.minimum.accumulate(np.where(rows >= 0, steps, len(rows))[::-1])[::-1][absent]
        way = np.where(rows[after] < rows[before], -1, 1)  # the latest row may come first
        order.append(rows[before] + way * (absent - before) / (len(rows) + 1))
        new += [(number, step) for step in absent.tolist()]
    position = np.empty(len(frame) + len(new), dtype=np.int64)
    position[np.argsort(np.concatenate(order), kind="stable")] = np.arange(len(position))
    table = frame.reset_index(drop=True)
    places = [np.where(rows >= 0, position[rows], -1) for rows in source.rows]
    if new:
        extra = position[len(frame) :]
        for (number, step), place in zip(new, extra.tolist(), strict=True):
            places[number][step] = place
        table = _that_can_lack_cells(table).reindex(_inverse(position)).reset_index(drop=True)
        _name_added(table, source, new, extra)
    return table, places, bool(new)


def _that_can_lack_cells(table: pd.DataFrame) -> pd.DataFrame:
    """Return a table whose whole numbers and truths stay what they are where rows are added."""
    names = [name for name, dtype in table.dtypes.items() if isinstance(dtype, np.dtype) and dtype.kind in "iub"]
    return table.assign(**{str(name): table[name].convert_dtypes() for name in names})


def _inverse(position: np.ndarray) -> np.ndarray:
    """Return which row stands at each place, given the place of each."""
    found = np.empty_like(position)
    found[position] = np.arange(len(position))
    return found


def _name_added(table: pd.DataFrame, source: SourceTable, new: Sequence[tuple[int, int]], places: np.ndarray) -> None:
    """Write items and times into the rows that were added."""
    frame, panel = source.frame, source.panel
    assert frame is not None
    for place, name in enumerate(panel.origin.id_columns):
        if name in frame:
            keys = item_keys(panel, place)[[number for number, _ in new]]
            column = table[name].astype(object)
            column.iloc[places] = keys
            table[name] = _as_before(column, frame[name].dtype)
    name = panel.origin.timestamp_column
    if name in frame:
        moments = clock_times(panel, np.array([panel.series[number].timestamps[step] for number, step in new]))
        column = table[name].astype(object)
        column.iloc[places] = _written(moments, source, frame[name])
        table[name] = _as_before(column, frame[name].dtype)


def _as_before(column: pd.Series, dtype: Any) -> pd.Series:
    """Return a column in the type that it had, where its cells allow it."""
    try:
        return column.astype(dtype)
    except (TypeError, ValueError):
        return column


def _written(moments: pd.Series, source: SourceTable, cells: pd.Series) -> list[Any]:
    """Return moments as the cells of a time column are written."""
    form = source.panel.origin.time_form
    of_text = form != "" or isinstance(next((cell for cell in cells if not pd.isna(cell)), None), str)
    if not pd.api.types.is_datetime64_any_dtype(moments.dtype) or not of_text:
        return list(moments)
    text = written_times(moments, form) if form else None
    if text is None:
        text = moments.astype(str)
        if form is None:
            logger.warning(
                "Times of rows that were added are written as %s: those of %s have a form that is not kept.",
                text.iloc[0],
                source.panel.origin.timestamp_column,
            )
    return list(text)


def _grid(panel: Panel) -> tuple[pd.DataFrame, list[np.ndarray]]:
    """Return a long table of the series, without values, and where each step stands in it."""
    lengths = np.array(panel.lengths)
    columns = index_columns(panel, [each.timestamps for each in panel])
    ends = np.cumsum(lengths)
    return pd.DataFrame(columns), [np.arange(end - length, end) for end, length in zip(ends, lengths, strict=True)]


def _at(places: Sequence[np.ndarray], values: Sequence[np.ndarray], rows: int) -> np.ndarray:
    """Return values of steps where they stand in a table, NaN in other rows."""
    found = np.full(rows, np.nan)
    for place, steps in zip(places, values, strict=True):
        found[place] = steps
    return found


def _column(
    before: pd.Series | None, values: np.ndarray, marked: np.ndarray, frame: pd.DataFrame | None
) -> pd.Series | np.ndarray:
    """Return a column with what was filled in, as whole numbers where ``frame`` has such in it."""
    if before is None or frame is None:
        return values
    if not marked.any():
        return before
    cells = frame[before.name]
    if pd.api.types.is_integer_dtype(cells.dtype):
        return _with_whole_numbers(before, values, marked, cells.dtype)
    if pd.api.types.is_float_dtype(before.dtype):
        return before.mask(pd.Series(marked), pd.Series(values).astype(before.dtype))
    if _is_written_whole(before, values, marked):
        return _with_whole_numbers(before, values, marked, pd.Int64Dtype())
    return values  # text: numbers from here on


def _with_whole_numbers(before: pd.Series, values: np.ndarray, marked: np.ndarray, dtype: Any) -> pd.Series:
    """Return whole numbers as they were, to the last digit, and what was filled in rounded between them."""
    given, rounded = before.astype(object), np.round(values)
    cells = [
        int(fill) if fills else int(cell) if observed else pd.NA
        for cell, fill, fills, observed in zip(given, rounded, marked, ~np.isnan(values), strict=True)
    ]
    for kind in (dtype, pd.Int64Dtype()):
        try:
            return pd.Series(cells, dtype=object).astype(kind)
        except (TypeError, ValueError, OverflowError):  # it holds no missing values, or none of this size
            continue
    return pd.Series(np.where(marked, rounded, values))


def _is_written_whole(before: pd.Series, values: np.ndarray, marked: np.ndarray) -> bool:
    """Return whether all observed cells of a column of text are whole numbers without marks."""
    observed = before[~marked & ~np.isnan(values)]
    return all(isinstance(cell, str) and _WHOLE.fullmatch(cell) for cell in observed)


def _as_given(table: pd.DataFrame, source: SourceTable, added: bool) -> FrameOfKind:
    """Return a table of the kind that the source was, with its index."""
    index = source.index
    if index is None or source.frame is None:
        return of_kind(table, source.panel.origin.frame)
    names = [name for name in map(str, index.names) if name in table]
    if names and len(names) == index.nlevels:
        return table.set_index(names)
    if isinstance(index, pd.DatetimeIndex) and index.name is None and source.panel.origin.timestamp_column in table:
        return table.set_index(source.panel.origin.timestamp_column).rename_axis(index=None)
    return table if added else table.set_axis(index, axis=0)
