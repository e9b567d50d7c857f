"""Periods by their names (weeks such as 2020-W05, quarters, years such as 2023/24), dated by their first days."""

import re

import numpy as np
import pandas as pd

from tracetune.data.reading.times.date_formats import parsed

WEEKS_NOTE = "weeks are the ISO ones, dated by their Mondays"
_WEEKS = re.compile(r"(?P<year>\d{4})[- ]?W(?P<week>\d{1,2})(-?(?P<day>[1-7]))?")
_WEEK_NAME = re.compile(r"week|^wk|_wk|^kw$|yyyyww|semaine|semana|woche", re.IGNORECASE)
_QUARTERS = re.compile(
    r"(?P<year>\d{4})[-/ ]?[Qq](?P<quarter>[1-4])|[Qq](?P<quarter2>[1-4])[-/ ]?(?P<year2>\d{4}|\d\d)"
)
_YEARS_OF_TWO = re.compile(r"(?P<first>\d{4})[-/](?P<second>\d{4}|\d\d)")  # financial and school years: 2023/24
_FEWEST_YEARS = 3  # of which each is one with the next: not months that happen to be so


def mondays(text: pd.Series) -> pd.Series | None:
    """Return the Mondays of ISO weeks such as 2020-W05, or the days of them that are given; None if some are none."""
    if not text.str.fullmatch(_WEEKS).all():
        return None
    times = iso_weeks(_week_days(text))
    return None if times.isna().any() else times


def mondays_of_numbers(numbers: np.ndarray, name: str) -> pd.Series | None:
    """Return the Mondays of weeks written as 202405: some are no months, or the column ``name`` speaks of weeks."""
    years, weeks = numbers // 100, numbers % 100
    fits = years.min() >= 1800 and years.max() <= 2200 and weeks.min() >= 1 and weeks.max() <= 53
    if not fits or (weeks.max() <= 12 and not _WEEK_NAME.search(name)):
        return None
    return mondays(pd.Series([f"{year}-W{week:02d}" for year, week in zip(years, weeks, strict=True)]))


def odd_week(text: pd.Series) -> int | None:
    """Return the place of the first cell that is no ISO week, where most are written as such; else None."""
    weeks = text.str.fullmatch(_WEEKS)
    if 2 * weeks.sum() <= len(text):
        return None
    days = iso_weeks(_week_days(text[weeks])).reindex(text.index)
    return int(days.isna().to_numpy().argmax())


def _week_days(text: pd.Series) -> pd.Series:
    """Return weeks such as 2020-W5 as days for `iso_weeks`."""
    parts = text.str.extract(rf"^{_WEEKS.pattern}$")
    return parts["year"] + "-" + parts["week"].str.zfill(2) + "-" + parts["day"].fillna("1")


def iso_weeks(text: pd.Series) -> pd.Series:
    """Return days such as 2020-05-1, the first of week 5; NaT for week 53 of a year without one."""
    times = parsed(text, "%G-%V-%u")
    kept = times.isna() | (times.dt.isocalendar().week == text.str.split("-").str[1].astype(int)).fillna(False)
    return times.where(kept)


def quarter_starts(text: pd.Series) -> pd.Series | None:
    """Return the first days of quarters such as 2020Q1 or Q1 2020; None if some are none."""
    parts = text.str.extract(rf"^(?:{_QUARTERS.pattern})$")
    year = parts["year"].where(parts["year"].notna(), parts["year2"])
    quarter = parts["quarter"].where(parts["quarter"].notna(), parts["quarter2"])
    if year.isna().any():
        return None
    form = "%Y-%m" if year.str.len().eq(4).all() else "%y-%m"
    times = parsed(year + "-" + (3 * quarter.astype(int) - 2).astype(str).str.zfill(2), form)
    return None if times.isna().any() else times


def januaries(text: pd.Series) -> pd.Series | None:
    """Return the first days of years that end in the next, such as 2023/24; None if some are none."""
    parts = text.str.extract(rf"^{_YEARS_OF_TWO.pattern}$")
    if len(text) < _FEWEST_YEARS or parts["first"].isna().any():
        return None
    following = parts["first"].astype(int) + 1
    if not (following % 100 == parts["second"].astype(int) % 100).all():
        return None
    times = parsed(parts["first"] + "-01", "%Y-%m")
    return None if times.isna().any() else times


PERIODS = {
    "ISO weeks": (mondays, WEEKS_NOTE),
    "quarters": (quarter_starts, "quarters are dated by their first days"),
    "years of two": (januaries, "years such as 2023/24 are dated by the first of January of the former"),
}
"""Functions that return the first days of periods, and what is said of them, by the form in which they are written."""
