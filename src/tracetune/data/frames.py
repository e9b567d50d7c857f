"""Data frames of every usual layout become a `Panel` of regular series, and forecasts become a frame.

Reading is strict about what would silently spoil a model (duplicates, disorder, text among numbers, infinities) and
relaxed about what is normal in practice (missing values, gaps, unequal lengths, interleaved items, further channels).
"""

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace

import numpy as np
import pandas as pd

from tracetune.base.errors import InputError
from tracetune.data.columns import (
    Layout,
    channel_values,
    find_layout,
    index_as_columns,
    item_codes,
    parse_timestamps,
    refuse_duplicate_columns,
)
from tracetune.data.grid import Grid, refuse_mixed_steps, resolve_freq, show_moment

_ID_COLUMN = "item_id"
_TIMESTAMP_COLUMN = "timestamp"


@dataclass(frozen=True, eq=False)
class Series:
    """One item on a regular time grid.

    Attributes:
        item_id: name of the item, unique in its panel.
        timestamps: [L], datetime64[ns] or int64, ascending.
        values: [C, L] float64, NaN where nothing was observed.
    """

    item_id: str
    timestamps: np.ndarray
    values: np.ndarray

    def __len__(self) -> int:
        return self.values.shape[1]

    def cut(self, start: int | None, stop: int | None) -> "Series":
        """The steps ``[start:stop]`` of this series, as views; negative numbers count from the end."""
        return replace(self, timestamps=self.timestamps[start:stop], values=self.values[:, start:stop])


@dataclass(frozen=True, eq=False)
class Panel:
    """Series that share their channels and their frequency.

    Attributes:
        series: the items, in order of first appearance in the table they came from.
        channels: C names; the first is the main target.
        freq: pandas offset alias of the grid, None where timestamps are integers.
        id_column: what the source called its item column; forecasts are written under the same name.
        timestamp_column: what the source called its time column.
        integer_ids: whether items were integers in the source, so that forecasts can be joined to it.
    """

    series: tuple[Series, ...]
    channels: tuple[str, ...]
    freq: str | None
    id_column: str = _ID_COLUMN
    timestamp_column: str = _TIMESTAMP_COLUMN
    integer_ids: bool = False

    def __len__(self) -> int:
        return len(self.series)

    def __iter__(self) -> Iterator[Series]:
        return iter(self.series)

    @property
    def item_ids(self) -> tuple[str, ...]:
        """Names of the items, in order."""
        return tuple(series.item_id for series in self.series)

    @property
    def lengths(self) -> tuple[int, ...]:
        """Steps of each series, in order."""
        return tuple(len(series) for series in self.series)

    def cut(self, start: int | None, stop: int | None) -> "Panel":
        """The steps ``[start:stop]`` of every series, as views; negative numbers count from the end."""
        return replace(self, series=tuple(series.cut(start, stop) for series in self.series))

    def future_timestamps(self, series: Series, horizon: int) -> np.ndarray:
        """The ``horizon`` timestamps [H] that follow the last one of ``series``.

        Raises:
            InputError: they go past the year 2262, where timestamps in nanoseconds end.
        """
        last = series.timestamps[-1]
        if self.freq is None:
            step = last - series.timestamps[-2] if len(series) > 1 else 1
            return last + step * np.arange(1, horizon + 1, dtype=np.int64)
        try:
            future = pd.date_range(last, periods=horizon + 1, freq=self.freq)
        except (pd.errors.OutOfBoundsDatetime, OverflowError) as error:
            raise InputError(
                f"{horizon} steps of {self.freq!r} after {show_moment(last)} go past the year 2262, the last that "
                "timestamps can hold. Use a shorter prediction_length, or integers as timestamps."
            ) from error
        return future.to_numpy("datetime64[ns]")[1:]


def panel_from_frame(
    frame: pd.DataFrame,
    *,
    id_column: str | None = None,
    timestamp_column: str | None = None,
    target: str | Sequence[str] | None = None,
    freq: str | None = None,
    sort: bool = False,
    rows_as_steps: bool = False,
    partial: bool = False,
) -> Panel:
    """Turn a table into a panel of series on a regular grid; gaps become NaN.

    Layouts found by themselves: long ``item_id, timestamp, target`` or ``unique_id, ds, y`` (other numeric columns
    are further channels), wide with a ``date`` column (every numeric column a channel of one item ``"series"``), and
    M4 (``V1, V2, ...``: id first, then one series a row). The usual names count in any case (``Date``), and in the
    index as well as in the columns.

    Args:
        frame: the table; rows of different items may interleave.
        id_column: column of item names, where it has another name than the usual ones.
        timestamp_column: likewise for the time column (dates, text dates or integers; zones are turned into UTC,
            but local midnights stay days).
        target: the column or columns to use as channels, and no others.
        freq: pandas offset alias of the grid, e.g. ``"h"`` or ``"MS"``; inferred from the timestamps if None.
        sort: order each item by time first, instead of refusing what is out of order.
        rows_as_steps: take each row as one step whatever its timestamp says: no gap is filled and repeated or
            unordered timestamps are allowed. For benchmark files whose published splits count rows.
        partial: the table is a part of a larger one: channels may be without values here.

    Raises:
        InputError: the table cannot be understood or would spoil a model; says where and what to do.
    """
    frame = index_as_columns(frame, (id_column, timestamp_column))
    refuse_duplicate_columns(frame.columns)
    if frame.empty:
        raise InputError(f"Expected a table with rows, found none (columns: {', '.join(map(str, frame.columns))}).")
    if is_m4(frame) and not (id_column or timestamp_column or target):
        panel = _panel_from_m4(frame, freq)
    else:
        layout = find_layout(frame, id_column, timestamp_column, target)
        panel = _panel_from_rows(frame, layout, freq, sort=sort, rows_as_steps=rows_as_steps)
    seen = observed_channels(panel)
    if not partial:
        refuse_unobserved(panel.channels, seen)
    return panel


def frame_from_forecasts(
    panel: Panel,
    forecasts: Sequence[np.ndarray],
    *,
    timestamps: Sequence[np.ndarray] | None = None,
    quantiles: Sequence[np.ndarray] | None = None,
    quantile_levels: Sequence[float] = (),
) -> pd.DataFrame:
    """Forecasts as a long frame: item, timestamp, ``target_name``, ``predictions``, then one column a quantile.

    The item and time columns have the names they had in the table ``panel`` came from.

    Args:
        panel: the series that were forecast.
        forecasts: one array [C, H] a series, in the order of ``panel.series``.
        timestamps: one array [H] a series; None means the steps right after each series.
        quantiles: one array [C, H, Q] a series.
        quantile_levels: Q levels, which name the quantile columns (``"0.1"``, ...).
    """
    steps = [forecast.shape[-1] for forecast in forecasts]
    if timestamps is None:
        timestamps = [panel.future_timestamps(one, h) for one, h in zip(panel, steps, strict=True)]
    channels = len(panel.channels)
    items = np.array(panel.item_ids, dtype=np.int64 if panel.integer_ids else object)
    columns = {
        panel.id_column: np.repeat(items, [channels * h for h in steps]),
        panel.timestamp_column: np.concatenate([np.tile(moment, channels) for moment in timestamps]),
        "target_name": np.concatenate([np.repeat(np.array(panel.channels, dtype=object), h) for h in steps]),
        "predictions": np.concatenate([np.asarray(forecast, dtype=np.float64).ravel() for forecast in forecasts]),
    }
    if quantiles is not None:
        stacked = np.concatenate(
            [np.asarray(array, np.float64).reshape(-1, len(quantile_levels)) for array in quantiles]
        )
        columns |= {str(level): stacked[:, index] for index, level in enumerate(quantile_levels)}
    return pd.DataFrame(columns)


def is_m4(frame: pd.DataFrame) -> bool:
    """Whether a table has M4's columns: V1, V2, ..."""
    return len(frame.columns) > 1 and all(re.fullmatch(r"V\d+", str(name)) for name in frame.columns)


def _panel_from_m4(frame: pd.DataFrame, freq: str | None) -> Panel:
    """One series a row: id, then values up to the blanks that pad the row; timestamps count from 0."""
    if freq is not None:
        raise InputError(f"freq={freq!r} was given, but M4 tables (V1, V2, ...) have no dates. Leave freq out.")
    _, items = item_codes(frame, frame.columns[0])
    if len(items) < len(frame):
        repeated = frame[frame.columns[0]][frame[frame.columns[0]].duplicated()].iloc[0]
        raise InputError(f"Expected one row a series, found {repeated!r} in column {frame.columns[0]!r} again.")
    rows = channel_values(frame, list(frame.columns[1:])).T
    series = []
    for item, row in zip(items, rows, strict=True):
        observed = np.flatnonzero(~np.isnan(row))
        length = observed[-1] + 1 if len(observed) else 0
        series.append(Series(item, np.arange(length), row[None, :length]))
    return Panel(tuple(series), ("target",), None)


def _panel_from_rows(
    frame: pd.DataFrame, layout: Layout, freq: str | None, *, sort: bool, rows_as_steps: bool
) -> Panel:
    """One step of one item a row (long and wide tables): group by item, check the order, put on the grid."""
    codes, items = item_codes(frame, layout.item)
    times = parse_timestamps(frame[layout.timestamp])
    values = channel_values(frame, layout.channels)
    order = np.lexsort((times, codes)) if sort else np.argsort(codes, kind="stable")
    codes, times, values = codes[order], times[order], values[:, order]
    if not rows_as_steps:
        _refuse_disorder(codes, times, items, order)
    bounds = np.flatnonzero(np.diff(codes, prepend=-1, append=len(items)))
    if freq is None and not rows_as_steps:
        refuse_mixed_steps(times, bounds, items)
    freq = resolve_freq(times, bounds, freq)
    series = [
        Series(item, times[start:stop], values[:, start:stop])
        for item, start, stop in zip(items, bounds[:-1], bounds[1:], strict=True)
    ]
    return Panel(
        tuple(series if rows_as_steps else _fill_gaps(series, Grid(times, bounds, freq))),
        layout.channels,
        freq,
        id_column=layout.item or _ID_COLUMN,
        timestamp_column=layout.timestamp if layout.item else _TIMESTAMP_COLUMN,
        integer_ids=layout.item is not None and pd.api.types.is_integer_dtype(frame[layout.item]),
    )


def _refuse_disorder(codes: np.ndarray, times: np.ndarray, items: list[str], order: np.ndarray) -> None:
    """Raise InputError at timestamps of one item that go back or stay; ``order`` holds the rows they stood in."""
    same_item = codes[1:] == codes[:-1]
    back = np.flatnonzero(same_item & (times[1:] < times[:-1])) + 1
    if len(back):
        here = back[0]
        raise InputError(
            f"Timestamps of item {items[codes[here]]!r} are not in order: {show_moment(times[here])} in row "
            f"{order[here]} comes after {show_moment(times[here - 1])} in row {order[here - 1]}. Sort the rows, or "
            "pass sort=True (--sort)."
        )
    again = np.flatnonzero(same_item & (times[1:] == times[:-1])) + 1
    if len(again):
        here = again[0]
        raise InputError(
            f"Item {items[codes[here]]!r} has timestamp {show_moment(times[here])} more than once (rows "
            f"{order[here - 1]} and {order[here]}; {len(again)} repeated timestamps in all). Keep one row each, or "
            "give id_column if the table holds several items."
        )


def _fill_gaps(series: list[Series], grid: Grid) -> list[Series]:
    """Put every series on its full grid, NaN where it has no row."""
    filled, off_grid = [], []
    for one in series:
        times, positions, on_grid = grid.place(one.timestamps)
        off_grid += [(one.item_id, moment) for moment in one.timestamps[~on_grid]]
        if on_grid.all() and len(times) > len(one):
            values = np.full((len(one.values), len(times)), np.nan)
            values[:, positions] = one.values  # noqa: PD011 - not a pandas object
            one = replace(one, timestamps=times, values=values)
        filled.append(one)
    if off_grid:
        total = sum(len(one) for one in series)
        item, moment = off_grid[0]
        raise InputError(
            f"{len(off_grid)} of {total} timestamps lie off the regular grid {grid} (first: {show_moment(moment)} of "
            f"item {item!r}). Resample the data to a regular step, or give the freq they follow."
        )
    return filled


def observed_channels(panel: Panel) -> np.ndarray:
    """Which channels [C] have a value in any series.

    Raises:
        InputError: a series has none at all.
    """
    seen = np.zeros(len(panel.channels), dtype=bool)
    for series in panel:
        observed = (~np.isnan(series.values)).any(axis=1)
        if not observed.any():
            raise InputError(f"Item {series.item_id!r} has no value at all: each cell is missing. Leave the item out.")
        seen |= observed
    return seen


def refuse_unobserved(channels: Sequence[str], seen: np.ndarray) -> None:
    """Raise InputError if a channel was not seen [C] with any value."""
    if not seen.all():
        name = channels[int(seen.argmin())]
        raise InputError(f"Column {name!r} has no value at all. Leave it out, or name the columns to use with target.")
