"""Rows become series on a regular grid: resampled, moved onto it where they are close, and with gaps."""

import itertools
from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
import pandas as pd

from tracetune.base.errors import InputError, argument
from tracetune.data.frequency import Offset, frequency_words, offset_text
from tracetune.data.reading.options import ReadingOptions
from tracetune.data.reading.raw import Decision
from tracetune.data.reading.rows import Rows, merged_repeats, ordered, refuse_repeats
from tracetune.data.reading.times.grid import (
    Grid,
    infer_offset,
    refuse_mixed_steps,
    snapped,
    suggested_step,
    usual_step,
)
from tracetune.data.time_text import show_moment


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
    rows, notes = ordered(rows, options, strict=not rows_as_steps)
    if rows_as_steps:
        bounds = rows.bounds()
        offset = (freq or infer_offset(rows.times, bounds)) if dates else None
        return _made(_cut(rows, bounds), offset, "each row is one step", notes, [])
    if options.duplicates is not None:
        rows, said = merged_repeats(rows, options.duplicates)
        notes += said
    refuse_repeats(rows)
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
