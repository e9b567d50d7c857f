"""The regular time grid of a table: which frequency it follows, and where its gaps are.

Moments are counted in ticks here: nanoseconds since 1970 for dates, the number itself for integer timestamps.
"""

import itertools
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd

from tracetune.base.errors import InputError, argument
from tracetune.data.frequency import WEEKDAYS, Offset, as_offset, offset_text
from tracetune.data.time_text import show_moment

SNAP_SHARE = 0.1  # a moment this share of a step away from the grid is taken for one on it
_RUN_TOLERANCE = 0.15  # months have 28 to 31 days: steps this close to the usual one belong to one gap-free run
_REGULAR_ROWS = 8  # from here on equal steps of an item are its frequency, not gaps
_SPARSEST = 100  # grid steps per row above which timestamps are single events, not a series with gaps
_DAY = pd.Timedelta(1, "D").value
_MONTH = 28 * _DAY  # from here on a step has no fixed length
_ROUND_STEPS = [
    pd.Timedelta(text).value
    for text in ("1s", "2s", "5s", "10s", "15s", "20s", "30s", "1min", "2min", "5min", "10min", "15min", "20min",
                 "30min",
                 "1h", "2h", "3h", "4h", "6h", "8h", "12h", "1D", "7D")
]  # fmt: skip


@dataclass(frozen=True)
class Assessment:
    """Measure of how well timestamps fit a regular grid.

    Attributes:
        offset: the frequency that was found, None for none (and for integers).
        fill: share of the grid's steps that have a row.
        off_grid: share of the rows that lie off it.
        repeated: share of the rows that repeat a time of their item.
    """

    offset: Offset | None
    fill: float
    off_grid: float
    repeated: float

    @property
    def regular(self) -> bool:
        """Return whether most steps have a row, and no row lies off the grid."""
        return self.fill >= 0.5 and self.off_grid == 0 and self.repeated == 0


def assess(times: np.ndarray, codes: np.ndarray, freq: Offset | None = None, most_items: int = 30) -> Assessment:
    """Return how well the times [rows] of items ``codes`` [rows] fit a regular grid, by the longest items."""
    repeated = _repeated(times, codes)
    counts = np.bincount(codes)
    longest = np.argsort(-counts, kind="stable")[:most_items]
    chosen = np.isin(codes, longest)
    ordered, bounds = _by_item(times[chosen], codes[chosen])
    offset = None
    if np.issubdtype(times.dtype, np.datetime64):
        offset = freq or infer_offset(ordered, bounds)
        if offset is None:
            return Assessment(None, 0.0, 1.0, repeated)
    steps, rows, off = 0, 0, 0
    try:
        grid = Grid(ordered, bounds, offset)
        for start, stop in itertools.pairwise(bounds):
            full, _, on_grid = grid.place(ordered[start:stop])
            steps, rows, off = steps + len(full), rows + (stop - start), off + int((~on_grid).sum())
    except (InputError, OverflowError, ValueError):
        return Assessment(offset, 0.0, 0.0, repeated)
    return Assessment(offset, (rows - off) / max(steps, 1), off / max(rows, 1), repeated)


def _repeated(times: np.ndarray, codes: np.ndarray) -> float:
    """Return which share of rows repeats a time of its item."""
    order = np.lexsort((times, codes))
    same = codes[order][1:] == codes[order][:-1]
    again = float((same & (times[order][1:] == times[order][:-1])).sum())
    return again / max(len(times), 1)


def _by_item(times: np.ndarray, codes: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return distinct times of each item in order, and where each item begins."""
    order = np.lexsort((times, codes))
    times, codes = times[order], codes[order]
    new = np.append(True, (codes[1:] != codes[:-1]) | (times[1:] != times[:-1]))
    times, codes = times[new], codes[new]
    return times, np.append(np.flatnonzero(np.diff(codes, prepend=-1)), len(codes))


def infer_offset(times: np.ndarray, bounds: np.ndarray) -> Offset | None:
    """Return the frequency that dates follow, None if none can be seen.

    Args:
        times: timestamps of all items, item after item, each in order and without repeats.
        bounds: where each item begins in ``times``, and the total at the end.
    """
    step = usual_step(times, bounds)
    if step is None:
        return None
    run = _longest_run(times, bounds, step)
    name = _pandas_name(run)
    if step >= _MONTH:
        return as_offset(name) if name else _days_of_months(times, step)
    if (name is None or name == "D") and step == _DAY and (weekdays := _only_some_weekdays(times)) is not None:
        return weekdays
    return as_offset(name or pd.Timedelta(step))


def _pandas_name(run: np.ndarray) -> str | None:
    try:
        return pd.infer_freq(pd.DatetimeIndex(run)) if len(run) > 2 else None
    except (ValueError, TypeError):
        return None


def _days_of_months(times: np.ndarray, step: int) -> Offset | None:
    """Return the first, the last or the same day of every so many months."""
    dates = pd.DatetimeIndex(np.unique(times))
    months = np.unique(dates.year.to_numpy() * 12 + dates.month.to_numpy())
    if len(dates) > len(months):
        return None
    every = int(np.gcd.reduce(np.diff(months))) if len(months) > 1 else round(step / (30.4 * _DAY))
    days = dates.day.to_numpy()
    if (days == dates.days_in_month.to_numpy()).all():
        return as_offset("ME") * every
    day = int(days.max())
    if not (days == np.minimum(day, dates.days_in_month.to_numpy())).all():
        return None
    return as_offset("MS") * every if day == 1 else pd.offsets.DateOffset(months=every, day=day)


def _only_some_weekdays(times: np.ndarray) -> Offset | None:
    """Return days that leave out the same days of each week, over two weeks at least, such as weekends."""
    dates = pd.DatetimeIndex(times)
    seen = np.bincount(dates.dayofweek, minlength=7)
    weeks = (dates.max() - dates.min()).value / (7 * _DAY)
    present = seen > 0
    if present.all() or not present.any() or weeks < (5 / 7 if present[:5].all() and not present[5:].any() else 2):
        return None
    if present[:5].all() and not present[5:].any():
        return as_offset("B")
    if seen[present].min() * 2 < seen.max() or present.sum() < 4:
        return None
    return pd.offsets.CustomBusinessDay(
        weekmask=" ".join(day for day, here in zip(WEEKDAYS, present, strict=True) if here)
    )


def snapped(times: np.ndarray, bounds: np.ndarray) -> tuple[np.ndarray, Offset, pd.Timedelta] | None:
    """Return times moved to the nearest grid of a round step, that step and the longest move; None if they do not fit.

    Every time must lie within a tenth of a step (`SNAP_SHARE`) of the grid, and no two may fall together.
    """
    steps = np.diff(times.astype(np.int64))[_within_items(bounds)]
    if len(steps) < 3 or np.median(steps) <= 0:
        return None
    middle = float(np.median(steps))
    step = min(_ROUND_STEPS, key=lambda each: abs(each / middle - 1))
    if abs(step / middle - 1) > SNAP_SHARE:
        return None
    ticks, moved, worst = times.astype(np.int64), np.empty(len(times), np.int64), 0
    for start, stop in itertools.pairwise(bounds):
        phase = _usual_phase(ticks[start:stop], step)
        grid = np.round((ticks[start:stop] - phase) / step).astype(np.int64) * step + phase
        worst = max(worst, int(np.abs(grid - ticks[start:stop]).max()))
        if worst > SNAP_SHARE * step or (np.diff(grid) <= 0).any():
            return None
        moved[start:stop] = grid
    return moved.astype(times.dtype), as_offset(pd.Timedelta(step)), pd.Timedelta(worst)


def _usual_phase(ticks: np.ndarray, step: int) -> int:
    """Return where in a step times mostly lie: 0 if around full steps, else their mean on the circle."""
    angles = (ticks % step) / step * 2 * np.pi
    middle = np.angle(np.exp(1j * angles).mean()) / (2 * np.pi) * step
    return 0 if abs(middle) <= SNAP_SHARE * step else int(round(middle / 1e9) * 1e9)


def suggested_step(times: np.ndarray, bounds: np.ndarray) -> str:
    """Return the alias of a round step a little longer than most, to resample unevenly sampled data to."""
    steps = np.diff(times.astype(np.int64))[_within_items(bounds)]
    steps = steps[steps > 0]
    usual = float(np.quantile(steps, 0.75)) if len(steps) else _DAY
    longer = [each for each in _ROUND_STEPS if each >= 0.9 * usual]
    text = offset_text(as_offset(pd.Timedelta(longer[0]))) if longer else "MS"
    return {"7D": "W"}.get(str(text), str(text))


def refuse_mixed_steps(times: np.ndarray, bounds: np.ndarray, items: Sequence[str]) -> None:
    """Refuse an item that follows a longer step throughout than the table does: its grid would be mostly gaps.

    Args:
        times: timestamps of all items, item after item, each in order.
        bounds: where each item begins in ``times``, and the total at the end.
        items: their names.

    Raises:
        InputError: names the first such item and both steps.
    """
    usual = usual_step(times, bounds)
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
            f"each frequency, or resample; with {argument('freq')} given, missing values are put between the longer "
            "steps."
        )


class Grid:
    """Regular timestamps under the rows of any item, for one frequency (or for integers: their usual step).

    Args:
        times: timestamps of all items, item after item, each in order.
        bounds: where each item begins in ``times``, and the total at the end.
        offset: the frequency, None for integers.
    """

    def __init__(self, times: np.ndarray, bounds: np.ndarray, offset: Offset | None) -> None:
        self._offset = offset
        self._step = _fixed_step(times, bounds, offset)
        # One calendar serves every item, except where steps of several units let items differ in phase.
        shared = offset is not None and self._step is None and offset.n == 1
        ticks = times.astype(np.int64)
        self._calendar = self._date_range(ticks.min(), ticks.max()) if shared else np.array([], dtype=np.int64)

    def __str__(self) -> str:
        return repr(offset_text(self._offset)) if self._offset is not None else f"of step {self._step}"

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
                f"than one in {_SPARSEST} steps of the grid {self}. Resample the data to a regular step, e.g. "
                f"{argument('resample', 'D:mean')}, or give its {argument('freq')}."
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
        dates = pd.date_range(pd.Timestamp(first), pd.Timestamp(last), freq=self._offset)
        return dates.to_numpy("datetime64[ns]").astype(np.int64)


def _fixed_step(times: np.ndarray, bounds: np.ndarray, offset: Offset | None) -> int | None:
    """Return ticks of one step, None where steps follow the calendar."""
    if offset is None:
        return usual_step(times, bounds) or 1
    return int(offset.nanos) if isinstance(offset, pd.offsets.Tick) else None


def usual_step(times: np.ndarray, bounds: np.ndarray) -> int | None:
    """Return the most frequent step within items, the smallest of several; None if no item has two rows."""
    steps = np.diff(times.astype(np.int64))[_within_items(bounds)]
    steps, counts = np.unique(steps[steps > 0], return_counts=True)
    return int(steps[counts.argmax()]) if len(steps) else None


def _longest_run(times: np.ndarray, bounds: np.ndarray, step: int) -> np.ndarray:
    """Return the longest stretch of one item whose steps are all close to the usual one."""
    deviation = np.abs(np.diff(times.astype(np.int64)) / step - 1)
    regular = _within_items(bounds) & (deviation <= _RUN_TOLERANCE)
    edges = np.flatnonzero(np.diff(regular, prepend=False, append=False))
    starts, stops = edges[::2], edges[1::2]
    longest = int((stops - starts).argmax())
    return times[starts[longest] : stops[longest] + 1]


def _within_items(bounds: np.ndarray) -> np.ndarray:
    """Return, for each pair of neighbouring rows, whether both belong to one item."""
    within = np.ones(bounds[-1] - 1, dtype=bool)
    within[bounds[1:-1] - 1] = False
    return within
