"""What the columns of a user's table are: items, timestamps and channels, each checked while it is read."""

import logging
import re
import warnings
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd

from tracetune.base.errors import InputError

logger = logging.getLogger(__name__)

SINGLE_ITEM = "series"

ITEM_NAMES = ("item_id", "unique_id")
TIMESTAMP_NAMES = ("timestamp", "ds", "date")
_TARGET_NAMES = ("target", "y")
_COMPACT_DATES = (19000101, 21001231)
_ZONED = re.compile(r"(?P<clock>\d\d:\d\d(:\d\d(\.\d+)?)?)\s*(Z|[+-]\d\d(:?\d\d)?)$")
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
    timestamp = timestamp or _first_present(frame, TIMESTAMP_NAMES, without=named)
    if timestamp is None:
        raise InputError(f"Found no time column among {_listed('column', frame.columns)}. {_LAYOUTS}")
    return Layout(item, timestamp, tuple(channels) or _default_channels(frame, item, timestamp))


def refuse_duplicate_columns(columns: pd.Index | pd.Series) -> None:
    """Raise InputError if a column name occurs twice."""
    names = pd.Index(columns)
    if names.has_duplicates:
        repeated = names[names.duplicated()].unique()
        raise InputError(f"Expected distinct column names, found {_listed('column', repeated)} more than once.")


def index_as_columns(frame: pd.DataFrame, named: Sequence[str | None] = ()) -> pd.DataFrame:
    """``frame`` with items or times that stand in its index, as pandas users often keep them, moved to columns.

    A level counts if its name is a usual one or in ``named``; an index of dates without a name is the time.
    """
    if isinstance(frame.index, (pd.DatetimeIndex, pd.PeriodIndex)) and frame.index.name is None:
        has_time = _first_present(frame, TIMESTAMP_NAMES, without=()) is not None
        return frame if has_time else frame.rename_axis(index=TIMESTAMP_NAMES[0]).reset_index()
    wanted = [
        name
        for name in frame.index.names
        if name is not None
        and name not in frame.columns
        and (is_usual(name, ITEM_NAMES + TIMESTAMP_NAMES) or name in named)
    ]
    return frame.reset_index(level=wanted) if wanted else frame


def is_usual(name: object, names: Sequence[str]) -> bool:
    """Whether a column is called one of ``names``, whatever the case and the blanks around it."""
    return str(name).strip().casefold() in names


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

    Integers like 20240131 are dates. Where every timestamp is a local midnight, the local dates are kept: in UTC
    the days of a zone with summer time would not be regular.

    Raises:
        InputError: a timestamp is missing or cannot be read; names its row.
    """
    _refuse_missing_timestamps(column, column.isna())
    if pd.api.types.is_integer_dtype(column):
        return _integers(column)
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


def _integers(column: pd.Series) -> np.ndarray:
    """The numbers, or the dates if each of them is one written as 20240131."""
    if column.max() > np.iinfo(np.int64).max:
        raise InputError(f"Column {column.name!r} must hold dates or integers of 64 bits, found {column.max()}.")
    numbers = column.to_numpy(np.int64)
    if _COMPACT_DATES[0] <= numbers.min() and numbers.max() <= _COMPACT_DATES[1]:
        dates = pd.to_datetime(pd.Series(numbers).astype(str), format="%Y%m%d", errors="coerce")
        if dates.notna().all():
            return dates.to_numpy("datetime64[ns]")
    return numbers


def _parse_dates(column: pd.Series) -> pd.Series:
    """Dates in UTC, ISO 8601 first; otherwise one and the same format for the whole column."""
    days = _local_days(column)
    if days is not None:
        return days
    try:
        return pd.to_datetime(column, utc=True, format="ISO8601")
    except (ValueError, TypeError):
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", UserWarning)  # pandas tells that it reads row by row, e.g. 2024Q1
            parsed = pd.to_datetime(column, utc=True, errors="coerce")
    _refuse_missing_timestamps(column, parsed.isna())
    return parsed


def _local_days(column: pd.Series) -> pd.Series | None:
    """The dates of timestamps with zones that all are midnights where they were taken, else None."""
    if isinstance(column.dtype, pd.DatetimeTZDtype):
        local = column.dt.tz_localize(None)
    elif isinstance(column.iloc[0], str) and _ZONED.search(column.iloc[0]):
        clock = column.astype(str).str.replace(_ZONED, r"\g<clock>", regex=True)
        local = pd.to_datetime(clock, format="ISO8601", errors="coerce")
    else:
        return None
    if not isinstance(local.dtype, np.dtype) or not (local == local.dt.normalize()).all():
        return None
    return local


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
    """The first of ``names`` that is a column, as it is written there; exact spellings come first."""
    exact = [name for name in names if name in frame.columns]
    alike = [column for name in names for column in frame.columns if is_usual(column, (name,))]
    return next((name for name in [*exact, *alike] if name not in without), None)


def _shown(cell: object) -> str:
    empty = pd.api.types.is_scalar(cell) and pd.isna(cell)  # type: ignore[call-overload]
    return "an empty cell" if empty else repr(cell)


def _listed(noun: str, names: Iterable[object], most: int = 12) -> str:
    every = [repr(name) for name in names]
    shown = ", ".join(every[:most]) + (f", ... ({len(every)} in all)" if len(every) > most else "")
    return f"{noun}{'s' if len(every) > 1 else ''} {shown}"
