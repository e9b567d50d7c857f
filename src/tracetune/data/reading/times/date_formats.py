"""Formats of dates: which are known, a quick test of whether one fits, and dates by one."""

import re
import warnings
from functools import cache

import pandas as pd

_FIELDS = {
    "%Y": r"\d{4}", "%m": r"\d{1,2}", "%d": r"\d{1,2}", "%y": r"\d{2}", "%b": "[A-Za-z]{3}", "%B": "[A-Za-z]{3,9}",
    "%A": "[A-Za-z]+",
    "%a": "[A-Za-z]{3}", "%H": r"\d{1,2}", "%I": r"\d{1,2}", "%M": r"\d{2}", "%S": r"\d{2}", "%f": r"\d{1,9}",
    "%p": "[AaPp][Mm]",
}  # fmt: skip
_DATES = (
    "%Y-%m-%d", "%Y/%m/%d", "%Y.%m.%d", "%Y%m%d", "%Y-%m", "%Y/%m", "%Y.%m", "%Y%m",
    "%d/%m/%Y", "%m/%d/%Y", "%d.%m.%Y", "%m.%d.%Y", "%d-%m-%Y", "%m-%d-%Y",
    "%d/%m/%y", "%m/%d/%y", "%d.%m.%y", "%m.%d.%y", "%d-%m-%y", "%m-%d-%y", "%y-%m-%d",
    "%m/%Y", "%m-%Y", "%m.%Y",
    "%b-%y", "%b-%Y", "%b %Y", "%b %y", "%B %Y", "%B-%Y", "%B-%y", "%Y-%b", "%Y %b", "%Y %B", "%y-%b", "%b/%Y", "%b/%y",
    "%B %y", "%Y-%B", "%b. %Y", "%b'%y", "%Y/%b", "%YM%m", "%Ym%m", "%Y M%m",
    "%d %b %Y", "%d-%b-%Y", "%d-%b-%y", "%d %B %Y", "%d-%B-%Y", "%d%b%Y", "%d %b %y", "%d/%b/%Y", "%d. %B %Y",
    "%Y-%b-%d",
    "%d. %b %Y", "%b %d, %Y", "%b %d %Y", "%B %d, %Y", "%B %d %Y", "%b %d %y", "%A, %B %d, %Y", "%A, %d %B %Y",
    "%a, %d %b %Y",
    "%a %d %b %Y", "%a %b %d %Y", "%Y年%m月%d日",
)  # fmt: skip
_TIMES = (
    "", " %H:%M:%S", " %H:%M", "T%H:%M:%S", "T%H:%M", "T%H%M%S", "T%H%M", " %H:%M:%S.%f", "T%H:%M:%S.%f",
    " %I:%M:%S %p", " %I:%M %p",
    " %I:%M%p", " %H", "T%H", ":%H", ":%H:%M:%S", " %H.%M.%S", " %H.%M", "%H%M", "%H", "%H%M%S", " %H%M",
    ", %H:%M", ", %I:%M %p", "-%H",
)  # fmt: skip


def says_day_first(form: str) -> bool | None:
    """Return whether a format puts the day before the month; None where months are names or years come first."""
    order = form[:2], form[3:5]
    return order == ("%d", "%m") if set(order) == {"%d", "%m"} else None


@cache
def shapes() -> dict[str, re.Pattern[str]]:
    """Return every known format, with a pattern that all its dates have: a quick look before the slow one."""
    forms = [date + time for date in _DATES for time in _TIMES if date.endswith("%Y%m%d") or not time.startswith("%")]
    return {form: shape(form) for form in forms}


def shape(form: str) -> re.Pattern[str]:
    """Return a pattern that all dates of a format have."""
    parts = re.split(r"(%[A-Za-z])", form)
    return re.compile("".join(_FIELDS.get(part, re.escape(part)) for part in parts))


def parsed(text: pd.Series, form: str) -> pd.Series:
    """Return dates by one format, NaT where it does not fit; hour 24 is midnight at the end of the day."""
    late = text.str.contains(r"(?<!\d)24[:.]00") if "%H" in form else pd.Series(False, text.index)
    if late.any():
        text = text.mask(late, text.str.replace(r"(?<!\d)24([:.]00)", r"00\1", regex=True))
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        try:
            times = pd.to_datetime(text, format=form, errors="coerce")
        except (ValueError, TypeError, OverflowError, re.error):
            return pd.Series(pd.NaT, text.index)
    if not pd.api.types.is_datetime64_dtype(times.dtype):
        return pd.Series(pd.NaT, text.index)
    if "%Y" in form and "%y" not in form:
        times = times.where(times.isna() | (times.dt.year >= 1678))
    return times + pd.to_timedelta(late.astype(int), unit="D") if late.any() else times
