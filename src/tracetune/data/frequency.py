"""Frequencies as pandas offsets, and as text that leads back to the same offset.

Pandas' own aliases lose part of some offsets: a week from Monday to Saturday becomes "C", the 15th of each month
"<DateOffset: months=1>". These are written as ``days[Mon,Tue,Wed,Thu,Fri,Sat]`` and ``offset[months=1,day=15]``.
"""

import re
from typing import Any

import numpy as np
import pandas as pd
from pandas.tseries.frequencies import to_offset

from tracetune.base.errors import InputError, argument

WEEKDAYS = ("Mon", "Tue", "Wed", "Thu", "Fri", "Sat", "Sun")
Offset = pd.offsets.BaseOffset

_BRACKETS = re.compile(r"(?P<count>\d*)(?P<kind>days|offset)\[(?P<inside>[^\]]*)\]")
_PARTS = ("years", "months", "weeks", "days", "hours", "minutes", "seconds", "day")
_SEASONS = {  # steps of a season by the beginning of an alias, longer ones first
    "CBM": 12, "BM": 12, "BQ": 4, "BY": 1, "WOM": 12, "LWOM": 12, "SM": 24, "M": 12, "Q": 4, "Y": 1, "W": 52, "B": 5,
    "D": 7,
}  # fmt: skip
_WORDS = {
    "h": "hourly", "D": "daily", "B": "on working days, Monday to Friday", "MS": "monthly", "ME": "monthly (last days)",
    "min": "each minute", "s": "each second", "YS-JAN": "yearly", "YE-DEC": "yearly (last days)", "QS-OCT": "quarterly",
    "QE-DEC": "quarterly (last days)",
}  # fmt: skip
_ALIASES = {
    "hour": "'h'", "dai": "'D'", "day": "'D'", "week": "'W-SUN' (the weekday of the dates)", "minute": "'min'",
    "month": "'MS' for first days, 'ME' for last days", "quarter": "'QS' for first days, 'QE' for last days",
    "year": "'YS' for first days, 'YE' for last days", "annual": "'YS' for first days, 'YE' for last days",
}  # fmt: skip
_FULL_DAYS = dict(
    zip(WEEKDAYS, ("Mondays", "Tuesdays", "Wednesdays", "Thursdays", "Fridays", "Saturdays", "Sundays"), strict=True)
)


def as_offset(freq: "str | Offset | pd.Timedelta") -> Offset:
    """Return the offset that ``freq`` names: a pandas alias, a text of `offset_text`, or an offset itself.

    Raises:
        InputError: no such frequency.
    """
    if isinstance(freq, Offset):
        return freq
    try:
        match = _BRACKETS.fullmatch(freq.strip()) if isinstance(freq, str) else None
        offset = _bracketed(match) if match else to_offset(freq)
    except (ValueError, TypeError, KeyError, OverflowError) as error:
        raise _no_frequency(freq) from error
    if offset is None or offset.n < 1:
        raise _no_frequency(freq)
    return offset


def offset_text(offset: "Offset | None") -> str | None:
    """Return the text from which `as_offset` makes the same offset; None for integer steps.

    Raises:
        InputError: an offset that has no text of this kind.
    """
    if offset is None:
        return None
    count = str(offset.n) if offset.n > 1 else ""
    if isinstance(offset, pd.offsets.CustomBusinessDay):
        holidays = [f"not {np.datetime_as_string(day, 'D')}" for day in offset.holidays]
        return f"{count}days[{','.join([*_weekdays(offset), *holidays])}]"
    if type(offset) is pd.offsets.DateOffset:
        parts = sorted(
            offset.kwds.items(), key=lambda part: _PARTS.index(part[0]) if part[0] in _PARTS else len(_PARTS)
        )
        return f"{count}offset[{','.join(f'{name}={value}' for name, value in parts)}]"
    text = offset.freqstr
    if to_offset(text) != offset:
        raise InputError(f"Expected a frequency that can be written as text, found {offset!r}. Use another freq.")
    return text


def frequency_words(offset: "Offset | None") -> str:
    """Return a frequency as people say it, with its text: ``weekly on Fridays (W-FRI)``."""
    if offset is None:
        return "numbered steps"
    text = str(offset_text(offset))
    words = _WORDS.get(text)
    weekday = getattr(offset, "weekday", None)
    if words is None and isinstance(offset, pd.offsets.Week) and offset.n == 1 and weekday is not None:
        words = f"weekly on {_FULL_DAYS[WEEKDAYS[weekday]]}"
    if words is None and isinstance(offset, pd.offsets.Tick):
        step = pd.Timedelta(offset)
        words = (
            "each " + re.sub(r"^0 days 0?|:00$", "", str(step))
            if step < pd.Timedelta("1D")
            else f"each {step.days} days"
        )
    if words is None and isinstance(offset, pd.offsets.CustomBusinessDay):
        words = "on " + ", ".join(_FULL_DAYS[day] for day in _weekdays(offset))
    if words is None and type(offset) is pd.offsets.DateOffset and "day" in offset.kwds:
        words = f"each {months} months" if (months := offset.kwds.get("months", 1)) != 1 else "monthly"
        words += f" on day {offset.kwds['day']}"
    return f"{words} ({text})" if words else text


def seasonality(freq: "str | Offset | None") -> int:
    """Return the steps of one season: a day of sub-daily data, a week of daily, a year of weekly to yearly data.

    Args:
        freq: an offset or its text; None, for integer timestamps, has no season (1).
    """
    if freq is None:
        return 1
    offset = as_offset(freq)
    if isinstance(offset, pd.offsets.CustomBusinessDay):
        return max(1, len(_weekdays(offset)) // offset.n)
    if type(offset) is pd.offsets.DateOffset:
        years, months = offset.kwds.get("years", 0), offset.kwds.get("months", 0)
        return max(1, 12 // (12 * years + months)) if years or months else 1
    if isinstance(offset, pd.offsets.Tick) and pd.Timedelta(offset) < pd.Timedelta("1D"):
        return max(1, round(pd.Timedelta("1D") / pd.Timedelta(offset)))
    kind = offset.freqstr.lstrip("0123456789")
    steps = next((steps for prefix, steps in _SEASONS.items() if kind.startswith(prefix)), 1)
    return max(1, steps // offset.n)


def _weekdays(offset: pd.offsets.CustomBusinessDay) -> list[str]:
    mask = offset.weekmask
    if isinstance(mask, str) and not re.fullmatch("[01]{7}", mask):
        return [day for day in WEEKDAYS if day in mask]
    return [day for day, open_ in zip(WEEKDAYS, mask, strict=True) if int(open_)]


def _bracketed(match: re.Match[str]) -> Offset:
    count, parts = int(match["count"] or 1), [part.strip() for part in match["inside"].split(",")]
    if match["kind"] == "offset":
        given: dict[str, Any] = {name: int(value) for name, _, value in (part.partition("=") for part in parts)}
        return pd.offsets.DateOffset(n=count, **given)
    days = [part for part in parts if part in WEEKDAYS]
    holidays = [part.removeprefix("not ") for part in parts if part.startswith("not ")]
    if not days or len(days) + len(holidays) != len(parts):
        raise ValueError(match.string)
    return pd.offsets.CustomBusinessDay(count, weekmask=" ".join(days), holidays=holidays)


def _no_frequency(freq: object) -> InputError:
    found = str(freq)[:60]
    near = _ALIASES.get(found.strip().lower().removesuffix("ly"), "")  # "annually", "daily"
    hint = f" Write {near}." if near else ""
    return InputError(
        f"Expected a pandas offset alias such as 'h', 'D' or 'MS', found {argument('freq', found)}.{hint}"
    )
