"""A column as points in time: all ways in which the whole column can be read.

One format holds for a whole column. Where several formats fit all of its cells (01/02/2024), each of them is a
`DateReading`, and the time grids that result decide between them (see `date_choice`).
"""

import datetime
import re
from collections.abc import Iterator

import numpy as np
import pandas as pd
import pyarrow as pa

from tracetune.base.errors import InputError, argument
from tracetune.data.reading.columns import DateReading
from tracetune.data.reading.missing import is_missing, is_textual
from tracetune.data.reading.options import ReadingOptions
from tracetune.data.reading.raw import RawTable, shown, such_cells
from tracetune.data.reading.times.date_formats import parsed, says_day_first, shape, shapes
from tracetune.data.reading.times.month_names import in_english
from tracetune.data.reading.times.named_periods import PERIODS, WEEKS_NOTE, mondays_of_numbers, odd_week
from tracetune.data.time_text import WORKBOOK_DAYS, WORKBOOK_START

INTEGERS = "integers"
_MINUTE = 60_000_000_000
_PROBED = 40  # distinct cells that a format is tried on before all are
_ISO = re.compile(r"\d{4}-\d{2}(-\d{2}([T ]\d{2}(:?\d{2}(:?\d{2}([.,]\d+)?)?)?)?)?")
_ZONE = re.compile(r"(?<=\d)\s*(Z|UTC|GMT|[+-]\d\d:?\d\d|[+-]\d\d)$")
_DATE_NAME = re.compile(
    r"(^|[^a-z])(date|datetime|timestamp|ds|dt|day|week|month|quarter|period|datum|tag|fecha)([^a-z]|$)", re.IGNORECASE
)
_WORKBOOK_RANGE = (32_874, 55_153)  # 1990-01-01 to 2050-12-31
_CLOCK = re.compile(r"\d{1,2}:\d\d|T\d{4}")
_EPOCHS = {"seconds": (10, 1), "milliseconds": (13, 1_000), "microseconds": (16, 10**6), "nanoseconds": (19, 10**9)}


def readings(cells: pd.Series, options: ReadingOptions) -> list[DateReading]:
    """Return every way in which all cells of a column are points in time; none if some are not.

    Missing cells make a column unreadable; see `refuse_unreadable` for the error.
    """
    cells = _plain(cells)
    if len(cells) == 0 or is_missing(cells).any():
        return []
    if isinstance(cells.dtype, pd.DatetimeTZDtype):
        return [_zoned(cells)]
    if pd.api.types.is_datetime64_dtype(cells.dtype):
        return [DateReading("dates", cells.to_numpy("datetime64[ns]"))]
    if pd.api.types.is_bool_dtype(cells.dtype):
        return []
    if pd.api.types.is_numeric_dtype(cells.dtype):
        return _of_numbers(cells, options)
    if not is_textual(cells):
        return []
    if not cells.map(lambda cell: isinstance(cell, str)).all():
        return _of_objects(cells, options)
    return _of_text(cells, options)


def looks_like_dates(cells: pd.Series, options: ReadingOptions) -> bool:
    """Return whether some of the cells, and so perhaps all, are dates (integers that count steps are none)."""
    sample = cells[~is_missing(cells)].head(2 * _PROBED)
    return any(reading.is_dates for reading in readings(sample, options))


def refuse_unreadable(cells: pd.Series, raw: RawTable, options: ReadingOptions) -> None:
    """Raise InputError for a time column without any reading: names the first cell that does not fit the others."""
    name = shown(cells.name)
    missing = is_missing(cells)
    if missing.any():
        place = int(missing.argmax())
        raise InputError(
            f"Column {name} must hold a date or an integer in each row, found {shown(cells.iloc[place])} in "
            f"{raw.row(place)} ({such_cells(missing.sum())}). Fill them in, or drop these rows."
        )
    place, form = _first_odd(cells, options)
    if options.date_format is not None:
        found = f"found {shown(cells.iloc[place])} in {raw.row(place)}"
        raise InputError(f"Expected column {name} to hold dates as {options.date_format!r}, {found}.")
    if str(cells.iloc[place]).strip() == str(cells.name):
        raise InputError(
            f"The header is repeated in {raw.row(place)} ({such_cells(cells.astype(str).eq(str(cells.name)).sum())}). "
            "Remove these rows, or read the tables one by one."
        )
    like = f"The other cells fit {form}. " if form else ""
    raise InputError(
        f"Column {name} must hold a date or an integer in each row, found {shown(cells.iloc[place])} in "
        f"{raw.row(place)}. {like}Write all dates in one form, best as 2024-01-31 13:00, or say how they are written "
        f"with {argument('date_format', '%d.%m.%Y')}."
    )


def _first_odd(cells: pd.Series, options: ReadingOptions) -> tuple[int, str]:
    """Return the first cell that the form of most cells does not fit, and that form."""
    text = _plain(cells).astype(str).reset_index(drop=True)
    with_zone = text.map(_has_zone).to_numpy(bool)
    if with_zone.any() and not with_zone.all():
        return int((with_zone != with_zone[0]).argmax()), f"{text[0]!r}"
    if (odd := odd_week(text)) is not None:
        return odd, "ISO weeks"
    best: tuple[int, int, str] = (0, 0, "")
    probe = text.drop_duplicates().head(_PROBED)
    for form in _formats(options):
        if not any(map(shape(form).fullmatch, probe)):
            continue
        fitting = int(parsed(probe, form).notna().sum())
        if fitting > best[0]:
            wrong = parsed(text, form).isna().to_numpy()
            if wrong.any():
                best = (fitting, int(wrong.argmax()), form)
    return best[1], best[2]


def _plain(cells: pd.Series) -> pd.Series:
    """Return a column in types of pandas: arrow's, categories and periods become what they hold."""
    if isinstance(cells.dtype, pd.ArrowDtype):
        cells = pd.Series(
            pa.array(cells.array).to_pandas().to_numpy(dtype=object), cells.index, name=cells.name
        ).infer_objects()
    if isinstance(cells.dtype, pd.CategoricalDtype):
        cells = cells.astype(cells.cat.categories.dtype)
    if isinstance(cells.dtype, pd.PeriodDtype):
        return cells.dt.to_timestamp().astype("datetime64[ns]")
    if isinstance(cells.dtype, pd.StringDtype):
        return cells.astype(object)
    return cells


def _zoned(cells: pd.Series) -> DateReading:
    zone = str(cells.dt.tz)
    clock = cells.dt.tz_localize(None).to_numpy("datetime64[ns]")
    utc = cells.dt.tz_convert("UTC").dt.tz_localize(None).to_numpy("datetime64[ns]")
    return DateReading("dates with a zone", clock, clock.astype(np.int64) - utc.astype(np.int64), zone)


def _of_objects(cells: pd.Series, options: ReadingOptions) -> list[DateReading]:
    """Return columns of Python objects: dates, stamps with and without zones, numbers among text."""
    if cells.map(lambda cell: isinstance(cell, (int, np.integer)) and not isinstance(cell, bool)).all():
        return _of_numbers(cells, options)
    if not cells.map(lambda cell: isinstance(cell, datetime.date)).all():
        return []
    zoned = cells.map(lambda cell: getattr(cell, "tzinfo", None) is not None)
    try:
        if not zoned.any():
            return [DateReading("dates", pd.to_datetime(cells).to_numpy("datetime64[ns]"))]
        if not zoned.all():
            return []
        ahead = cells.map(lambda cell: int(cell.utcoffset().total_seconds())).to_numpy(np.int64) * 1_000_000_000
        utc = pd.to_datetime(cells, utc=True).dt.tz_localize(None).to_numpy("datetime64[ns]")
        zones = {str(cell.tzinfo) for cell in cells.drop_duplicates().head(1000)}
    except (ValueError, TypeError, OverflowError):
        return []
    zone = zones.pop() if len(zones) == 1 else _fixed_zone(int(ahead[-1]))
    return [DateReading("dates with a zone", utc + ahead.astype("timedelta64[ns]"), ahead, _known_zone(zone, ahead))]


def _of_numbers(cells: pd.Series, options: ReadingOptions) -> list[DateReading]:
    """Return integers: dates written without marks, seconds since 1970, or steps."""
    try:
        values = cells.to_numpy(np.float64)
        if not np.isfinite(values).all() or np.abs(values).max() >= 2**63:
            return []
        if options.date_format is None and (days := _of_workbook_days(values, str(cells.name))):
            return days
        if (values != np.round(values)).any():
            return _of_fractions(values)
        numbers = cells.to_numpy(np.int64)
    except (ValueError, TypeError, OverflowError):
        return []
    if options.date_format is not None:
        return list(_by_formats(pd.Series(numbers).astype(str), options))
    digits = len(str(numbers.min())), len(str(numbers.max()))
    found: list[DateReading] = []
    six = digits == (6, 6) and numbers.min() > 0
    if six and (weeks := mondays_of_numbers(numbers, str(cells.name))) is not None:
        found.append(DateReading("ISO weeks", weeks.to_numpy("datetime64[ns]"), note=WEEKS_NOTE))
    elif numbers.min() > 0 and digits[0] == digits[1]:
        written = {6: "%Y%m", 8: "%Y%m%d", 10: "%Y%m%d%H", 12: "%Y%m%d%H%M", 14: "%Y%m%d%H%M%S"}.get(digits[0])
        if written and int(str(numbers.min())[:4]) >= 1800 and int(str(numbers.max())[:4]) <= 2200:
            found += _by_format(pd.Series(numbers).astype(str), written)
    found += _epochs(numbers, digits) if not found else []
    return found or [DateReading(INTEGERS, numbers, note=_workbook_note(numbers, str(cells.name)))]


def _of_workbook_days(values: np.ndarray, name: str) -> list[DateReading]:
    """Return days as workbooks count them, with a time as a fraction, where the name says that they are dates."""
    if not (in_workbook_range(values) and _DATE_NAME.search(name)):
        return []
    seconds = np.round(values * 86_400).astype("timedelta64[s]")
    times = (WORKBOOK_START + seconds).astype("datetime64[ns]")
    first = f"{values[0]:.10g} is {str(times[0].astype('datetime64[s]')).replace('T00:00:00', '')}"
    note = f"column {shown(name)} is read as {WORKBOOK_DAYS} ({first}); if it counts steps, call it 'step'"
    return [DateReading(WORKBOOK_DAYS, times, note=note)]


def _workbook_note(numbers: np.ndarray, name: str) -> str:
    """Return what to say of whole numbers that may be days of a workbook, under a name that leaves it open."""
    if name.strip().casefold() != "time" or not in_workbook_range(numbers):
        return ""
    return (
        f"the whole numbers in column {shown(name)} count steps; if they are {WORKBOOK_DAYS} (45292: 2024-01-01), "
        "call it 'date'"
    )


def in_workbook_range(values: np.ndarray) -> bool:
    """Return whether numbers may be days of 1990 to 2050 as workbooks count them."""
    return bool(values.min() >= _WORKBOOK_RANGE[0] and values.max() < _WORKBOOK_RANGE[1] + 1)


def _of_fractions(seconds: np.ndarray) -> list[DateReading]:
    if seconds.min() >= 1e8 and seconds.max() < 5e9:
        times = np.round(seconds * 1e3).astype(np.int64).astype("datetime64[ms]").astype("datetime64[ns]")
        return [DateReading("epoch seconds", times, note="read as seconds since 1970 (epoch seconds, UTC)")]
    return []


def _epochs(numbers: np.ndarray, digits: tuple[int, int]) -> list[DateReading]:
    for unit, (length, parts) in _EPOCHS.items():
        if {*digits} <= {length, length - 1} and 1e8 * parts <= numbers.min() and numbers.max() < 5e9 * parts:
            times = numbers.astype(f"datetime64[{ {1: 's', 1_000: 'ms', 10**6: 'us', 10**9: 'ns'}[parts] }]")
            return [
                DateReading(
                    f"epoch {unit}",
                    times.astype("datetime64[ns]"),
                    note=f"read as {unit} since 1970 (epoch {unit}, UTC)",
                )
            ]
    return []


def _of_text(cells: pd.Series, options: ReadingOptions) -> list[DateReading]:
    text = cells.str.strip()
    codes, distinct = pd.factorize(text)
    unique = pd.Series(distinct, dtype=object, name=cells.name)
    zoned = unique.map(_has_zone)
    if zoned.any() and not zoned.all():
        return []
    offsets, zone = None, None
    if zoned.all():
        ahead = np.array([_offset_of(zone) for zone in unique.str.extract(_ZONE)[0]], dtype=np.int64)
        offsets = ahead[codes]
        unique = unique.str.replace(_ZONE, "", regex=True)
        zone = "UTC" if not offsets.any() else _fixed_zone(int(offsets[-1]))
    found = _numbers_as_text(unique, options) or list(_by_formats(unique, options)) or _translated(unique, options)
    return [
        DateReading(
            each.form, each.times[codes], offsets if each.is_dates else None, zone if each.is_dates else None, each.note
        )
        for each in found
    ]


def _has_zone(cell: str) -> bool:
    return bool(_CLOCK.search(cell) and _ZONE.search(cell))


def _numbers_as_text(unique: pd.Series, options: ReadingOptions) -> list[DateReading]:
    """Return numbers that were read as text; whole ones with leading zeros are none."""
    fraction = options.date_format is None and unique.str.fullmatch(r"\d{5}(\.\d+)?").all()
    if fraction and (days := _of_workbook_days(unique.astype(np.float64).to_numpy(), str(unique.name))):
        return days
    if options.date_format is not None or not unique.str.fullmatch(r"[-+]?\d{1,19}(\.0*)?").all():
        return (
            _of_fractions(unique.astype(np.float64).to_numpy()) if unique.str.fullmatch(r"\d{9,10}\.\d+").all() else []
        )
    if unique.str.fullmatch(r"0\d+").any():
        return []
    numbers = pd.to_numeric(unique.str.replace(r"\.0*$", "", regex=True), errors="coerce")
    return [] if numbers.isna().any() or numbers.dtype.kind not in "iu" else _of_numbers(numbers, options)


def _formats(options: ReadingOptions) -> Iterator[str]:
    """Yield formats that the options admit."""
    if options.date_format is not None:
        yield options.date_format
        return
    for form in shapes():
        day_first = says_day_first(form)
        if options.day_first is None or day_first is None or day_first == options.day_first:
            yield form


def _by_formats(unique: pd.Series, options: ReadingOptions) -> Iterator[DateReading]:
    if options.date_format is not None:
        yield from _by_format(unique, options.date_format)
        return
    for form, (starts, note) in PERIODS.items():
        if (first_days := starts(unique)) is not None:
            yield DateReading(form, first_days.to_numpy("datetime64[ns]"), note=note)
            return
    if unique.str.fullmatch(_ISO).all():
        times = pd.to_datetime(unique, format="ISO8601", errors="coerce")
        if times.notna().all():
            yield DateReading("ISO 8601", times.to_numpy("datetime64[ns]"))
            return
    probe = unique.head(_PROBED)
    for form in _formats(options):
        if all(map(shapes()[form].fullmatch, probe)):
            yield from _by_format(unique, form)


def _translated(unique: pd.Series, options: ReadingOptions) -> list[DateReading]:
    """Return dates whose months are named in another language than English."""
    if not unique.head(_PROBED).str.contains(r"[^\W\d_]{3}").all() or (english := in_english(unique)) is None:
        return []
    return list(_by_formats(english, options))


def _by_format(unique: pd.Series, form: str) -> Iterator[DateReading]:
    times = parsed(unique, form)
    if times.isna().any():
        return
    notes = []
    if "%y" in form:
        years = times.dt.year
        notes.append(f"two-digit years are {years.min()} to {years.max()}")
    if "%H" in form and unique.str.contains(r"(?:^|\D)24(?:[:.]00|$)").any():
        notes.append("24:00 is read as 0:00 of the next day")
    yield DateReading(form, times.to_numpy("datetime64[ns]"), note="; ".join(notes))


def _offset_of(zone: str) -> int:
    """Return nanoseconds by which the clock of ``+02:00`` is ahead of UTC."""
    if zone in ("Z", "UTC", "GMT"):
        return 0
    digits = zone[1:].replace(":", "")
    minutes = 60 * int(digits[:2]) + int(digits[2:] or 0)
    return (-1 if zone[0] == "-" else 1) * minutes * _MINUTE


def _fixed_zone(ahead: int) -> str:
    minutes = abs(ahead) // _MINUTE
    return "UTC" if ahead == 0 else f"{'-' if ahead < 0 else '+'}{minutes // 60:02d}:{minutes % 60:02d}"


def _known_zone(zone: str, ahead: np.ndarray) -> str:
    """Return ``zone`` where pandas knows it, else the offset of the last row."""
    try:
        pd.Timestamp("2024-01-01").tz_localize(zone)
    except Exception:  # whatever libraries of zones raise about unknown names
        return _fixed_zone(int(ahead[-1]))
    return zone
