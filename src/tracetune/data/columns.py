"""What the columns of a user's table are: items, timestamps and channels, each checked while it is read."""

import logging
import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd

from tracetune.base.errors import InputError

logger = logging.getLogger(__name__)

SINGLE_ITEM = "series"

ITEM_NAMES = ("item_id", "unique_id")
_TIMESTAMP_NAMES = ("timestamp", "ds", "date")
_TARGET_NAMES = ("target", "y")
_LAYOUTS = (
    "Recognised layouts: long (item_id, timestamp, target or unique_id, ds, y), wide (date and one numeric column a "
    "channel), M4 (V1, V2, ...: one series a row). Otherwise name id_column, timestamp_column and target."
)


@dataclass(frozen=True)
class Layout:
    """Which columns of a table play which part; ``item`` None means that the table is one series."""

    item: str | None
    timestamp: str
    channels: tuple[str, ...]


def find_layout(
    frame: pd.DataFrame, item: str | None, timestamp: str | None, target: str | Sequence[str] | None
) -> Layout:
    """The layout of ``frame``: names given by the user first, then the usual ones.

    Raises:
        InputError: a column that was named, or that every layout needs, is absent.
    """
    channels = [] if target is None else [target] if isinstance(target, str) else list(target)
    named = [name for name in (item, timestamp, *channels) if name is not None]
    absent = [name for name in named if name not in frame.columns]
    if absent:
        raise InputError(f"Expected {_listed('column', absent)}; found {_listed('column', frame.columns)}.")
    repeated = sorted({name for name in named if named.count(name) > 1})
    if repeated:
        raise InputError(f"Expected a different column for each part, found {_listed('column', repeated)} named twice.")
    item = item or _first_present(frame, ITEM_NAMES, without=named)
    timestamp = timestamp or _first_present(frame, _TIMESTAMP_NAMES, without=named)
    if timestamp is None:
        raise InputError(f"Found no time column among {_listed('column', frame.columns)}. {_LAYOUTS}")
    return Layout(item, timestamp, tuple(channels) or _default_channels(frame, item, timestamp))


def refuse_duplicate_columns(columns: pd.Index | pd.Series) -> None:
    """Raise InputError if a column name occurs twice."""
    names = pd.Index(columns)
    if names.has_duplicates:
        repeated = names[names.duplicated()].unique()
        raise InputError(f"Expected distinct column names, found {_listed('column', repeated)} more than once.")


def item_codes(frame: pd.DataFrame, column: str | None) -> tuple[np.ndarray, list[str]]:
    """Item number of each row, and the item names in order of first appearance."""
    if column is None:
        return np.zeros(len(frame), dtype=np.int64), [SINGLE_ITEM]
    missing = frame[column].isna().to_numpy()
    if missing.any():
        raise InputError(
            f"Column {column!r} names the items, but {missing.sum()} rows have none (first: row {missing.argmax()}). "
            "Fill them in or drop these rows."
        )
    codes, items = pd.factorize(frame[column].astype(str))
    return codes, [str(item) for item in items]


def parse_timestamps(column: pd.Series) -> np.ndarray:
    """Timestamps [rows] as int64 (kept) or datetime64[ns] (text parsed, zones turned into UTC and dropped).

    Raises:
        InputError: a timestamp is missing or cannot be read; names its row.
    """
    _refuse_missing_timestamps(column, column.isna())
    if pd.api.types.is_integer_dtype(column):
        return column.to_numpy(np.int64)
    if pd.api.types.is_numeric_dtype(column):
        return _whole_numbers(column)
    if isinstance(column.dtype, pd.PeriodDtype):
        column = column.dt.to_timestamp()
    return _parse_dates(column).dt.tz_localize(None).to_numpy("datetime64[ns]")


def channel_values(frame: pd.DataFrame, channels: Sequence[str]) -> np.ndarray:
    """Values [C, rows] in float64, NaN where missing.

    Raises:
        InputError: a cell holds text or an infinity; names its row and column.
    """
    values = np.empty((len(channels), len(frame)))
    for index, name in enumerate(channels):
        values[index] = _numbers(frame[name])
        infinite = np.isinf(values[index])
        if infinite.any():
            raise InputError(
                f"Column {name!r} has {infinite.sum()} infinite values (first: row {infinite.argmax()}). "
                "Replace them by numbers, or leave the cells empty: missing values are fine."
            )
    return values


def _default_channels(frame: pd.DataFrame, item: str | None, timestamp: str) -> tuple[str, ...]:
    """The usual target first, then every other numeric column."""
    target = _first_present(frame, _TARGET_NAMES, without=(timestamp,))
    if item is not None and target is None:
        raise InputError(f"Found no target column among {_listed('column', frame.columns)}. {_LAYOUTS}")
    others = [name for name in frame.columns if name not in (item, timestamp, target)]
    kept = [name for name in others if _is_channel(frame[name])]
    ignored = [name for name in others if name not in kept]
    if ignored:
        logger.warning("Ignoring %s: not numeric, or an index without a name.", _listed("column", ignored))
    channels = ([] if target is None else [target]) + kept
    if not channels:
        raise InputError(f"Found no numeric column to use as target among {_listed('column', frame.columns)}.")
    return tuple(channels)


def _is_channel(column: pd.Series) -> bool:
    """Whether an unnamed-by-the-user column is meant as numbers; text in a mostly numeric one is refused later."""
    if re.fullmatch(r"Unnamed: \d+", str(column.name)):
        return False
    if pd.api.types.is_numeric_dtype(column):
        return True
    if pd.api.types.is_object_dtype(column) or pd.api.types.is_string_dtype(column):
        numeric = pd.to_numeric(column, errors="coerce").notna().sum()
        return bool(2 * numeric > column.notna().sum())
    return False


def _numbers(column: pd.Series) -> np.ndarray:
    numbers = pd.to_numeric(column, errors="coerce")
    wrong = (numbers.isna() & column.notna()).to_numpy()
    if wrong.any():
        row = int(wrong.argmax())
        raise InputError(
            f"Column {column.name!r} must hold numbers, found {_shown(column.iloc[row])} in row {row} "
            f"({wrong.sum()} such cells). Correct them, or leave the cells empty: missing values are fine."
        )
    return numbers.to_numpy(np.float64, na_value=np.nan)


def _parse_dates(column: pd.Series) -> pd.Series:
    """Dates in UTC, ISO 8601 first; otherwise one and the same format for the whole column."""
    try:
        return pd.to_datetime(column, utc=True, format="ISO8601")
    except (ValueError, TypeError):
        parsed = pd.to_datetime(column, utc=True, errors="coerce")
    _refuse_missing_timestamps(column, parsed.isna())
    return parsed


def _refuse_missing_timestamps(column: pd.Series, missing: pd.Series) -> None:
    if missing.any():
        row = int(missing.to_numpy().argmax())
        raise InputError(
            f"Column {column.name!r} must hold a date or an integer in each row, found {_shown(column.iloc[row])} in "
            f"row {row} ({missing.sum()} such cells). Write dates in one form, best as 2024-01-31 13:00."
        )


def _whole_numbers(column: pd.Series) -> np.ndarray:
    numbers = column.to_numpy(np.float64)
    broken = numbers != np.round(numbers)
    if broken.any():
        raise InputError(
            f"Column {column.name!r} must hold dates or integers, found {numbers[broken][0]} in row {broken.argmax()}."
        )
    return numbers.astype(np.int64)


def _first_present(frame: pd.DataFrame, names: Sequence[str], without: Sequence[str]) -> str | None:
    return next((name for name in names if name in frame.columns and name not in without), None)


def _shown(cell: object) -> str:
    return "an empty cell" if pd.isna(cell) else repr(cell)  # type: ignore[call-overload]


def _listed(noun: str, names: Iterable[object], most: int = 12) -> str:
    every = [repr(name) for name in names]
    shown = ", ".join(every[:most]) + (f", ... ({len(every)} in all)" if len(every) > most else "")
    return f"{noun}{'s' if len(every) > 1 else ''} {shown}"
