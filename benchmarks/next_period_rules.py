"""Rules that read validation losses and say how far to go from start (0) to trained (1), and what they gave on test.

Losses between the factors that were measured are interpolated. Cells that end at the trained model have no losses
beyond it: rules that go further stop there.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from scipy.interpolate import PchipInterpolator

from tracetune.evaluation.periods import SampleGroups, paired_difference, relative_gain
from tracetune.fitting.shrinkage import chosen_factor

Cell = dict[str, Any]
TRAINED, TODAY = "trained (no guard)", "lower loss, as trained"
BEFORE = "two thirds of the best factor, one standard error of the plain difference"
WITHIN = "two thirds of the factor up to 1 with the largest relative gain (guard_margin=0)"
WITHIN_GUARDED = "the same by half a standard error"
SHRUNK = "two thirds of the factor with the largest relative gain (guard_margin=0)"
DEFAULT = "the same by half a standard error (default)"
_TO_TRAINED = (0.0, 0.25, 0.5, 0.75, 1.0)  # factors of cells that do not name theirs


@dataclass(frozen=True, eq=False)
class Way:
    """Validation losses on the way from the start.

    Attributes:
        factors: [G], ascending from 0.
        losses: [G, S] mean losses of S periods of items.
        groups: period and item of each.
    """

    factors: np.ndarray
    losses: np.ndarray
    groups: SampleGroups

    @property
    def start(self) -> np.ndarray:
        """Return the losses [S] at 0."""
        return self.losses[0]

    def at(self, factor: float) -> np.ndarray:
        """Return the losses [S] at a factor."""
        return np.asarray(PchipInterpolator(self.factors, self.losses, axis=0)(factor))

    def within(self, furthest: float) -> "Way":
        """Return the way up to a factor."""
        inside = self.factors <= furthest
        return Way(self.factors[inside], self.losses[inside], self.groups)

    def without(self, period: int) -> "Way":
        """Return the way as all other periods see it."""
        others = self.groups.periods != period
        groups = SampleGroups(self.groups.periods[others], self.groups.items[others])
        return Way(self.factors, self.losses[:, others], groups)


Rule = Callable[[Way], float]


def trained(way: Way) -> float:
    """Take the trained model, whatever validation says."""
    return 1.0


def point_estimate(way: Way) -> float:
    """Take the trained model where its mean loss is lower."""
    return float(way.at(1.0).mean() < way.start.mean())


def one_standard_error(way: Way) -> float:
    """Take the trained model where its mean loss is lower by more than a standard error of the difference."""
    difference = paired_difference(way.start, way.at(1.0), way.groups)
    return float(difference.mean > (difference.error or 0.0))


def lowest_loss(way: Way) -> float:
    """Take the factor up to 1 with the lowest mean loss."""
    inside = way.within(1.0)
    return float(inside.factors[int(inside.losses.mean(axis=1).argmin())])


def two_thirds(way: Way) -> float:
    """Take two thirds of the factor up to 1 with the lowest mean loss."""
    return 2 / 3 * lowest_loss(way)


def two_thirds_held_out(way: Way) -> float:
    """Return two thirds of the best factor where each period at the others' choice is better by a standard error.

    Of a single period nothing can be held out: the start is kept.
    """
    held_out, periods = np.array(way.start), np.unique(way.groups.periods)
    if len(periods) < 2:
        return 0.0
    for period in periods:
        inside = way.groups.periods == period
        held_out[inside] = way.at(two_thirds(way.without(period)))[inside]
    difference = paired_difference(way.start, held_out, way.groups)
    return two_thirds(way) if difference.mean > (difference.error or 0.0) else 0.0


def shrunk(way: Way) -> float:
    """Take two thirds of the factor with the largest relative gain, as the package does."""
    return chosen_factor(dict(zip(way.factors.tolist(), way.losses, strict=True)), way.at, way.groups)


def guarded(margin: float, furthest: float = np.inf) -> Rule:
    """Return the rule of the package: as before, where the gain is more than ``margin`` standard errors."""

    def rule(way: Way) -> float:
        chosen = shrunk(way.within(furthest))
        gain = relative_gain(way.start, way.at(chosen), way.groups)
        return chosen if gain.mean > margin * (gain.error or 0.0) else 0.0

    return rule


def smallest_within_one_standard_error(way: Way) -> float:
    """Take the smallest factor whose loss is above the lowest one by at most a standard error of the difference."""
    inside = way.within(1.0)
    best = inside.losses[int(inside.losses.mean(axis=1).argmin())]
    for factor, row in zip(inside.factors, inside.losses, strict=True):
        above = paired_difference(row, best, way.groups)
        if above.mean <= (above.error or 0.0):
            return float(factor)
    raise AssertionError("the best one is within the error of itself")


def half_way_to_a_half(way: Way) -> float:
    """Take the mean of 1/2 and the factor up to 1 with the lowest mean loss; 0 where that is 0."""
    best = lowest_loss(way)
    return 0.0 if best == 0 else (best + 0.5) / 2


def half(way: Way) -> float:
    """Go half-way, whatever validation says."""
    return 0.5


_FURTHER = (SHRUNK, DEFAULT, "the same by one standard error")  # read factors beyond 1, where a cell has them
RULES: dict[str, Rule] = {
    TRAINED: trained,
    TODAY: point_estimate,
    "one standard error, as trained": one_standard_error,
    "best factor": lowest_loss,
    "two thirds of the best factor": two_thirds,
    BEFORE: two_thirds_held_out,
    WITHIN: guarded(0.0, 1.0),
    WITHIN_GUARDED: guarded(0.5, 1.0),
    SHRUNK: shrunk,
    DEFAULT: guarded(0.5),
    "the same by one standard error": guarded(1.0),
    "smallest factor within one standard error": smallest_within_one_standard_error,
    "best factor, half-way to 1/2": half_way_to_a_half,
    "factor 1/2": half,
}


def mean_loss(losses: Any) -> float:
    """Return the mean of losses [period, item], None where there is none."""
    return float(np.nanmean(np.array(losses, dtype=float)))


def way_of(cell: Cell, path: str = "path") -> Way:
    """Return what a rule may see of a cell."""
    factors = np.array(cell[path].get("factors", _TO_TRAINED))
    validation = np.array(cell[path]["validation"], dtype=float)  # [factors, periods, items]
    periods, items = (axis.ravel() for axis in np.indices(validation.shape[1:]))
    flat = validation.reshape(len(factors), -1)
    seen = ~np.isnan(flat[0])
    finite = np.isfinite(flat[:, seen]).all(axis=1)
    return Way(factors[finite], flat[finite][:, seen], SampleGroups(periods[seen], items[seen]))


def judged(cell: Cell, path: str = "path", rules: Sequence[str] = tuple(RULES)) -> dict[str, float]:
    """Return the test loss over that of the start, by rule; without rules that need factors the cell does not have."""
    way = way_of(cell, path)
    losses = dict(zip(cell[path].get("factors", _TO_TRAINED), cell[path]["test"], strict=True))
    tests = {factor: mean_loss(losses[factor]) for factor in way.factors.tolist()}
    between = PchipInterpolator(way.factors, list(tests.values()))
    known = [name for name in rules if name not in _FURTHER or "factors" in cell[path]]
    return {name: float(between(RULES[name](way))) / tests[0.0] for name in known}


def returned(cell: Cell) -> float:
    """Return the test loss of what a fit returned, over that of zero-shot."""
    return mean_loss(cell["returned"]["test"]) / mean_loss(cell["zero_shot"]["test"])


def start_ratio(cell: Cell) -> float:
    """Return the test loss of what a trial started from, over that of zero-shot."""
    return mean_loss(cell["path"]["test"][0]) / mean_loss(cell["zero_shot"]["test"])
