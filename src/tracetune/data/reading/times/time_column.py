"""Find the columns of the time, by content, then by name; days and hours in two columns are put together."""

import re
from collections.abc import Sequence
from dataclasses import replace

import numpy as np
import pandas as pd

from tracetune.base.errors import InputError, any_of, argument
from tracetune.data.reading.columns import TIME_NAMES, DateReading, TimeColumn, is_named
from tracetune.data.reading.missing import is_missing, is_textual
from tracetune.data.reading.numbers import as_numbers, counts_steps, looks_like_number
from tracetune.data.reading.options import ReadingOptions
from tracetune.data.reading.raw import Decision, RawTable, listed, shown
from tracetune.data.reading.times.date_parts import HOURS, dates_of_parts, in_part_range, parts_by_name
from tracetune.data.reading.times.dates import looks_like_dates, readings, refuse_unreadable

_HINT = re.compile(
    r"time|date|^ts$|_ts$|epoch|unix|stamp|^ds$|month|period|week|quarter|^day$|^dt$|yyyy|index|datum|fecha",
    re.IGNORECASE,
)
_CLOCK_TEXT = r"\d{1,2}[:.h]\d{2}([:.]\d{2}([.,]\d+)?)?( ?[AaPp]\.?[Mm]\.?)?"


class NoTimeColumnError(InputError):
    """No column of a table holds times."""


def find_time(raw: RawTable, options: ReadingOptions) -> TimeColumn:
    """Return the time column of a table with one step a row.

    Raises:
        NoTimeColumnError: there is none.
        InputError: several that differ, or one that cannot be read in all rows.
    """
    frame = raw.frame
    if options.timestamp_column:
        columns = options.timestamp_column
        found = _of_columns(raw, columns, options)
        return replace(found, decision=_decision(columns, "it was given"))
    dates = [name for name in frame.columns if _holds_dates(frame[name], raw, options)]
    if dates:
        name, reason = _best_of(dates, raw)
        hour = _hour_beside(raw, name, options)
        if hour is not None:
            together = _of_columns(raw, (name, hour), options)
            return replace(together, decision=_decision((name, hour), f"{reason}, and {shown(hour)} has the hours"))
        found = _of_columns(raw, (name,), options)
        return replace(found, decision=_decision((name,), reason))
    parts = parts_by_name(raw)
    if len(parts) > 1:
        found = _of_columns(raw, tuple(parts.values()), options)
        return replace(found, decision=_decision(tuple(parts.values()), "they hold the parts of a date"))
    named = [name for usual in TIME_NAMES for name in frame.columns if is_named(name, (usual,))]
    for name in named:
        if readings(frame[name], options):
            found = _of_columns(raw, (name,), options)
            return replace(found, decision=_decision((name,), "it has a usual name and holds whole numbers"))
    for name in (name for name in frame.columns if re.search(r"time|stamp", str(name), re.IGNORECASE)):
        if counts_steps(frame[name], raw) and readings(frame[name], options):
            found = _of_columns(raw, (name,), options)
            return replace(found, decision=_decision((name,), "its name speaks of time, and it counts steps"))
    for name in named[:1] or [name for name in frame.columns if _looks_like_dates(frame[name])][:1]:
        refuse_unreadable(frame[name], raw, options)
    raise NoTimeColumnError(
        f"Found no time column among {listed('column', frame.columns)}: none holds dates. Name it with "
        f"{argument('timestamp_column', _counter(raw) or 'NAME')}, or, if each row is one step, give "
        f"{argument('layout', 'rows')}.{_wide_hint(raw)}"
    )


def _counter(raw: RawTable) -> str | None:
    """Return the first column of whole numbers that counts from row to row, which may number the steps."""
    for name in raw.frame.columns:
        values = as_numbers(raw.frame[name].head(1000), raw).values
        if counts_steps(raw.frame[name], raw) and (values == np.round(values)).all():
            return str(name)
    return None


def _wide_hint(raw: RawTable) -> str:
    """Return what to do about a table that is wider than long and has numbers for names: it may lack a header."""
    names = [str(name) for name in raw.frame.columns]
    if len(names) <= max(len(raw.frame), 12) or 2 * sum(map(looks_like_number, names)) < len(names):
        return ""
    return (
        " If each row is one series, the header is missing: put a line above that numbers the steps, such as "
        "item_id,1,2,3."
    )


def _looks_like_dates(cells: pd.Series) -> bool:
    """Return whether most cells are written like dates, though some are none."""
    return bool(cells.astype(str).str.fullmatch(r"\d{1,4}[-/.]\d{1,2}[-/.]\d{1,4}([ T].*)?").mean() > 0.8)


def _decision(columns: tuple[str, ...], reason: str) -> Decision:
    value = columns[0] if len(columns) == 1 else columns
    return Decision("time column", ", ".join(columns), reason, "timestamp_column", value)


def _holds_dates(cells: pd.Series, raw: RawTable, options: ReadingOptions) -> bool:
    """Return whether a column holds dates: most cells of a sample do; numbers count only under a name that says so."""
    name = str(cells.name)
    if pd.api.types.is_numeric_dtype(cells.dtype) or is_textual(cells):
        sample = cells[~is_missing(cells)].head(80)
        numbers = as_numbers(sample, raw)
        numeric = not numbers.wrong.any() and len(sample) > 0 and not sample.map(_is_stamp).any()
        if numeric and not (_HINT.search(name) or _compact(numbers.values)):
            return False
    if not looks_like_dates(cells, options):
        sample = cells[~is_missing(cells)]
        if not _HINT.search(name) or len(sample) < 4:
            return False
        places = np.unique(np.linspace(0, len(sample) - 1, 12).astype(int))
        alike = [looks_like_dates(sample.iloc[[place]], options) for place in places]
        return sum(alike) * 4 >= 3 * len(alike)
    return True


def _is_stamp(cell: object) -> bool:
    return hasattr(cell, "year")


def _compact(values: np.ndarray) -> bool:
    """Return whether numbers are days written as 20240131, which hardly anything else looks like."""
    return len(values) >= 4 and bool((values >= 19000101).all() and (values <= 21001231).all())


def _best_of(names: Sequence[str], raw: RawTable) -> tuple[str, str]:
    """Return the one of several columns of dates that is the time of the rows, and why."""
    if len(names) == 1:
        return names[0], "it holds dates and no other column does"
    distinct = {name: raw.frame[name].nunique() for name in names}
    finest = [name for name in names if 2 * distinct[name] > max(distinct.values())]
    if len(finest) == 1:
        return finest[0], "it has the most dates of " + listed("column", names)
    for usual in TIME_NAMES[:6]:
        usuals = [name for name in finest if is_named(name, (usual,))]
        if usuals:
            return usuals[0], "it holds dates and has a usual name"
    first = raw.frame[finest[0]]
    if all(_paired(first, raw.frame[name]) for name in finest[1:]):
        return finest[0], f"it is the first of {listed('column', finest)}, which tell the same times"
    raise InputError(
        f"Found dates in {listed('column', finest)}. Say which is the time of the rows: "
        f"{any_of('timestamp_column', finest)}."
    )


def _paired(first: pd.Series, second: pd.Series) -> bool:
    pairs = pd.DataFrame({"a": first.astype(str), "b": second.astype(str)}).drop_duplicates()
    return len(pairs) <= 1.01 * min(first.nunique(), second.nunique()) + 1


def _hour_beside(raw: RawTable, date: str, options: ReadingOptions) -> str | None:
    """Return a column of hours or clock times that goes with a column of days."""
    frame = raw.frame
    found = readings(frame[date].drop_duplicates().head(200), options)
    if not found or not all(each.is_dates and _whole_days(each.times) for each in found):
        return None
    if not frame[date].duplicated().any():
        return None
    for name in frame.columns:
        if name == date or is_missing(frame[name]).any():
            continue
        sample = frame[name].drop_duplicates().head(200)
        hours = is_named(name, HOURS) and in_part_range(as_numbers(sample, raw).values, "hour")
        if len(sample) > 1 and (hours or _clock_times(sample)):
            return str(name)
    return None


def _clock_times(cells: pd.Series) -> bool:
    """Return whether cells are times of day: 18:00, or 18.00.00 and 18.00 under a name that says so."""
    if cells.map(lambda cell: hasattr(cell, "hour") and not hasattr(cell, "year")).all():
        return True
    if not is_textual(cells) or not cells.astype(str).str.strip().str.fullmatch(_CLOCK_TEXT).all():
        return False
    return not cells.astype(str).str.fullmatch(r"\d+\.\d+").all() or bool(_HINT.search(str(cells.name)))


def _whole_days(times: np.ndarray) -> bool:
    return bool((times == times.astype("datetime64[D]")).all())


def _of_columns(raw: RawTable, columns: tuple[str, ...], options: ReadingOptions) -> TimeColumn:
    """Return the time that one column tells, or several together.

    Raises:
        InputError: no such column, or cells that are no points in time.
    """
    absent = [name for name in columns if name not in raw.frame.columns]
    if absent:
        raise InputError(f"Expected {listed('column', absent)}; found {listed('column', raw.frame.columns)}.")
    decision = _decision(columns, "")
    if len(columns) == 1:
        cells = raw.frame[columns[0]]
        found = readings(cells, options)
        if not found:
            refuse_unreadable(cells, raw, options)
        return TimeColumn(columns, cells, found, decision)
    cells = raw.frame[list(columns)].astype(str).agg(" ".join, axis=1).rename(" ".join(columns))
    first = readings(raw.frame[columns[0]], options)
    if first and any(each.is_dates for each in first):
        times, note = _with_clock(raw, columns, first)
        return TimeColumn(columns, cells, times, decision, (note,) if note else ())
    return TimeColumn(columns, cells, [dates_of_parts(raw, columns)], decision)


def _with_clock(raw: RawTable, columns: tuple[str, ...], first: list[DateReading]) -> tuple[list[DateReading], str]:
    """Return days of the first column, with the time of day of the second."""
    if len(columns) != 2:
        raise InputError(f"Expected a column of dates and one of hours, found {listed('column', columns)}.")
    cells = raw.frame[columns[1]]
    note = ""
    values = as_numbers(cells, raw).values
    if in_part_range(values, "hour") and not (is_textual(cells) and cells.astype(str).str.contains(":").any()):
        into = values.astype(np.int64) * 3_600_000_000_000
        if values.max() == 24:
            note = f"hour 24 of {shown(columns[1])} is midnight at the end of the day"
    else:
        text = (
            cells.astype(str)
            .str.strip()
            .str.replace("h", ":")
            .str.replace(r"^(\d{1,2})\.(\d{2})", r"\1:\2", regex=True)
        )
        text = text.str.replace(r"^(\d{1,2}:\d{2})\.(\d{2})$", r"\1:\2", regex=True)
        into_text = _clock_ticks(text)
        if into_text is None:
            wrong = int(text.str.fullmatch(_CLOCK_TEXT).eq(False).to_numpy().argmax())
            raise InputError(
                f"Column {shown(columns[1])} must hold the hour or the clock time of each row, found "
                f"{shown(cells.iloc[wrong])} in {raw.row(wrong)}."
            )
        into = into_text
    moved = into.astype("timedelta64[ns]")
    return [replace(each, times=each.times + moved) for each in first if each.is_dates], note


def _clock_ticks(text: pd.Series) -> np.ndarray | None:
    """Return nanoseconds since midnight of clock times such as 18:00, 18:00:30 or 6:00 PM; None if a cell is none."""
    if text.str.contains(r"[AaPp]\.?[Mm]").any():
        for form in ("%I:%M %p", "%I:%M%p", "%I:%M:%S %p"):
            times = pd.to_datetime(text.str.replace(".", ""), format=form, errors="coerce")
            if times.notna().all():
                return (times - times.dt.normalize()).to_numpy("timedelta64[ns]").astype(np.int64)
        return None
    full = text.where(text.str.count(":") > 1, text + ":00")
    ticks = pd.to_timedelta(full, errors="coerce")
    return None if ticks.isna().any() else ticks.to_numpy("timedelta64[ns]").astype(np.int64)
