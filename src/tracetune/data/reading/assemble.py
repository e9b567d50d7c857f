"""Rows become series on a regular grid: order, repeats, resampling, small deviations, gaps."""

import itertools
from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
import pandas as pd

from tracetune.base.errors import InputError, argument
from tracetune.data.frequency import Offset, frequency_words, offset_text
from tracetune.data.reading.items import column_that_separates
from tracetune.data.reading.options import ReadingOptions
from tracetune.data.reading.raw import Decision, RawTable
from tracetune.data.reading.times.grid import (
    Grid,
    infer_offset,
    refuse_mixed_steps,
    show_moment,
    snapped,
    suggested_step,
    usual_step,
)


@dataclass(frozen=True, eq=False)
class Rows:
    """Steps of items, in any order.

    Attributes:
        codes: [rows], which item each is of.
        items: their names.
        times: [rows], datetime64[ns] or int64.
        values: [C, rows].
        raw: the table they come from, for messages.
        places: [rows], where each row stands in it.
    """

    codes: np.ndarray
    items: Sequence[str]
    times: np.ndarray
    values: np.ndarray
    raw: RawTable
    places: np.ndarray | None = None

    def at(self, chosen: np.ndarray) -> "Rows":
        """Return the chosen rows, in that order."""
        places = chosen if self.places is None else self.places[chosen]
        return replace(
            self, codes=self.codes[chosen], times=self.times[chosen], values=self.values[:, chosen], places=places
        )

    def bounds(self) -> np.ndarray:
        """Return where each item begins, and the total at the end; rows stand together by item."""
        return np.append(np.flatnonzero(np.diff(self.codes, prepend=-1)), len(self.codes))


@dataclass(frozen=True, eq=False)
class GridSeries:
    """Series on a grid.

    Attributes:
        series: (item, timestamps [L], values [C, L]) each.
        offset: frequency of the grid, None for integers.
        decision: why that frequency.
        notes: what was done.
        warnings: what is likely wrong.
    """

    series: list[tuple[int, np.ndarray, np.ndarray]]
    offset: Offset | None
    decision: Decision
    notes: tuple[str, ...]
    warnings: tuple[str, ...]


def panel_series(
    rows: Rows, freq: Offset | None, options: ReadingOptions, *, rows_as_steps: bool = False
) -> GridSeries:
    """Return the rows of each item on one regular grid; steps without a row are NaN.

    Raises:
        InputError: rows out of order or repeated, times off every grid, or a frequency that cannot be seen.
    """
    dates = np.issubdtype(rows.times.dtype, np.datetime64)
    if freq is not None and not dates:
        raise InputError(
            f"{argument('freq', offset_text(freq))} was given, but the timestamps are integers. Leave it out, or use "
            "dates."
        )
    rows, notes = _ordered(rows, options, strict=not rows_as_steps)
    if rows_as_steps:
        bounds = rows.bounds()
        offset = (freq or infer_offset(rows.times, bounds)) if dates else None
        return _made(_cut(rows, bounds), offset, "each row is one step", notes, [])
    if options.duplicates is not None:
        rows, said = _merged(rows, options.duplicates)
        notes += said
    _refuse_repeats(rows)
    if options.resample is not None:
        rows, freq = _resampled(rows, *options.resampling(), dates)
        notes.append(f"resampled to {options.resample}")
    rows, warnings = _without_empty_items(rows)
    bounds = rows.bounds()
    if freq is None:
        refuse_mixed_steps(rows.times, bounds, [rows.items[code] for code in rows.codes[bounds[:-1]]])
    if not dates:
        return _made(
            _filled(rows, Grid(rows.times, bounds, None)), None, "timestamps are whole numbers", notes, warnings
        )
    rows, offset, said = _on_grid(rows, bounds, freq)
    if options.freq is not None:
        reason = "it was given"
    else:
        reason = "it was asked for" if freq else "the longest stretch without gaps has it"
    return _made(_filled(rows, Grid(rows.times, bounds, offset)), offset, reason, notes + said, warnings)


def _made(
    series: list[tuple[int, np.ndarray, np.ndarray]],
    offset: Offset | None,
    reason: str,
    notes: Sequence[str],
    warnings: Sequence[str],
) -> GridSeries:
    pin = ("freq", offset_text(offset)) if offset is not None else ("", None)
    return GridSeries(
        series, offset, Decision("frequency", frequency_words(offset), reason, *pin), tuple(notes), tuple(warnings)
    )


def _ordered(rows: Rows, options: ReadingOptions, strict: bool) -> tuple[Rows, list[str]]:
    """Return rows item by item in order of time; a table that goes back in time throughout is turned around."""
    same = np.argsort(rows.codes, kind="stable")
    grouped = rows.at(same)
    within = grouped.codes[1:] == grouped.codes[:-1]
    steps = np.diff(grouped.times.astype(np.int64))[within]
    notes = []
    if strict and len(steps) and (steps < 0).any():
        if (steps <= 0).all() and len(steps) > 2:
            notes.append("rows stood in reverse order of time")
        elif options.sort or options.duplicates is not None:
            notes.append("rows were not in order of time, and are sorted")
        else:
            _refuse_repeats(rows.at(np.lexsort((rows.times, rows.codes))))
            _refuse_disorder(grouped)
    if options.sort or notes:
        return rows.at(np.lexsort((rows.times, rows.codes))), notes
    return grouped, notes


def _refuse_disorder(rows: Rows) -> None:
    assert rows.places is not None
    back = np.flatnonzero((rows.codes[1:] == rows.codes[:-1]) & (rows.times[1:] < rows.times[:-1])) + 1
    here = back[0]
    raise InputError(
        f"Timestamps of item {rows.items[rows.codes[here]]!r} are not in order: {show_moment(rows.times[here])} in "
        f"{rows.raw.row(rows.places[here])} comes after {show_moment(rows.times[here - 1])} in "
        f"{rows.raw.row(rows.places[here - 1])}. If the dates are read right, sort the rows or give "
        f"{argument('sort', True)}; if not, say how they are written ({argument('day_first')}, "
        f"{argument('date_format')})."
    )


def _refuse_repeats(rows: Rows) -> None:
    """Raise InputError at times that an item has twice; says what would make them unique."""
    again = np.flatnonzero((rows.codes[1:] == rows.codes[:-1]) & (rows.times[1:] == rows.times[:-1])) + 1
    if not len(again):
        return
    here = again[0]
    assert rows.places is not None
    where = " and ".join(rows.raw.row(rows.places[place]).removeprefix("row ") for place in (here - 1, here))
    raise InputError(
        f"Item {rows.items[rows.codes[here]]!r} has timestamp {show_moment(rows.times[here])} more than once (rows "
        f"{where}; {len(again):,} repeated timestamps in all){_clock_hint(rows, again)}. {_separator_hint(rows)}Keep "
        f"one row each with {argument('duplicates', 'mean')} (or first, sum), or give {argument('id_column')} if the "
        "table holds several items."
    )


def _clock_hint(rows: Rows, again: np.ndarray) -> str:
    """Return whether repeats look like the hour that a clock shows twice in autumn."""
    if not np.issubdtype(rows.times.dtype, np.datetime64):
        return ""
    dates = pd.DatetimeIndex(rows.times[again])
    autumn = dates.month.isin([3, 4, 9, 10, 11]) & (dates.dayofweek == 6) & (dates.hour <= 3)
    return ", as where a clock goes back at the end of summer time" if autumn.all() else ""


def _separator_hint(rows: Rows) -> str:
    """Return a column that would make repeated times unique, with the option that names it."""
    used = rows.raw.frame
    if rows.places is None or len(rows.places) != len(used):
        return ""
    codes, places = np.empty(len(used), np.int64), rows.places
    codes[places] = rows.codes
    times = np.empty(len(used), np.int64)
    times[places] = pd.factorize(rows.times)[0]
    text = [str(name) for name in used.columns if 2 <= used[name].nunique() <= len(used) // 2]
    taken = [
        name
        for name in text
        if len(np.unique(pd.factorize(used[name].astype(str))[0] * (codes.max() + 1) + codes)) == codes.max() + 1
    ]
    name = column_that_separates(rows.raw, times, codes, [each for each in text if each not in taken])
    if name is None:
        return ""
    known = [each for each in taken if used[each].nunique() == codes.max() + 1 and codes.max() > 0][:1]
    return f"With column {name!r} no time repeats: {argument('id_column', [*known, name] if known else name)}. "


def _merged(rows: Rows, how: str) -> tuple[Rows, list[str]]:
    """Return one row a time of an item: the mean, the first or the sum of those that repeat it."""
    key = pd.DataFrame({"code": rows.codes, "time": rows.times})
    group = key.groupby(["code", "time"], sort=False).ngroup().to_numpy()
    count = int(group.max()) + 1
    if count == len(group):
        return rows, []
    first = np.unique(group, return_index=True)[1]
    table = pd.DataFrame(rows.values.T).groupby(group, sort=False)
    values = (table.sum(min_count=1) if how == "sum" else getattr(table, how)()).to_numpy().T
    merged = replace(rows.at(first), values=values)
    return merged, [f"{len(group) - count:,} rows that repeat a time are merged by {how}"]


def _resampled(rows: Rows, offset: Offset, how: str, dates: bool) -> tuple[Rows, Offset]:
    """Return rows at regular steps, each from those that fall into it."""
    if not dates:
        raise InputError(f"{argument('resample')} needs dates, found integer timestamps. Leave it out.")
    frame = pd.DataFrame(rows.values.T, index=pd.DatetimeIndex(rows.times))
    codes, times, values = [], [], []
    for code in np.unique(rows.codes):
        steps = frame[rows.codes == code].resample(offset)
        made = steps.sum(min_count=1) if how == "sum" else getattr(steps, how)()
        codes.append(np.full(len(made), code))
        times.append(made.index.to_numpy("datetime64[ns]"))
        values.append(made.to_numpy(np.float64))
    joined = np.concatenate(codes)
    return replace(
        rows,
        codes=joined,
        times=np.concatenate(times),
        values=np.concatenate(values).T,
        places=np.zeros(len(joined), np.int64),
    ), offset


def _without_empty_items(rows: Rows) -> tuple[Rows, list[str]]:
    """Return rows of items that have a value at all.

    Raises:
        InputError: no item has one.
    """
    seen = (~np.isnan(rows.values)).any(axis=0)
    with_values = np.bincount(rows.codes[seen], minlength=len(rows.items)) > 0
    present = np.bincount(rows.codes, minlength=len(rows.items)) > 0
    empty = np.flatnonzero(present & ~with_values)
    if not len(empty):
        return rows, []
    if not with_values.any():
        raise InputError(
            f"Item {rows.items[empty[0]]!r} has no value at all: each cell is missing, and no item has one."
        )
    names = ", ".join(repr(rows.items[code]) for code in empty[:3])
    items = "item" if len(empty) == 1 else "items"
    kept = rows.at(np.flatnonzero(with_values[rows.codes]))
    return kept, [f"left out {len(empty):,} {items} without any value ({names}{', ...' if len(empty) > 3 else ''})"]


def _on_grid(rows: Rows, bounds: np.ndarray, freq: Offset | None) -> tuple[Rows, Offset, list[str]]:
    """Return rows on a grid of the given or the inferred frequency; times a little off it are moved to it.

    Raises:
        InputError: they are too far off, or no frequency can be seen.
    """
    offset = freq or infer_offset(rows.times, bounds)
    if offset is None and usual_step(rows.times, bounds) is None:
        raise InputError(
            f"Every item has a single row, so the frequency cannot be seen. Give {argument('freq')}, e.g. "
            f"{argument('freq', 'D')}."
        )
    off, first = _off_grid(rows, bounds, offset)
    if offset is not None and not off:
        return rows, offset, []
    near = snapped(rows.times, bounds) if freq is None or isinstance(freq, pd.offsets.Tick) else None
    if near is not None and (freq is None or near[1] == freq):
        moved = int((near[0] != rows.times).sum())
        note = (
            f"{moved:,} of {len(rows.times):,} times lay up to {_short(near[2])} off the grid of "
            f"{offset_text(near[1])} and are moved to it"
        )
        return replace(rows, times=near[0]), near[1], [note]
    raise _uneven(rows, bounds, offset, off, first)


def _off_grid(rows: Rows, bounds: np.ndarray, offset: Offset | None) -> tuple[int, int]:
    """Return how many times lie off the grid (all, where it would be nearly empty), and the first of them."""
    if offset is None:
        return len(rows.times), 0
    grid, off, first = Grid(rows.times, bounds, offset), 0, -1
    for start, stop in itertools.pairwise(bounds):
        try:
            _, _, on_grid = grid.place(rows.times[start:stop])
        except InputError:
            return -1, int(start)
        if not on_grid.all():
            first = start + int((~on_grid).argmax()) if first < 0 else first
            off += int((~on_grid).sum())
    return off, first


def _uneven(rows: Rows, bounds: np.ndarray, offset: Offset | None, off: int, first: int) -> InputError:
    step = suggested_step(rows.times, bounds)
    resample = argument("resample", f"{step}:mean")
    remedy = f"Bring the data to a regular step, e.g. with {resample}, or give the {argument('freq')} they follow."
    item = rows.items[rows.codes[first]]
    if off < 0:
        grid = f" the grid {offset_text(offset)!r}" if offset is not None else " a grid"
        return InputError(f"Times of item {item!r} would fill less than one in 100 steps of{grid}. {remedy}")
    usual = usual_step(rows.times, bounds) or 0
    if offset is None:
        return InputError(
            f"The usual step is {_short(pd.Timedelta(usual))}, but the times follow no calendar of months. {remedy}"
        )
    return InputError(
        f"{off:,} of {len(rows.times):,} timestamps lie off the regular grid {offset_text(offset)!r} (first: "
        f"{show_moment(rows.times[first])} of item {item!r}). {remedy}"
    )


def _short(span: pd.Timedelta) -> str:
    return str(span).removeprefix("0 days ").removesuffix(" 00:00:00")


def _cut(rows: Rows, bounds: np.ndarray) -> list[tuple[int, np.ndarray, np.ndarray]]:
    return [
        (int(rows.codes[start]), rows.times[start:stop], rows.values[:, start:stop])
        for start, stop in itertools.pairwise(bounds)
    ]


def _filled(rows: Rows, grid: Grid) -> list[tuple[int, np.ndarray, np.ndarray]]:
    """Return every series on its full grid, NaN where it has no row."""
    made = []
    off = []
    for code, times, values in _cut(rows, rows.bounds()):
        full, positions, on_grid = grid.place(times)
        off += [(code, moment) for moment in times[~on_grid]]
        if on_grid.all() and len(full) > len(times):
            spread = np.full((len(values), len(full)), np.nan)
            spread[:, positions] = values
            times, values = full, spread
        made.append((code, times, values))
    if off:
        raise InputError(
            f"{len(off)} of {len(rows.times)} timestamps lie off the regular grid {grid} (first: "
            f"{show_moment(off[0][1])} of item {rows.items[off[0][0]]!r}). Number the steps evenly."
        )
    return made
