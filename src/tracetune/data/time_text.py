"""Times as text in the form of the table they belong to, the same in every locale.

A form is one of `strftime`, with what tables write besides: ``%-d`` without a leading zero, ``%^b`` in capitals, ``%P``
for am and pm, ``%3f`` for a fraction of a second with 3 digits, ``%:z`` for +02:00, ``%q`` for the quarter, ``%s``,
``%3s``, ``%6s``, ``%9s`` for seconds, milliseconds, microseconds and nanoseconds since 1970, and ``%D`` for days as
workbooks count them.
"""

import re
from collections.abc import Callable

import numpy as np
import pandas as pd

FIELD = re.compile(r"%(?P<flag>[-^:]|[369])?(?P<name>[A-Za-z])")
_SECOND, _MINUTE, _HOUR, _DAY = 10**9, 60 * 10**9, 3_600 * 10**9, 86_400 * 10**9
_LONGEST_OF_WIDTH = {"Y": 4, "G": 4} | dict.fromkeys("mdyHIMSV", 2) | dict.fromkeys("uqD", 1)
WORKBOOK_DAYS = "day numbers of a workbook"
WORKBOOK_START = np.datetime64("1899-12-30")
"""Day 0 of Excel and LibreOffice: a wrong leap day in 1900 moves it from 1899-12-31."""
_FIRST_OF_TWO_DIGITS, _LAST_OF_TWO_DIGITS = 1969, 2068  # as POSIX reads %y


def show_moment(moment: np.datetime64 | np.int64) -> str:
    """Return a timestamp as people write it."""
    return str(pd.Timestamp(moment)) if isinstance(moment, np.datetime64) else str(moment)


def written_times(column: pd.Series, form: str) -> pd.Series | None:
    """Return a column of times as text of a form, missing ones as None; None where it cannot say them exactly."""
    codes, moments = pd.factorize(column)  # series of a table share many times
    moments = pd.DatetimeIndex(moments)
    clock, ahead = moments, None
    if moments.tz is not None:
        clock = moments.tz_localize(None)
        ahead = (clock - moments.tz_convert("UTC").tz_localize(None)).as_unit("ns").asi8
    if not says_exactly(clock, form):
        return None
    text = np.array([*clock_text(clock, ahead, form), None], dtype=object)  # the last one is that of code -1
    return pd.Series(text[codes], column.index, name=column.name, dtype=object)


def clock_text(clock: pd.DatetimeIndex, ahead: np.ndarray | None, form: str) -> np.ndarray:
    """Return the text of each reading of a clock [T], which is ``ahead`` of UTC by so many nanoseconds [T]."""
    clock = clock.as_unit("ns")
    text, end = np.full(len(clock), "", dtype=object), 0
    for found in FIELD.finditer(form):
        text = text + form[end : found.start()] + _field(clock, ahead, found["flag"] or "", found["name"])
        end = found.end()
    return np.asarray(text + form[end:], dtype=object)


def says_exactly(clock: pd.DatetimeIndex, form: str) -> bool:
    """Return whether times that are written in a form could be read again."""
    clock = clock.as_unit("ns")
    names = {found["name"]: found["flag"] or "" for found in FIELD.finditer(form)}
    if "s" in names:
        return bool((clock.asi8 % 10 ** (9 - int(names["s"] or 0)) == 0).all())
    if "y" in names and not clock.year.isin(range(_FIRST_OF_TWO_DIGITS, _LAST_OF_TWO_DIGITS + 1)).all():
        return False
    return bool((clock.asi8 % _DAY % _finest(names) == 0).all()) and _says_days(clock, names)


def _finest(names: dict[str, str]) -> int:
    """Return the nanoseconds that the smallest part of a day has in a form."""
    if "f" in names:
        return int(10 ** (9 - int(names["f"] or 6)))
    units = {"S": _SECOND, "M": _MINUTE, "H": _HOUR, "I": _HOUR}
    return min((units[name] for name in names if name in units), default=_DAY)


def _says_days(clock: pd.DatetimeIndex, names: dict[str, str]) -> bool:
    if {"d", "u", "D"} & set(names):
        return True
    if "V" in names:
        return bool((clock.dayofweek == 0).all())
    if "q" in names:
        return bool(((clock.day == 1) & (clock.month % 3 == 1)).all())
    return bool({"m", "b", "B"} & set(names)) and bool((clock.day == 1).all())


def _field(clock: pd.DatetimeIndex, ahead: np.ndarray | None, flag: str, name: str) -> np.ndarray:
    """Return one part of the text of each time [T]."""
    if name in _LONGEST_OF_WIDTH:
        return _digits(_NUMBERS[name](clock), 1 if flag == "-" else _LONGEST_OF_WIDTH[name])
    if name == "f":
        digits = int(flag or 6)
        return _digits(clock.asi8 % _SECOND // 10 ** (9 - digits), digits)
    if name == "s":
        return _digits(clock.asi8 // 10 ** (9 - int(flag or 0)), 1)
    if name == "z":
        return _offsets(np.zeros(len(clock), np.int64) if ahead is None else ahead, flag)
    words = np.asarray(_WORDS[name](clock), dtype=object)
    return np.array([word.upper() for word in words], dtype=object) if flag == "^" else words


def _digits(numbers: object, width: int) -> np.ndarray:
    return np.array([f"{number:0{width}d}" for number in np.asarray(numbers).tolist()], dtype=object)


def _offsets(ahead: np.ndarray, flag: str) -> np.ndarray:
    minutes = (np.abs(ahead) // _MINUTE).tolist()
    signs = np.where(ahead < 0, "-", "+").tolist()
    return np.array(
        [f"{sign}{each // 60:02d}{flag}{each % 60:02d}" for sign, each in zip(signs, minutes, strict=True)],
        dtype=object,
    )


_NUMBERS: dict[str, Callable[[pd.DatetimeIndex], object]] = {
    "Y": lambda clock: clock.year,
    "m": lambda clock: clock.month,
    "d": lambda clock: clock.day,
    "y": lambda clock: clock.year % 100,
    "H": lambda clock: clock.hour,
    "I": lambda clock: (clock.hour + 11) % 12 + 1,
    "M": lambda clock: clock.minute,
    "S": lambda clock: clock.second,
    "G": lambda clock: clock.isocalendar().year,
    "V": lambda clock: clock.isocalendar().week,
    "u": lambda clock: clock.dayofweek + 1,
    "q": lambda clock: clock.quarter,
    "D": lambda clock: (clock - pd.Timestamp(WORKBOOK_START)).days,
}
_WORDS: dict[str, Callable[[pd.DatetimeIndex], object]] = {
    "B": lambda clock: clock.month_name(),
    "b": lambda clock: clock.month_name().str[:3],
    "A": lambda clock: clock.day_name(),
    "a": lambda clock: clock.day_name().str[:3],
    "p": lambda clock: np.where(clock.hour < 12, "AM", "PM"),
    "P": lambda clock: np.where(clock.hour < 12, "am", "pm"),
}
