"""Forecasts as a table, with the names, time zone and kind of the table they were made from."""

from collections.abc import Iterable, Sequence
from typing import Any

import narwhals as nw
import numpy as np
import pandas as pd
from pandas.api.extensions import ExtensionDtype
from pyarrow import ArrowInvalid

from tracetune.data.panels import Panel

_TARGET_NAME, _PREDICTIONS = "target_name", "predictions"


def frame_from_forecasts(
    panel: Panel,
    forecasts: Sequence[np.ndarray],
    *,
    timestamps: Sequence[np.ndarray] | None = None,
    quantiles: Sequence[np.ndarray] | None = None,
    quantile_levels: Sequence[float] = (),
) -> Any:
    """Return forecasts as a long frame: items, timestamp, ``target_name``, ``predictions``, one column a quantile.

    Item and time columns have the names they had in the source, and there is no item column where the source had
    none. Where one of ours has a name that the source uses, ours gets an underscore at its end.

    Args:
        panel: the series that were forecast.
        forecasts: one array [C, H] a series, in the order of ``panel.series``.
        timestamps: one array [H] a series; None means the steps right after each series.
        quantiles: one array [C, H, Q] a series.
        quantile_levels: Q levels, which name the quantile columns (``"0.1"``, ...).

    Returns:
        A frame of the kind that the panel came from: pandas, polars or pyarrow.
    """
    steps = [forecast.shape[-1] for forecast in forecasts]
    if timestamps is None:
        timestamps = [panel.future_timestamps(one, h) for one, h in zip(panel, steps, strict=True)]
    channels = len(panel.channels)
    rows = [channels * h for h in steps]
    origin = panel.origin
    columns: dict[str, Any] = {
        name: np.repeat(item_keys(panel, index), rows) for index, name in enumerate(origin.id_columns)
    }
    moments = np.concatenate([np.tile(moment, channels) for moment in timestamps])
    columns[origin.timestamp_column] = clock_times(panel, moments)
    names = np.array(panel.channels, dtype=object)
    columns[free_name(_TARGET_NAME, columns)] = np.concatenate([np.repeat(names, h) for h in steps])
    columns[free_name(_PREDICTIONS, columns)] = np.concatenate(
        [np.asarray(one, np.float64).ravel() for one in forecasts]
    )
    if quantiles is not None:
        stacked = np.concatenate([np.asarray(one, np.float64).reshape(-1, len(quantile_levels)) for one in quantiles])
        for index, level in enumerate(quantile_levels):
            columns[free_name(str(level), columns)] = stacked[:, index]
    return of_kind(pd.DataFrame(columns), origin.frame)


def of_kind(frame: pd.DataFrame, kind: str) -> Any:
    """Return a pandas frame as one of ``kind``: ``pandas``, ``polars`` or ``pyarrow``."""
    if kind == "pandas":
        return frame
    narrow = nw.from_native(frame, eager_only=True)
    return narrow.to_polars() if kind == "polars" else narrow.to_arrow()


def item_keys(panel: Panel, index: int) -> Any:
    """Return what stands in an item column for each series, [S], of the type that it had in the source."""
    keys = [series.key[index] if series.key else series.item_id for series in panel]
    kind = panel.origin.id_types[index] if panel.origin.id_types else None
    return as_type(keys, kind)


def as_type(keys: Sequence[object], kind: object) -> Any:
    """Return keys as an array of this type of pandas, such as categories; as they are where they do not fit it."""
    if isinstance(kind, ExtensionDtype):
        try:
            typed = pd.Series(list(keys), dtype=kind)
        except (TypeError, ValueError, ArrowInvalid):
            typed = pd.Series([None])
        if not typed.isna().any():
            return typed.array
    whole = all(isinstance(key, (int, np.integer)) and not isinstance(key, bool) for key in keys)
    return np.array(keys, dtype=np.int64 if keys and whole else object)


def clock_times(panel: Panel, moments: np.ndarray) -> pd.Series:
    """Return timestamps in the zone of the source; a local time that its clock skips is the next that it shows."""
    column, zone = pd.Series(moments), panel.origin.zone
    if zone is None or not np.issubdtype(moments.dtype, np.datetime64):
        return column
    if panel.origin.local_clock:
        earlier = np.ones(len(column), dtype=bool)
        return column.dt.tz_localize(zone, ambiguous=earlier, nonexistent="shift_forward")
    return column.dt.tz_localize("UTC").dt.tz_convert(zone)


def shown_times(panel: Panel, moments: np.ndarray) -> np.ndarray:
    """Return timestamps [T] as the clock of the source shows them, without a zone; counted steps as they are."""
    times = clock_times(panel, moments)
    zoned = isinstance(times.dtype, pd.DatetimeTZDtype)
    return (times.dt.tz_localize(None) if zoned else times).to_numpy()


def free_name(name: str, taken: Iterable[str]) -> str:
    """Return ``name`` with as many underscores at its end as make it none of those ``taken``."""
    while name in taken:
        name += "_"
    return name
