"""The regular time grid of a table: which frequency it follows, and where its gaps are.

Moments are counted in ticks here: nanoseconds since 1970 for dates, the number itself for integer timestamps.
"""

from collections.abc import Sequence

import numpy as np
import pandas as pd
from pandas.tseries.frequencies import to_offset

from tracetune.base.errors import InputError

_RUN_TOLERANCE = 0.15  # months have 28 to 31 days: steps this close to the usual one belong to one gap-free run
_REGULAR_ROWS = 8  # from here on an item whose steps are all alike has a frequency of its own, and not just gaps
_SPARSEST = 100  # grid steps per row above which timestamps are single events, not a series with gaps
_DAY = pd.Timedelta(1, "D").value
_MONTH = 28 * _DAY  # from here on a step has no fixed length


def resolve_freq(times: np.ndarray, bounds: np.ndarray, freq: str | None) -> str | None:
    """The pandas alias of the grid: ``freq`` if given, else inferred; None for integer timestamps.

    Args:
        times: timestamps of all items, item after item, each in order.
        bounds: where each item begins in ``times``, and the total at the end.
        freq: what the user gave.

    Raises:
        InputError: no such alias, an alias for integers, or a frequency that cannot be inferred.
    """
    if not np.issubdtype(times.dtype, np.datetime64):
        if freq is not None:
            raise InputError(f"freq={freq!r} was given, but the timestamps are integers. Leave it out, or use dates.")
        return None
    if freq is None:
        return _infer_freq(times, bounds)
    try:
        return _offset(freq).freqstr
    except ValueError as error:
        raise InputError(f"Expected a pandas offset alias such as 'h', 'D' or 'MS', found freq={freq!r}.") from error


def refuse_mixed_steps(times: np.ndarray, bounds: np.ndarray, items: Sequence[str], usual: int | None = None) -> None:
    """Raise InputError if an item follows a longer step throughout than the table does: a grid would be mostly gaps.

    Args:
        times: timestamps of all items, item after item, each in order.
        bounds: where each item begins in ``times``, and the total at the end.
        items: their names.
        usual: ticks of the usual step of a larger table, of which this is a part; None finds that of this one.
    """
    usual = usual_step(times, bounds) if usual is None else usual
    if usual is None:
        return
    steps = np.append(np.diff(times.astype(np.int64)), 0)  # the last step of each item leads to the next: left out
    last = bounds[1:] - 1
    steps[last] = np.iinfo(np.int64).max
    shortest = np.minimum.reduceat(steps, bounds[:-1])
    steps[last] = 0
    longest = np.maximum.reduceat(steps, bounds[:-1])
    regular = (np.diff(bounds) >= _REGULAR_ROWS) & (longest <= (1 + _RUN_TOLERANCE) * shortest)
    other = np.flatnonzero(regular & (shortest > 1.5 * usual))
    if len(other):
        step, found = (
            pd.Timedelta(n) if np.issubdtype(times.dtype, np.datetime64) else n for n in (usual, shortest[other[0]])
        )
        raise InputError(
            f"Expected one frequency in a table, found two: the usual step is {step}, that of item "
            f"{items[other[0]]!r} is {found} ({len(other)} of {len(items)} items with a longer step). Use a table for "
            "each frequency, or resample; with freq given, missing values are put between the longer steps."
        )


class Grid:
    """Regular timestamps under the rows of any item, for one frequency (or for integers: their usual step).

    Args:
        times: timestamps of all items, item after item, each in order.
        bounds: where each item begins in ``times``, and the total at the end.
        freq: pandas alias, None for integers.
    """

    def __init__(self, times: np.ndarray, bounds: np.ndarray, freq: str | None) -> None:
        self.freq = freq
        self._step = _fixed_step(times, bounds, freq)
        # One calendar serves every item, except where steps of several units let items differ in phase.
        shared = self._step is None and _offset(freq).n == 1
        ticks = times.astype(np.int64)
        self._calendar = self._date_range(ticks.min(), ticks.max()) if shared else np.array([], dtype=np.int64)

    def __str__(self) -> str:
        return repr(self.freq) if self.freq else f"of step {self._step}"

    def place(self, times: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Fit the grid under the timestamps of one item.

        Returns:
            The grid from first to last timestamp, the position of each timestamp in it, and whether it lies on it.

        Raises:
            InputError: hardly any step of the grid would have a row.
        """
        ticks = times.astype(np.int64)
        if self._step is not None and (ticks[-1] - ticks[0]) // self._step > _SPARSEST * len(times):
            raise InputError(
                f"{len(times)} timestamps from {show_moment(times[0])} to {show_moment(times[-1])} would fill less "
                f"than one in {_SPARSEST} steps of the grid {self}. Resample the data to a regular step, or give its "
                "freq."
            )
        grid = self._between(int(ticks[0]), int(ticks[-1]))
        if len(grid) == 0:
            return grid.astype(times.dtype), np.zeros(len(times), np.int64), np.zeros(len(times), bool)
        positions = np.minimum(np.searchsorted(grid, ticks), len(grid) - 1)
        return grid.astype(times.dtype), positions, grid[positions] == ticks

    def _between(self, first: int, last: int) -> np.ndarray:
        if self._step is not None:
            return first + self._step * np.arange((last - first) // self._step + 1)
        start, stop = np.searchsorted(self._calendar, first), np.searchsorted(self._calendar, last, side="right")
        if start < len(self._calendar) and self._calendar[start] == first:
            return self._calendar[start:stop]
        return self._date_range(first, last)

    def _date_range(self, first: int, last: int) -> np.ndarray:
        dates = pd.date_range(pd.Timestamp(first), pd.Timestamp(last), freq=self.freq)
        return dates.to_numpy("datetime64[ns]").astype(np.int64)


def show_moment(moment: np.datetime64 | np.int64) -> str:
    """A timestamp as people write it."""
    return str(pd.Timestamp(moment)) if isinstance(moment, np.datetime64) else str(moment)


def _offset(freq: str | pd.Timedelta | None) -> pd.offsets.BaseOffset:
    offset = to_offset(freq)
    assert offset is not None, "integer timestamps have no offset"
    return offset


def _fixed_step(times: np.ndarray, bounds: np.ndarray, freq: str | None) -> int | None:
    """Ticks of one step, None where steps follow the calendar."""
    if freq is None:
        return usual_step(times, bounds) or 1
    offset = _offset(freq)
    return int(offset.nanos) if isinstance(offset, pd.offsets.Tick) else None


def usual_step(times: np.ndarray, bounds: np.ndarray) -> int | None:
    """The most frequent step within items, the smallest of several; None if no item has two rows."""
    steps = np.diff(times.astype(np.int64))[_within_items(bounds)]
    steps, counts = np.unique(steps[steps > 0], return_counts=True)
    return int(steps[counts.argmax()]) if len(steps) else None


def _infer_freq(times: np.ndarray, bounds: np.ndarray) -> str:
    step = usual_step(times, bounds)
    if step is None:
        raise InputError("Every item has a single row, so the frequency cannot be seen. Give freq, e.g. freq='D'.")
    run = _longest_run(times, bounds, step)
    name = pd.infer_freq(pd.DatetimeIndex(run)) if len(run) > 2 else None
    if name is None and step >= _MONTH:
        raise InputError(
            f"The usual step is {pd.Timedelta(step)}, which is no calendar frequency that can be inferred. Give freq "
            "(e.g. 'MS' for first days of months, 'ME' for last ones), and dates that follow it."
        )
    if name == "D" and _only_weekdays(times):
        return "B"
    return _offset(name or pd.Timedelta(step)).freqstr


def _longest_run(times: np.ndarray, bounds: np.ndarray, step: int) -> np.ndarray:
    """The longest stretch of one item whose steps are all close to the usual one."""
    deviation = np.abs(np.diff(times.astype(np.int64)) / step - 1)
    regular = _within_items(bounds) & (deviation <= _RUN_TOLERANCE)
    edges = np.flatnonzero(np.diff(regular, prepend=False, append=False))
    starts, stops = edges[::2], edges[1::2]
    longest = int((stops - starts).argmax())
    return times[starts[longest] : stops[longest] + 1]


def _within_items(bounds: np.ndarray) -> np.ndarray:
    """For each pair of neighbouring rows, whether both belong to one item."""
    within = np.ones(bounds[-1] - 1, dtype=bool)
    within[bounds[1:-1] - 1] = False
    return within


def _only_weekdays(times: np.ndarray) -> bool:
    """Whether days go on past a weekend without ever being on one."""
    dates = pd.DatetimeIndex(times)
    return bool((dates.dayofweek < 5).all() and (dates.max() - dates.min()).value >= 5 * _DAY)
