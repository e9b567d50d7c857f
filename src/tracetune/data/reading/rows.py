"""Rows of items at times: in order, and a time of an item once."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd

from tracetune.base.errors import InputError, argument
from tracetune.data.reading.raw import RawTable
from tracetune.data.time_text import show_moment

if TYPE_CHECKING:
    from tracetune.data.reading.options import ReadingOptions


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


def ordered(rows: Rows, options: "ReadingOptions", strict: bool) -> tuple[Rows, list[str]]:
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
            refuse_repeats(rows.at(np.lexsort((rows.times, rows.codes))))
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


def refuse_repeats(rows: Rows) -> None:
    """Raise InputError at times that an item has twice; says what would make them unique."""
    again = np.flatnonzero((rows.codes[1:] == rows.codes[:-1]) & (rows.times[1:] == rows.times[:-1])) + 1
    if not len(again):
        return
    here = again[0]
    assert rows.places is not None
    where = " and ".join(rows.raw.row(rows.places[place]).removeprefix("row ") for place in (here - 1, here))
    clock = _clock_hint(rows, again)
    raise InputError(
        f"Item {rows.items[rows.codes[here]]!r} has timestamp {show_moment(rows.times[here])} more than once (rows "
        f"{where}; {len(again):,} repeated timestamps in all){clock}. {'' if clock else _separator_hint(rows)}Keep "
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
    name = _column_that_separates(rows.raw, times, codes, [each for each in text if each not in taken])
    if name is None:
        return ""
    known = [each for each in taken if used[each].nunique() == codes.max() + 1 and codes.max() > 0][:1]
    return f"With column {name!r} no time repeats: {argument('id_column', [*known, name] if known else name)}. "


def merged_repeats(rows: Rows, how: str) -> tuple[Rows, list[str]]:
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


def _column_that_separates(
    raw: RawTable, time_codes: np.ndarray, codes: np.ndarray, candidates: Sequence[str]
) -> str | None:
    """Return a column that, beside the items ``codes`` [rows], would make repeated times unique."""
    key = pd.factorize(time_codes * (int(codes.max()) + 1) + codes)[0].astype(np.int64)
    for name in candidates:
        cells = pd.factorize(raw.frame[name].astype(str))[0]
        if len(np.unique(key * (cells.max() + 1) + cells)) == len(key):
            return name
    return None
