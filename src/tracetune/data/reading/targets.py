"""Find the columns to forecast, and say why others are left out: ids, counters, constants, the calendar."""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd

from tracetune.base.errors import InputError, any_of, argument
from tracetune.data.reading.columns import ITEM_NAMES, MONTHS, Items, TimeColumn, is_named
from tracetune.data.reading.numbers import as_numbers, is_missing, is_textual
from tracetune.data.reading.options import ReadingOptions
from tracetune.data.reading.raw import Decision, RawTable, listed

_TARGET_NAMES = ("target", "y")
_CALENDAR = re.compile(
    r"^(is_?)?(year|yr|yyyy|month|mnth|mon|day|dd|hour|hr|minute|weekday|week_?day|day_?of_?week|dow|wday|d_?o_?w|day_?of_?year|doy|yday|"
    r"week|week_?of_?year|woy|week_?num|quarter|qtr|season|holiday|working_?day|weekend|holiday_?flag|hour_?of_?day|day_?of_?month|dst)$",
    re.IGNORECASE,
)
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
) -> Targets:
    """Return the channels of a table with one step a row; ``every_channel``: as for `read_table`.

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
    warnings = _months_of_years(likely)
    note = f"each of {listed('column', likely)} is a channel: {argument('target', 'NAME')} takes others"
    return Targets(tuple(likely), decided, ignored, warnings, (note,) if items.columns else ())


def _counter(raw: RawTable, reasons: Mapping[str, str]) -> Targets:
    """Return a column that counts up, of a table whose columns each have a reason against them.

    Raises:
        InputError: there is none.
    """
    counters = [name for name, reason in reasons.items() if reason == "a counter" and not _IDS.search(name)]
    if counters:
        warning = f"target {counters[0]} counts the rows up by one, which a series of measurements hardly does"
        ignored = tuple((name, reason) for name, reason in reasons.items() if name != counters[0])
        return Targets((counters[0],), _decided((counters[0],), "no other column is numeric"), ignored, (warning,))
    found = f" ({'; '.join(f'{name}: {reason}' for name, reason in list(reasons.items())[:6])})" if reasons else ""
    usable = [name for name, reason in reasons.items() if reason not in ("empty", "not numbers")]
    advice = f" Name it: {any_of('target', usable)}." if usable else " Fill in values, or correct the cells."
    raise InputError(
        f"Found no numeric column to use as target among {listed('column', raw.frame.columns)}{found}.{advice}"
    )


def _months_of_years(names: Sequence[str]) -> tuple[str, ...]:
    """Return a warning where columns are the months of a year: a table with a row a year is one monthly series."""
    months = [name for name in names if str(name).strip()[:3].title() in MONTHS]
    if {str(name).strip()[:3].title() for name in months} != set(MONTHS) or len(months) != len(MONTHS):
        return ()
    said = f"{months[0]} to {months[-1]} are months: each is a channel of its own with a step a year."
    return (f"{said} For one monthly series, put them below each other, with a date on each row",)


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
        return "constant"
    if is_named(name, ITEM_NAMES):
        return "an id"
    if (_IDS.search(name) or len(seen) > 20) and _counts_rows(values, items.codes):
        return "a counter"
    if _PLACES.search(name):
        return "an id or a place"
    if items.columns and _constant_per_item(values, items.codes):
        return "constant in each item"
    if _CALENDAR.match(name) or _calendar_part(values, times):
        return "part of the calendar"
    if set(np.unique(seen).tolist()) <= {0.0, 1.0} and len(seen) > 2:
        return "a flag"
    return ""


def _counts_rows(values: np.ndarray, codes: np.ndarray) -> bool:
    """Return whether a column counts rows up (or down) by one, over the table or within each item."""
    if not np.isfinite(values).all() or len(values) < 3:
        return False
    order = np.argsort(codes, kind="stable")
    rows, within = np.diff(values), np.diff(values[order])[np.diff(codes[order]) == 0]
    return any(len(steps) > 1 and bool((steps == steps[0]).all()) and abs(steps[0]) == 1 for steps in (rows, within))


def _constant_per_item(values: np.ndarray, codes: np.ndarray) -> bool:
    if len(np.unique(codes)) < 2:
        return False
    table = pd.DataFrame({"item": codes, "value": values}).groupby("item")["value"]
    return bool((table.min() == table.max()).all())


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
