"""Panels: series on regular grids, with the names that their source used."""

from collections.abc import Iterator
from dataclasses import dataclass, field, replace

import numpy as np
import pandas as pd

from tracetune.base.errors import InputError, argument
from tracetune.base.json_types import JsonObject
from tracetune.data.frequency import Offset, as_offset, offset_text
from tracetune.data.text_marks import COMMAS_AND_POINTS, TextMarks


@dataclass(frozen=True, eq=False)
class Series:
    """One item on a regular time grid.

    Attributes:
        item_id: name of the item, unique in its panel.
        timestamps: [L], datetime64[ns] or int64, ascending.
        values: [C, L] float64, NaN where nothing was observed.
        key: what the item's cells hold in each item column of its source; () means ``item_id`` alone.
    """

    item_id: str
    timestamps: np.ndarray
    values: np.ndarray
    key: tuple[object, ...] = ()

    def __len__(self) -> int:
        return self.values.shape[1]

    def cut(self, start: int | None, stop: int | None) -> "Series":
        """Return the steps ``[start:stop]`` as views; negative numbers count from the end."""
        return replace(self, timestamps=self.timestamps[start:stop], values=self.values[:, start:stop])


@dataclass(frozen=True)
class Origin:
    """Names and forms that the source of a panel used; forecasts are written with the same.

    Attributes:
        id_columns: names of the item columns; none where the table was one series.
        timestamp_column: name of the time column.
        zone: time zone of the timestamps, None where they had none.
        local_clock: whether the panel's timestamps are clock readings of ``zone``, not UTC.
        frame: kind of table: ``pandas``, ``polars`` or ``pyarrow``.
        time_form: how the source writes times, a form of `time_text`; "" where they are no text, or text as pandas
            writes it; None for text of another form.
        reading: how the source was read, in JSON's types, so that tables like it can be read alike; None if not kept.
        id_types: pandas' type of each item column, such as categories; none where they are not known.
        marks: of its text; those of other sources are commas and points.
        normal_steps: how many of the first steps are known to be without anomalies; None where nothing says so.
    """

    id_columns: tuple[str, ...] = ("item_id",)
    timestamp_column: str = "timestamp"
    zone: str | None = None
    local_clock: bool = False
    frame: str = "pandas"
    time_form: str | None = ""
    reading: JsonObject | None = field(default=None, compare=False)
    id_types: tuple[object, ...] = field(default=(), compare=False)
    marks: TextMarks = field(default=COMMAS_AND_POINTS, compare=False)
    normal_steps: int | None = field(default=None, compare=False)


@dataclass(frozen=True, eq=False)
class Panel:
    """Series that share their channels and their frequency.

    Attributes:
        series: the items, in order of first appearance in the table they came from.
        channels: C names; the first is the main target.
        offset: the grid's frequency as a pandas offset (text is turned into one); None for integer timestamps.
        origin: what the source called things.
    """

    series: tuple[Series, ...]
    channels: tuple[str, ...]
    offset: Offset | str | None
    origin: Origin = field(default_factory=Origin)

    def __post_init__(self) -> None:
        if self.offset is not None:
            object.__setattr__(self, "offset", as_offset(self.offset))

    def __len__(self) -> int:
        return len(self.series)

    def __iter__(self) -> Iterator[Series]:
        return iter(self.series)

    @property
    def freq(self) -> str | None:
        """Return the frequency as text (see `offset_text`), None for integer timestamps."""
        return None if self.offset is None else offset_text(as_offset(self.offset))

    @property
    def item_ids(self) -> tuple[str, ...]:
        """Return names of the items, in order."""
        return tuple(series.item_id for series in self.series)

    @property
    def item_column(self) -> str:
        """Return the names of the item columns of the source, joined to one."""
        return "/".join(self.origin.id_columns) or "item_id"

    @property
    def lengths(self) -> tuple[int, ...]:
        """Return steps of each series, in order."""
        return tuple(len(series) for series in self.series)

    def cut(self, start: int | None, stop: int | None) -> "Panel":
        """Return the steps ``[start:stop]`` of every series as views; negative numbers count from the end."""
        return replace(self, series=tuple(series.cut(start, stop) for series in self.series))

    def future_timestamps(self, series: Series, horizon: int) -> np.ndarray:
        """Return the ``horizon`` timestamps [H] that follow the last one of ``series``.

        Raises:
            InputError: they go past the year 2262, where timestamps in nanoseconds end.
        """
        last = series.timestamps[-1]
        if self.offset is None:
            step = last - series.timestamps[-2] if len(series) > 1 else 1
            return last + step * np.arange(1, horizon + 1, dtype=np.int64)
        try:
            future = pd.date_range(last, periods=horizon + 1, freq=as_offset(self.offset))
        except (pd.errors.OutOfBoundsDatetime, OverflowError) as error:
            raise InputError(
                f"{horizon} steps of {self.freq!r} after {pd.Timestamp(last)} go past the year 2262, the last that "
                f"timestamps can hold. Use a shorter {argument('prediction_length')}, or integers as timestamps."
            ) from error
        return future.to_numpy("datetime64[ns]")[1:]


def is_non_negative(panel: Panel) -> bool:
    """Return whether no value of a panel is below 0."""
    return all(float(np.nanmin(series.values, initial=np.inf)) >= 0 for series in panel)
