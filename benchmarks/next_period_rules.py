"""Rules that read validation losses and say how far to go from start (0) to trained (1), and what they gave on test.

Losses between the factors that were measured are interpolated.
"""

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
from scipy.interpolate import PchipInterpolator

from tracetune.evaluation.periods import SampleGroups, paired_difference, relative_gain
from tracetune.fitting.shrinkage import FACTORS, choose_factor

Cell = dict[str, Any]
Rule = Callable[[np.ndarray, SampleGroups], float]
TRAINED, TODAY = "trained (no guard)", "lower loss, as trained"
BEFORE = "two thirds of the best factor, one standard error of the plain difference"
SHRUNK = "two thirds of the factor with the largest relative gain (guard_margin=0)"
DEFAULT = "the same by half a standard error (default)"


def trained(losses: np.ndarray, groups: SampleGroups) -> float:
    """Take the trained model, whatever validation says."""
    return 1.0


def point_estimate(losses: np.ndarray, groups: SampleGroups) -> float:
    """Take the trained model where its mean loss is lower."""
    return float(losses[-1].mean() < losses[0].mean())


def one_standard_error(losses: np.ndarray, groups: SampleGroups) -> float:
    """Take the trained model where its mean loss is lower by more than a standard error of the difference."""
    difference = paired_difference(losses[0], losses[-1], groups)
    return float(difference.mean > (difference.error or 0.0))


def best_factor(losses: np.ndarray, groups: SampleGroups) -> float:
    """Take the factor with the lowest mean loss."""
    return FACTORS[int(losses.mean(axis=1).argmin())]


def two_thirds(losses: np.ndarray, groups: SampleGroups) -> float:
    """Take two thirds of the factor with the lowest mean loss."""
    return 2 / 3 * best_factor(losses, groups)


def two_thirds_held_out(losses: np.ndarray, groups: SampleGroups) -> float:
    """Return two thirds of the best factor where each period at the others' choice is better by a standard error."""
    between = PchipInterpolator(FACTORS, losses, axis=0)
    held_out = np.array(losses[0])
    for period in np.unique(groups.periods):
        inside = groups.periods == period
        held_out[inside] = between(two_thirds(losses[:, ~inside], groups))[inside]
    difference = paired_difference(losses[0], held_out, groups)
    return two_thirds(losses, groups) if difference.mean > (difference.error or 0.0) else 0.0


def shrunk(losses: np.ndarray, groups: SampleGroups) -> float:
    """Take two thirds of the factor with the largest relative gain, as the package does."""
    chosen = choose_factor(np.array(FACTORS), losses, groups)
    return chosen if _at(losses, chosen).mean() < losses[0].mean() else 0.0


def guarded(margin: float) -> Rule:
    """Return the rule of the package: as before, where the gain is more than ``margin`` standard errors."""

    def rule(losses: np.ndarray, groups: SampleGroups) -> float:
        chosen = shrunk(losses, groups)
        gain = relative_gain(losses[0], _at(losses, chosen), groups)
        return chosen if gain.mean > margin * (gain.error or 0.0) else 0.0

    return rule


def _at(losses: np.ndarray, factor: float) -> np.ndarray:
    return np.asarray(PchipInterpolator(FACTORS, losses, axis=0)(factor))


def smallest_within_one_standard_error(losses: np.ndarray, groups: SampleGroups) -> float:
    """Take the smallest factor whose loss is above the lowest one by at most a standard error of the difference."""
    best = losses[int(losses.mean(axis=1).argmin())]
    for factor, row in zip(FACTORS, losses, strict=True):
        above = paired_difference(row, best, groups)
        if above.mean <= (above.error or 0.0):
            return factor
    raise AssertionError("the best one is within the error of itself")


def half_way_to_a_half(losses: np.ndarray, groups: SampleGroups) -> float:
    """Take the mean of 1/2 and the factor with the lowest mean loss; 0 where that is 0."""
    best = best_factor(losses, groups)
    return 0.0 if best == 0 else (best + 0.5) / 2


def half(losses: np.ndarray, groups: SampleGroups) -> float:
    """Go half-way, whatever validation says."""
    return 0.5


RULES: dict[str, Rule] = {
    TRAINED: trained,
    TODAY: point_estimate,
    "one standard error, as trained": one_standard_error,
    "best factor": best_factor,
    "two thirds of the best factor": two_thirds,
    BEFORE: two_thirds_held_out,
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


def judged(cell: Cell, path: str = "path", rules: Sequence[str] = tuple(RULES)) -> dict[str, float]:
    """Return the test loss over that of the start, by rule."""
    validation = np.array(cell[path]["validation"], dtype=float)  # [factors, periods, items]
    periods, items = (axis.ravel() for axis in np.indices(validation.shape[1:]))
    flat = validation.reshape(len(FACTORS), -1)
    seen = ~np.isnan(flat).any(axis=0)
    groups = SampleGroups(periods[seen], items[seen])
    tests = [mean_loss(losses) for losses in cell[path]["test"]]
    between = PchipInterpolator(FACTORS, tests)
    return {name: float(between(RULES[name](flat[:, seen], groups))) / tests[0] for name in rules}


def returned(cell: Cell) -> float:
    """Return the test loss of what a fit returned, over that of zero-shot."""
    return mean_loss(cell["returned"]["test"]) / mean_loss(cell["zero_shot"]["test"])
