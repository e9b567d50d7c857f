"""Series of .ts files with time stamps: pairs (time,value), put on one evenly spaced grid.

    (2024-01-01 00:00:00,0.5),(2024-01-01 01:00:00,?):(2024-01-01 00:00:00,7):up

Times are numbers or dates, of one kind in a file. Steps that are left out are missing.
"""

import re
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd

from tracetune.base.errors import InputError, shown
from tracetune.base.plain_numbers import plain_number

_COLON = re.compile(r":(?![^()]*\))")  # outside of a pair: dates have colons, too
_PAIR = re.compile(r"\(([^()]*),([^(),]*)\)")
_PAIRS = re.compile(rf"\s*{_PAIR.pattern}\s*(,\s*{_PAIR.pattern}\s*)*")
_OFF_GRID = 1e-3  # of a step: times as floats are rounded
_FEWEST_OBSERVED = 0.1  # of a grid


@dataclass(frozen=True, eq=False)
class StampedSeries:
    """One series, as its line says.

    Attributes:
        where: its line, for messages.
        dated: whether times are dates, in seconds then.
        times: of each channel, one array, ascending.
        values: the cells of these times, as text.
    """

    where: str
    dated: bool
    times: tuple[np.ndarray, ...]
    values: tuple[tuple[str, ...], ...]

    @property
    def span(self) -> tuple[float, float]:
        """Return the first and the last time of all channels."""
        return min(times[0] for times in self.times), max(times[-1] for times in self.times)


def stamped_parts(line: str) -> list[str]:
    """Return the channels of a line and, where it has one, its class."""
    return _COLON.split(line)


def stamped_series(channels: Sequence[str], where: str) -> StampedSeries:
    """Return the series of a line.

    Raises:
        InputError: something else than pairs, times that are neither numbers nor dates, or do not ascend.
    """
    kinds, times, values = set(), [], []
    for channel in channels:
        if not _PAIRS.fullmatch(channel):
            raise InputError(
                f"Expected (time,value) pairs, separated by commas, in {where}, since its file has '@timeStamps true'; "
                f"found {shown(channel)}."
            )
        pairs = _PAIR.findall(channel)
        dated, found = _times([time.strip() for time, _ in pairs], where)
        if (np.diff(found) <= 0).any():
            late = pairs[int(np.flatnonzero(np.diff(found) <= 0)[0]) + 1][0]
            raise InputError(
                f"Expected ascending times in {where}, found {shown(late)} after one that is not before it. Sort the "
                "pairs of each channel by time, and leave one of each time."
            )
        kinds.add(dated)
        times.append(found)
        values.append(tuple(value.strip() for _, value in pairs))
    if len(kinds) > 1:
        raise InputError(f"Expected times of one kind in {where}, found dates in some channels and numbers in others.")
    return StampedSeries(where, kinds.pop(), tuple(times), tuple(values))


def places_on_one_grid(series: Sequence[StampedSeries]) -> list[tuple[int, tuple[np.ndarray, ...]]]:
    """Return for each series its steps L, and for each channel which of them [0, L) its values belong to.

    The smallest step between two times of any series is that of all; a series begins at its first time.

    Raises:
        InputError: times off this grid, so few on it that it is none, or dates in some series and numbers in others.
    """
    if len({each.dated for each in series}) > 1:
        raise InputError(
            f"Expected times of one kind, found dates and numbers, the first of each up to {series[-1].where}."
        )
    steps = [np.diff(times) for each in series for times in each.times if len(times) > 1]
    step = float(min(part.min() for part in steps)) if steps else 1.0
    return [(_length(each, step), tuple(_places(each, times, step) for times in each.times)) for each in series]


def _length(series: StampedSeries, step: float) -> int:
    first, last = series.span
    length, most = (last - first) / step + 1, max(map(len, series.times)) / _FEWEST_OBSERVED
    if length > most:
        raise InputError(
            f"Expected evenly spaced times, found a smallest step of {_duration(step, series.dated)} in the file, at "
            f"which the series in {series.where} would be {length:,.0f} steps, most of them missing. Correct a time "
            "that is too near to another, or resample the series."
        )
    return round(length)


def _places(series: StampedSeries, times: np.ndarray, step: float) -> np.ndarray:
    exact = (times - series.span[0]) / step
    places = exact.round()
    if (off := np.flatnonzero(np.abs(exact - places) > _OFF_GRID)).size:
        raise InputError(
            f"Expected evenly spaced times, {_duration(step, series.dated)} apart or a multiple of that, found value "
            f"{int(off[0]) + 1} of a channel in {series.where} between two steps. Resample the series, or make a long "
            "table with a time column."
        )
    return np.asarray(places, dtype=int)


def _times(texts: list[str], where: str) -> tuple[bool, np.ndarray]:
    """Return whether times are dates, and the times as numbers."""
    numbers = [plain_number(text) for text in texts]
    if None not in numbers:
        return False, np.array(numbers, dtype=float)
    try:
        dates = pd.to_datetime(pd.Series(texts), format="ISO8601")
    except (ValueError, OverflowError) as error:
        wrong = next((text for text, number in zip(texts, numbers, strict=True) if number is None), texts[0])
        raise InputError(
            f"Expected times that are numbers, or dates such as 2024-01-31 18:00:00, in {where}, found {shown(wrong)}."
        ) from error
    return True, ((dates - pd.Timestamp(0, tz=dates.dt.tz)) / pd.Timedelta(seconds=1)).to_numpy()


def _duration(step: float, dated: bool) -> str:
    return str(pd.Timedelta(seconds=step)) if dated else f"{step:g}"
