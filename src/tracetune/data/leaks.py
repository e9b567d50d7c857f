"""Columns of a table that leak the target: copies of it, and copies shifted ahead of it."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from scipy.stats import rankdata

_SHIFTS = range(-3, 4)
_FEWEST_STEPS = 20
_COPY = 0.995  # rank correlation from which on a column is the target, up to scale
_SAME_CHANGES = 0.75  # rank correlation of changes a step: what only grows as the target does has less


@dataclass(frozen=True)
class Leak:
    """A column that is the target, up to scale and time.

    Attributes:
        column: its name.
        shift: steps by which it runs ahead of the target; negative where it follows.
        correlation: of ranks with the target shifted so, in the median over items.
    """

    column: str
    shift: int
    correlation: float

    def describe(self) -> str:
        """Return what it means, in a sentence."""
        how = f"correlation {self.correlation:.3f}"
        steps = f"{abs(self.shift)} {'step' if abs(self.shift) == 1 else 'steps'}"
        if self.shift > 0:
            return f"column {self.column!r} holds the target {steps} ahead ({how}): it knows the future, keep it out."
        if self.shift < 0:
            return f"column {self.column!r} repeats the target {steps} later ({how}): it adds nothing."
        return f"column {self.column!r} is the target itself, up to scale ({how}): it is not known in advance."


def find_leaks(values: Sequence[np.ndarray], columns: Sequence[str]) -> list[Leak]:
    """Return the columns that copy the target, at the shift at which they do so best.

    Args:
        values: one array [C, L] an item, NaN where missing; the first channel is the target.
        columns: names of the other channels, C - 1 of them.
    """
    found = []
    changes = [np.diff(item, axis=1) for item in values]
    for number, column in enumerate(columns, start=1):
        by_shift = {shift: _median_correlation(values, number, shift) for shift in _SHIFTS}
        shift = max(by_shift, key=lambda each: (abs(by_shift[each]), -abs(each)))
        if abs(by_shift[shift]) >= _COPY and abs(_median_correlation(changes, number, shift)) >= _SAME_CHANGES:
            found.append(Leak(column, shift, by_shift[shift]))
    return found


def _median_correlation(values: Sequence[np.ndarray], channel: int, shift: int) -> float:
    """Return the median over items of the rank correlation of a channel with the target ``shift`` steps later."""
    found = []
    for item in values:
        target, other = item[0], item[channel]
        if shift > 0:
            target, other = target[shift:], other[:-shift]
        elif shift < 0:
            target, other = target[:shift], other[-shift:]
        both = ~np.isnan(target) & ~np.isnan(other)
        if both.sum() >= _FEWEST_STEPS and np.ptp(target[both]) > 0 and np.ptp(other[both]) > 0:
            found.append(_rank_correlation(target[both], other[both]))
    return float(np.median(found)) if found else 0.0


def _rank_correlation(target: np.ndarray, other: np.ndarray) -> float:
    """Return the correlation of ranks without the 2 % of steps that agree least: a few spikes must not hide a copy."""
    ranks, others = rankdata(target), rankdata(other)
    falls = np.corrcoef(ranks, others)[0, 1] < 0
    apart = np.abs(ranks - (len(others) + 1 - others if falls else others))
    kept = np.argsort(apart, kind="stable")[: len(apart) - max(1, len(apart) // 50)]
    return float(np.corrcoef(ranks[kept], others[kept])[0, 1])
