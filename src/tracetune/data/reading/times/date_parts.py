"""Parts of dates in columns of their own: years, months, days, hours and minutes, or quarters and weeks."""

import re
from collections.abc import Callable

import numpy as np
import pandas as pd

from tracetune.base.errors import InputError
from tracetune.data.reading.columns import DateReading, is_named
from tracetune.data.reading.missing import is_textual
from tracetune.data.reading.numbers import as_numbers
from tracetune.data.reading.raw import RawTable, listed, shown
from tracetune.data.reading.times.month_names import month_number
from tracetune.data.reading.times.named_periods import WEEKS_NOTE, iso_weeks

HOURS = ("hour", "hr", "hours", "hour_of_day", "hourofday", "hh", "he", "hour_ending")
_PART_NAMES = {
    "year": ("year", "yr", "yyyy", "jahr", "annee", "ano"),
    "month": ("month", "mnth", "mon", "mm", "monat", "mois", "mes", "month_number"),
    "day": ("day", "dd", "dom", "day_of_month", "mday", "tag"),
    "hour": HOURS,
    "minute": ("minute", "min", "minutes", "mi"),
}
_IN_YEAR = {
    "quarter": ("quarter", "qtr", "quartal", "trimestre"),
    "week": ("week", "iso_week", "isoweek", "week_of_year", "weekofyear", "woy", "epiweek", "kw"),
}
_PERIODS = ("period",)  # of a year, where its cells say which: M03, Q1
_RANGES = {
    "year": (1600, 2262), "month": (1, 12), "day": (1, 31), "hour": (0, 24), "minute": (0, 59),
    "quarter": (1, 4), "week": (1, 53),
}  # fmt: skip


def parts_by_name(raw: RawTable) -> dict[str, str]:
    """Return columns of a year, then a month, day, hour and minute, or a quarter or week, by name and range."""
    found: dict[str, str] = {}
    for part, names in _PART_NAMES.items():
        named = [name for name in raw.frame.columns if is_named(name, names)]
        fitting = [name for name in named if _part_values(raw.frame[name], part, raw) is not None]
        if not fitting and part in ("year", "month"):
            break
        if fitting and (part != "minute" or "hour" in found):
            found[part] = str(fitting[0])
    for name in raw.frame.columns if list(found) == ["year"] else ():
        if len(found) == 1 and (in_year := _part_in_year(raw.frame[name], raw)):
            found[in_year] = str(name)
    return found if len(found) > 1 else {}


def _part_in_year(cells: pd.Series, raw: RawTable) -> str | None:
    """Return which part of a year a column holds beside one of years: by its name, or a period as its cells say."""
    parts = [part for part, names in _IN_YEAR.items() if is_named(cells.name, names)]
    if is_named(cells.name, _PERIODS) and as_numbers(cells, raw).wrong.all():
        parts = list(_PART_NUMBERS)
    return next((part for part in parts if _part_values(cells, part, raw) is not None), None)


def _part_values(cells: pd.Series, part: str, raw: RawTable) -> np.ndarray | None:
    """Return whole numbers of a part of dates, None if the cells are none; months may be names."""
    values = as_numbers(cells, raw).values
    if np.isfinite(values).all() and in_part_range(values, part):
        return values.astype(np.int64)
    if is_textual(cells):
        numbers = cells.astype(str).str.strip().map(_PART_NUMBERS.get(part, lambda _: None))
        if numbers.notna().all():
            return numbers.to_numpy(np.int64)
    return None


def _numbered(cell: str, mark: str, most: int) -> int | None:
    """Return the number of a part that is written after a letter: 3 of ``M03``."""
    found = re.fullmatch(rf"{mark}(\d{{1,2}})", cell, re.IGNORECASE)
    return int(found[1]) if found and 1 <= int(found[1]) <= most else None


_PART_NUMBERS: dict[str, Callable[[str], int | None]] = {
    "month": lambda cell: month_number(cell) or _numbered(cell, "M", 12),
    "quarter": lambda cell: _numbered(cell, "Q", 4),
    "week": lambda cell: _numbered(cell, "W", 53),
}


def in_part_range(values: np.ndarray, part: str) -> bool:
    """Return whether all values are whole numbers that a part of dates can have."""
    low, high = _RANGES[part]
    return bool(
        np.isfinite(values).all()
        and (values == np.round(values)).all()
        and (values >= low).all()
        and (values <= high).all()
    )


def dates_of_parts(raw: RawTable, columns: tuple[str, ...]) -> DateReading:
    """Return dates from columns of years, months, days, hours and minutes, told apart by name, else by order."""
    order = ["year", "month", "day", "hour", "minute"]
    every = _PART_NAMES | _IN_YEAR
    named = {name: part for name in columns for part, names in every.items() if is_named(name, names)}
    parts = {
        named.get(name) or _part_in_year(raw.frame[name], raw) or order[place]: name
        for place, name in enumerate(columns)
    }
    values = {}
    for part, name in parts.items():
        found = _part_values(raw.frame[name], part, raw)
        if found is None:
            low, high = _RANGES[part]
            numbers = as_numbers(raw.frame[name], raw).values
            wrong = int((~((numbers >= low) & (numbers <= high))).argmax())
            raise InputError(
                f"Column {shown(name)} must hold the {part} of each row as a number from {low} to {high}, found "
                f"{shown(raw.frame[name].iloc[wrong])} in {raw.row(wrong)}."
            )
        values[part] = found
    if "year" not in values:
        raise InputError(f"Expected a column of dates or of years first, found {listed('column', columns)}.")
    if "week" in values and "month" not in values:
        return _of_weeks(raw, columns, values["year"], values["week"])
    if "quarter" in values:
        values.setdefault("month", 3 * values["quarter"] - 2)
    rows = len(raw.frame)
    table = pd.DataFrame({part: values.get(part, np.ones(rows, np.int64)) for part in ("year", "month", "day")})
    dates = pd.to_datetime(table, errors="coerce")
    if dates.isna().any():
        wrong = int(dates.isna().to_numpy().argmax())
        day = "-".join(str(cell) for cell in table.iloc[wrong])
        raise InputError(f"Expected a date in {listed('column', columns)}, found {day} in {raw.row(wrong)}.")
    for part, unit in (("hour", "h"), ("minute", "min")):
        if part in values:
            dates = dates + pd.to_timedelta(values[part], unit=unit)  # type: ignore[call-overload]
    return DateReading("parts of dates", dates.to_numpy("datetime64[ns]"))


def _of_weeks(raw: RawTable, columns: tuple[str, ...], years: np.ndarray, weeks: np.ndarray) -> DateReading:
    """Return the Mondays of ISO weeks [rows]."""
    dates = iso_weeks(
        pd.Series([f"{year}-{week:02d}-1" for year, week in zip(years.tolist(), weeks.tolist(), strict=True)])
    )
    if dates.isna().any():
        wrong = int(dates.isna().to_numpy().argmax())
        raise InputError(
            f"Expected ISO weeks in {listed('column', columns)}, found week {weeks[wrong]} of {years[wrong]} in "
            f"{raw.row(wrong)}, which has none. Correct it, or make a column of dates."
        )
    return DateReading("parts of dates", dates.to_numpy("datetime64[ns]"), note=WEEKS_NOTE)
