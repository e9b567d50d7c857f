"""Find the columns to forecast, and say why others are left out: ids, counters, constants, the calendar."""

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd

from tracetune.base.errors import InputError, any_of, argument
from tracetune.data.reading.columns import ITEM_NAMES, Items, TimeColumn, is_named
from tracetune.data.reading.missing import is_missing, is_textual
from tracetune.data.reading.numbers import as_numbers
from tracetune.data.reading.options import ReadingOptions
from tracetune.data.reading.raw import Decision, RawTable, listed, shown
from tracetune.data.reading.times.month_names import month_number

CONSTANT, FLAG = "constant", "a flag"  # reasons against a channel

_TARGET_NAMES = ("target", "y")
_CALENDAR = {  # by name: the largest number that such a part can be
    r"year|yr|yyyy": 2262,
    r"day_?of_?year|doy|yday": 366,
    r"minute": 59,
    r"week|week_?of_?year|woy|week_?num": 53,
    r"day|dd|day_?of_?month|holiday|holiday_?flag": 31,
    r"hour|hr|hour_?of_?day": 24,
    r"month|mnth|mon": 12,
    r"weekday|week_?day|day_?of_?week|dow|wday|d_?o_?w": 7,
    r"quarter|qtr|season": 4,
    r"working_?day|weekend|dst": 1,
}
_IDS = re.compile(
    r"^(.*_)?(id|ids|index|idx|instant|no|nr|number|row|rowid|row_number|rownames|record|key|code)$", re.I
)
_PLACES = re.compile(r"^(.*_)?(id|ids|zip|zipcode|lat|latitude|lon|lng|long|longitude)$", re.IGNORECASE)
_LIKELY = re.compile(
    r"sales|demand|value|target|qty|quantity|units|count|cnt|load|consumption|volume|price|close|amount|total|power|cases",
    re.IGNORECASE,
)


@dataclass(frozen=True)
class Targets:
    """Columns to forecast.

    Attributes:
        columns: channels, the main target first.
        decision: why these.
        ignored: (column, why) of every other column that is neither item nor time.
        warnings: what is likely wrong.
        notes: what a user should know.
    """

    columns: tuple[str, ...]
    decision: Decision
    ignored: tuple[tuple[str, str], ...]
    warnings: tuple[str, ...] = ()
    notes: tuple[str, ...] = ()


def find_targets(
    raw: RawTable,
    time: TimeColumn,
    items: Items,
    times: np.ndarray,
    options: ReadingOptions,
    *,
    every_channel: bool = False,
    flags: bool = False,
) -> Targets:
    """Return the channels of a table with one step a row.

    ``every_channel``: as for `read_table`; ``flags``: of one series, a column of 0 and 1 alone is a
    channel like any other.

    Raises:
        InputError: no such column, no numeric one, or, with items, several that could be meant.
    """
    taken = {*time.columns, *items.columns}
    others = [str(name) for name in raw.frame.columns if name not in taken]
    if options.target:
        _refuse_unusable(raw, options.target, taken)
        return Targets(options.target, _decided(options.target, "it was given"), _rest(others, options.target))
    usual = next((n for name in _TARGET_NAMES for n in others if is_named(n, (name,))), None)
    if usual is not None:
        return Targets((usual,), _decided((usual,), "it has the usual name"), _rest(others, (usual,)))
    reasons = {name: _why_not(raw, name, items, times) for name in others}
    switches = [name for name, reason in reasons.items() if reason == FLAG and flags and not items.columns]
    reasons |= dict.fromkeys(switches, "")
    sensible = [name for name, reason in reasons.items() if not reason]
    if not sensible:
        return _counter(raw, reasons)
    ignored = tuple((name, reason) for name, reason in reasons.items() if reason)
    if len(sensible) == 1:
        reason = "it is the only numeric column that is no id, counter, constant or part of the calendar"
        return Targets(tuple(sensible), _decided(tuple(sensible), reason), ignored)
    likely = likely_first(sensible) if items.columns else sensible
    if items.columns and not every_channel:
        raise InputError(
            f"Several columns could be the target: {listed('column', likely)}. Say which, one or several: "
            f"{any_of('target', likely, 3)}."
        )
    decided = _decided(tuple(likely), "each numeric column is a channel of its own")
    warnings = calendar_warnings(likely, "each is a channel of its own")
    others_by = f"{argument('target', 'NAME')} takes others"
    notes = [f"each of {listed('column', likely)} is a channel: {others_by}"] if items.columns else []
    notes += [f"{listed('column', switches)} with 0 and 1 alone: a channel each; {others_by}"] if switches else []
    return Targets(tuple(likely), decided, ignored, warnings, tuple(notes))


def _counter(raw: RawTable, reasons: Mapping[str, str]) -> Targets:
    """Return a column that counts up, of a table whose columns each have a reason against them.

    Raises:
        InputError: there is none.
    """
    counters = [name for name, reason in reasons.items() if reason == "a counter" and not _IDS.search(name)]
    if counters:
        warning = f"target {counters[0]} goes up evenly from row to row, which a series of measurements hardly does"
        ignored = tuple((name, reason) for name, reason in reasons.items() if name != counters[0])
        return Targets((counters[0],), _decided((counters[0],), "no other column is numeric"), ignored, (warning,))
    said = [f"{name}: {reason}{_such_as(raw, name, reason)}" for name, reason in list(reasons.items())[:6]]
    found = f" ({'; '.join(said)})" if said else ""
    usable = [name for name, reason in reasons.items() if reason not in ("empty", "not numbers")]
    correct = " Fill in values, or correct the cells: digits, a decimal mark and no words."
    advice = f" Name it: {any_of('target', usable)}." if usable else correct
    raise InputError(
        f"Found no numeric column to use as target among {listed('column', raw.frame.columns)}{found}.{advice}"
    )


def _such_as(raw: RawTable, name: str, reason: str) -> str:
    """Return the first cell of a column of no numbers, for a message."""
    if reason != "not numbers":
        return ""
    cells = raw.frame[name]
    return f", such as {shown(cells[as_numbers(cells, raw).wrong].iloc[0])}"


def calendar_warnings(names: Sequence[str], each: str) -> tuple[str, ...]:
    """Return a warning where names are all months of a year, days of a week, ...: such a table is one longer series.

    Args:
        names: of the channels or the items.
        each: what the reading makes of each of them.
    """
    for part, (whole, number_of, count) in _CYCLES.items():
        numbered = [(number, name) for name in names if (number := number_of(str(name).strip())) is not None]
        numbers = sorted(number for number, _ in numbered)
        if len(numbers) == count and numbers in (list(range(count)), list(range(1, count + 1))):
            said = f"{numbered[0][1]} to {numbered[-1][1]} are {part}s: {each} with a step a {whole}."
            return (f"{said} For one series by {part}, put them below each other, with a date on each row",)
    return ()


def _weekday_number(name: str) -> int | None:
    return next((number for number, day in enumerate(_WEEKDAYS) if re.fullmatch(day, name, re.IGNORECASE)), None)


def _matched_number(pattern: str) -> Callable[[str], int | None]:
    def number(name: str) -> int | None:
        found = re.fullmatch(pattern, name, re.IGNORECASE)
        return int(found[1]) if found else None

    return number


_WEEKDAYS = (
    "mo(n(day)?)?", "tue?(s(day)?)?", "wed?(nesday)?", "thu?(r(s(day)?)?)?", "fri?(day)?", "sat?(urday)?", "sun?(day)?",
)  # fmt: skip
_CYCLES: dict[str, tuple[str, Callable[[str], int | None], int]] = {
    "month": ("year", lambda name: month_number(name) or _matched_number(r"m(\d\d?)")(name), 12),
    "weekday": ("week", _weekday_number, 7),
    "quarter": ("year", _matched_number(r"q([1-4])"), 4),
    "hour": ("day", _matched_number(r"(?:h|hr|hour|he)?[ _]?(\d\d?)(?::00)?h?"), 24),
}


def likely_first(names: Sequence[str]) -> list[str]:
    """Return names of columns, those first that sound like what is forecast."""
    return sorted(names, key=lambda name: not _LIKELY.search(name))


def _decided(columns: tuple[str, ...], reason: str) -> Decision:
    value = columns[0] if len(columns) == 1 else columns
    shown = ", ".join(columns[:6]) + (f", ... ({len(columns)} in all)" if len(columns) > 6 else "")
    return Decision("target", shown, reason, "target", value)


def _refuse_unusable(raw: RawTable, targets: tuple[str, ...], taken: set[str]) -> None:
    absent = [name for name in targets if name not in raw.frame.columns]
    if absent:
        raise InputError(f"Expected {listed('column', absent)}; found {listed('column', raw.frame.columns)}.")
    repeated = sorted({name for name in targets if name in taken or targets.count(name) > 1})
    if repeated:
        raise InputError(f"Expected a different column for each part, found {listed('column', repeated)} named twice.")


def _rest(others: list[str], kept: tuple[str, ...]) -> tuple[tuple[str, str], ...]:
    return tuple((name, "not the target") for name in others if name not in kept)


def _why_not(raw: RawTable, name: str, items: Items, times: np.ndarray) -> str:
    """Return why a column is no channel; "" if it may be one."""
    cells = raw.frame[name]
    missing = is_missing(cells)
    if re.fullmatch(r"Unnamed: \d+|row_name", name):
        return "an index without a name" if not missing.all() else "empty"
    if missing.all():
        return "empty"
    if pd.api.types.is_bool_dtype(cells.dtype):
        return "true or false"
    numbers = as_numbers(cells, raw)
    observed = cells[~missing] if is_textual(cells) else cells
    if 2 * int(numbers.wrong.sum()) > len(observed):
        return "not numbers"
    values = numbers.values
    seen = values[np.isfinite(values)]
    if len(seen) and (seen == seen[0]).all() and len(raw.frame) > 1:
        return CONSTANT
    if is_named(name, ITEM_NAMES):
        return "an id"
    if (_IDS.search(name) or len(seen) > 20) and _counts_rows(values, items.codes):
        return "a counter"
    if _PLACES.search(name):
        return "an id or a place"
    if items.columns and _constant_per_item(values, items.codes):
        return "constant in each item"
    if _named_as_calendar(name, seen) or _calendar_part(values, times):
        return "part of the calendar"
    if set(np.unique(seen).tolist()) <= {0.0, 1.0} and len(seen) > 2:
        return FLAG
    return ""


def _counts_rows(values: np.ndarray, codes: np.ndarray) -> bool:
    """Return whether a column goes up (or down) evenly from row to row, over the table or within each item."""
    if not np.isfinite(values).all() or len(values) < 3:
        return False
    order = np.argsort(codes, kind="stable")
    rows, within = np.diff(values), np.diff(values[order])[np.diff(codes[order]) == 0]
    return any(
        len(steps) > 1 and steps[0] != 0 and np.allclose(steps, steps[0], rtol=1e-6, atol=0) for steps in (rows, within)
    )


def _constant_per_item(values: np.ndarray, codes: np.ndarray) -> bool:
    if len(np.unique(codes)) < 2:
        return False
    table = pd.DataFrame({"item": codes, "value": values}).groupby("item")["value"]
    return bool((table.min() == table.max()).all())


def _named_as_calendar(name: str, seen: np.ndarray) -> bool:
    """Return whether a column is called a part of the calendar and holds its numbers: Mon is a month, or Mondays."""
    most = next((most for part, most in _CALENDAR.items() if re.fullmatch(rf"(is_?)?({part})", name, re.I)), None)
    return most is not None and bool((seen == np.round(seen)).all() and (seen >= 0).all() and (seen <= most).all())


def _calendar_part(values: np.ndarray, times: np.ndarray) -> bool:
    """Return whether a column tells the year, month, day, weekday or hour of its row's time."""
    if not np.issubdtype(times.dtype, np.datetime64) or len(values) < 8 or not np.isfinite(values).all():
        return False
    dates = pd.DatetimeIndex(times)
    weekday = dates.dayofweek.to_numpy()
    season = dates.month.to_numpy() % 12 // 3 + 1
    parts: list[pd.Index | pd.Series | np.ndarray] = [
        dates.year,
        dates.month,
        dates.day,
        dates.hour,
        dates.dayofyear,
        dates.quarter,
        dates.isocalendar().week,
    ]
    parts += [weekday, weekday + 1, (weekday + 1) % 7, (weekday + 1) % 7 + 1, season, dates.isocalendar().week]
    known = [np.asarray(part, dtype=np.float64) for part in parts]
    return any(np.array_equal(values, part) for part in known if len(np.unique(part)) > 1)
