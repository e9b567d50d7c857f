"""Roles of columns: what was found to be the time and the items of a table, and how such columns are usually called."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd

from tracetune.data.reading.raw import Decision

TIME_NAMES = (
    "timestamp", "ds", "datetime", "date_time", "date", "time", "day", "week", "month", "quarter", "year", "period",
    "t",
    "step", "time_idx", "time_index", "hour", "index",
)  # fmt: skip
ITEM_NAMES = ("item_id", "unique_id")


@dataclass(frozen=True, eq=False)
class DateReading:
    """One way to read a column as dates.

    Attributes:
        form: how it is written: a format such as "%d/%m/%Y", "ISO 8601", "epoch seconds", "integers", ...
        times: [rows], datetime64[ns] on the clock they were written by, or int64.
        offsets: [rows], nanoseconds by which that clock is ahead of UTC; None without a zone.
        zone: name of the zone, None without one.
        note: what a user should know, "" for nothing.
    """

    form: str
    times: np.ndarray
    offsets: np.ndarray | None = None
    zone: str | None = None
    note: str = ""

    @property
    def is_dates(self) -> bool:
        """Return whether the times are dates, not integer steps."""
        return bool(np.issubdtype(self.times.dtype, np.datetime64))


@dataclass(frozen=True, eq=False)
class TimeColumn:
    """The time of each row, by one column or by several.

    Attributes:
        columns: which columns it is in; none where rows are steps.
        cells: [rows], what distinguishes times before they are read: the cells, joined if there are several columns.
        readings: every way to read all of them.
        decision: why these columns.
        notes: what a user should know.
    """

    columns: tuple[str, ...]
    cells: pd.Series
    readings: list[DateReading]
    decision: Decision
    notes: tuple[str, ...] = ()


@dataclass(frozen=True, eq=False)
class Items:
    """The item of each row.

    Attributes:
        columns: columns that name the items; none for a single series.
        codes: [rows], number of each row's item, in order of first appearance.
        names: one name an item.
        keys: what each item's cells hold in ``columns``.
        decision: why these columns.
        notes: what a user should know.
    """

    columns: tuple[str, ...]
    codes: np.ndarray
    names: list[str]
    keys: list[tuple[object, ...]]
    decision: Decision
    notes: tuple[str, ...] = ()


def is_named(name: object, names: Sequence[str]) -> bool:
    """Return whether a column is called one of ``names``, whatever the case and the blanks around it."""
    return str(name).strip().casefold().replace(" ", "_") in names
