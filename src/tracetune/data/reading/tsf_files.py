"""Files of the Monash archive (.tsf): a series a line, each with its first time; as a long table.

@attribute series_name string
@attribute start_timestamp date
@frequency monthly
@data
T1:1979-01-01 00-00-00:1149.9,1053.8,?
"""

import re
from pathlib import Path

import numpy as np
import pandas as pd

from tracetune.base.errors import InputError, shown
from tracetune.base.plain_numbers import plain_number
from tracetune.data.reading.start_times import times_from

ITEM, TIME, VALUE = "item_id", "timestamp", "target"
_NAME, _DATE = "series_name", "date"
_UNITS = {
    "years": pd.DateOffset(years=1), "months": pd.DateOffset(months=1), "weeks": pd.DateOffset(weeks=1),
    "days": pd.DateOffset(days=1), "hours": pd.DateOffset(hours=1), "minutes": pd.DateOffset(minutes=1),
    "seconds": pd.DateOffset(seconds=1),
}  # fmt: skip
_STEPS = {
    "yearly": _UNITS["years"], "quarterly": 3 * _UNITS["months"], "monthly": _UNITS["months"],
    "weekly": _UNITS["weeks"], "daily": _UNITS["days"], "hourly": _UNITS["hours"],
    "half_hourly": 30 * _UNITS["minutes"], "minutely": _UNITS["minutes"], "secondly": _UNITS["seconds"],
}  # fmt: skip
_SEVERAL = re.compile(rf"(\d+)_({'|'.join(_UNITS)})")
_CLOCK = re.compile(r"(\d{4}-\d{2}-\d{2})(?:[ T](\d{1,2})[-:](\d{2})[-:](\d{2}))?")


def read_tsf(source: Path) -> pd.DataFrame:
    """Return the series one below the other, a row a step: item_id, timestamp (numbers without a start), target.

    Raises:
        InputError: no line @data, no series, a line that is no series, or dates without a step between them.
    """
    lines = source.read_text(encoding="utf-8-sig", errors="replace").splitlines()
    start = next((number for number, line in enumerate(lines, 1) if line.strip().lower() == "@data"), None)
    if start is None:
        raise InputError(f"Expected a line @data in {source}, found none: this is no .tsf file.")
    header = [line.split() for line in lines[: start - 1] if line.lstrip().startswith("@")]
    attributes = [
        (words[1], words[2].lower()) for words in header if words[0].lower() == "@attribute" and len(words) > 2
    ]
    step = next((words[1].lower() for words in header if words[0].lower() == "@frequency" and len(words) > 1), None)
    frames: list[pd.DataFrame] = []
    for number, line in enumerate(lines[start:], start + 1):
        if line.strip() and not line.lstrip().startswith("#"):
            where = f"line {number:,} of {source}"
            known, values = _parts(line.strip(), attributes, where)
            times = _times(known, attributes, step, len(values), where)
            frames.append(pd.DataFrame({ITEM: _name(known, attributes, len(frames)), TIME: times, VALUE: values}))
    if not frames:
        raise InputError(f"Expected series after @data in {source}, found none.")
    return pd.concat(frames, ignore_index=True)


def _parts(line: str, attributes: list[tuple[str, str]], where: str) -> tuple[list[str], np.ndarray]:
    """Return the attributes of a series, and its values."""
    *known, cells = line.split(":")
    if len(known) != len(attributes):
        raise InputError(
            f"Expected {len(attributes)} attributes and then the values, separated by colons, in {where}, found "
            f"{len(known)} before the last colon. Correct the line, or the lines @attribute."
        )
    values = np.full(cells.count(",") + 1, np.nan)
    for place, cell in enumerate(each.strip() for each in cells.split(",")):
        if cell not in ("?", "") and cell.lower() != "nan":
            found = plain_number(cell)
            if found is None:
                raise InputError(f"Expected numbers in {where}, and ? where one is missing, found {shown(cell)}.")
            values[place] = found
    return known, values


def _name(known: list[str], attributes: list[tuple[str, str]], number: int) -> str:
    """Return the name of a series: its own, else its texts, else its number."""
    names = [value for value, (name, _) in zip(known, attributes, strict=True) if name.lower() == _NAME]
    texts = [value for value, (_, kind) in zip(known, attributes, strict=True) if kind != _DATE]
    return names[0] if names else "/".join(texts) or f"T{number + 1}"


def _times(
    known: list[str], attributes: list[tuple[str, str]], step: str | None, length: int, where: str
) -> pd.DatetimeIndex | np.ndarray:
    """Return the times of a series: dates from its start, or steps from 0 where it has none."""
    starts = [value for value, (_, kind) in zip(known, attributes, strict=True) if kind == _DATE]
    if not starts:
        return np.arange(length)
    if (found := _CLOCK.fullmatch(starts[0].strip())) is None:
        raise InputError(f"Expected a date such as 1979-01-01 00-00-00 in {where}, found {shown(starts[0])}.")
    clock = ":".join(part or "0" for part in found.groups()[1:])
    try:
        return times_from(pd.Timestamp(f"{found[1]} {clock}"), _offset(step, where), length)
    except (ValueError, OverflowError) as error:
        raise InputError(f"Expected a date in {where}, found {shown(starts[0])}: {error}.") from error


def _offset(step: str | None, where: str) -> pd.DateOffset:
    """Return the time between two steps of a series by the words of the line @frequency."""
    if step in _STEPS:
        return _STEPS[step]
    if step is not None and (found := _SEVERAL.fullmatch(step)):
        return int(found[1]) * _UNITS[found[2]]
    raise InputError(
        f"Expected a line @frequency with {', '.join(_STEPS)} or such as 10_minutes, because {where} has a date; found "
        f"{'none' if step is None else shown(step)}."
    )
