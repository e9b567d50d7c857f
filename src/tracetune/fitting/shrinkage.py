"""Shrinkage of a trained model towards its start, chosen by validation: one factor for all trained weights.

A gain on validation is smaller on the next period, so the trained model is shrunk towards its start: g = 0 is the
start, g = 1 the trained model. Forecasts at several factors are measured on validation, and two thirds of the best
factor are taken (docs/validation.md says why). A model is compared with others by its loss in each period at the factor
that the *other* periods chose, which is unbiased by the choice.

Shapes: G factors, S samples.
"""

import logging
from collections.abc import Callable, Mapping
from dataclasses import dataclass

import numpy as np
from scipy.interpolate import PchipInterpolator
from torch import nn

from tracetune.data.windows import BatchSource, batches, chosen_rows
from tracetune.evaluation.periods import SampleGroups
from tracetune.fitting.interpolation import WeightPath
from tracetune.selection.gates import Gates
from tracetune.selection.soft_gates import fold_gates, soft_gates

logger = logging.getLogger(__name__)

FACTORS = (0.0, 0.25, 0.5, 0.75, 1.0)
KEPT_SHARE = 2 / 3  # of the best factor; docs/results/next_period.md
_FOLDS = 5  # of items, where there is one period


@dataclass(frozen=True, eq=False)
class Shrinkage:
    """A factor that was chosen, and what it was chosen by.

    Attributes:
        factor: g in [0, 1].
        losses: [S] with this factor.
        held_out_losses: [S] each with the factor that samples of other periods chose.
        tried: mean loss at every factor that was measured; None where the model had diverged.
    """

    factor: float
    losses: np.ndarray
    held_out_losses: np.ndarray
    tried: dict[float, float | None]


def shrink(
    path: WeightPath,
    measure: Callable[[], np.ndarray],
    groups: SampleGroups,
    known: Mapping[float, np.ndarray] | None = None,
) -> Shrinkage:
    """Choose a factor, and leave the weights there.

    The mean loss at the factor is never above that at 0: the start is measured like everything else.

    Args:
        path: the way of the weights.
        measure: returns the loss of each sample [S] with the weights as they are.
        groups: period and item of each sample.
        known: losses that are known already, by factor.
    """
    losses = dict(known or {})

    def at(factor: float) -> np.ndarray:
        if factor not in losses:
            path.go_to(factor)
            losses[factor] = measure()
        return losses[factor]

    choice = choose_factor(np.array(FACTORS), np.stack([at(factor) for factor in FACTORS]), groups)
    factor = choice.factor if _mean(at(choice.factor)) < _mean(at(0.0)) else 0.0
    path.go_to(factor)
    means = {float(each): _mean(losses[each]) for each in sorted(losses)}
    tried = {each: mean if np.isfinite(mean) else None for each, mean in means.items()}
    return Shrinkage(factor, losses[factor], choice.held_out_losses, tried)


def shrink_modules(model: nn.Module, validation: BatchSource, groups: SampleGroups) -> None:
    """Fold a factor of its own into each LoRA module, see selection/soft_gates.py; without two periods, do nothing.

    The factors are chosen on all periods, so that losses on these periods are too low.
    """
    periods = [np.flatnonzero(groups.periods == period).tolist() for period in np.unique(groups.periods)]
    if len(periods) < 2:
        logger.warning("One validation period is too little for a factor on each module: all have one in common.")
        return
    found = soft_gates(Gates(model), [list(batches(chosen_rows(validation, rows), 256)) for rows in periods])
    fold_gates(model, found.factors)


@dataclass(frozen=True, eq=False)
class FactorChoice:
    """The choice from losses at several factors.

    Attributes:
        factor: two thirds of the best one.
        held_out_losses: [S] losses of each period with the factor that the other periods chose in the same way.
    """

    factor: float
    held_out_losses: np.ndarray


def choose_factor(factors: np.ndarray, losses: np.ndarray, groups: SampleGroups) -> FactorChoice:
    """Choose a factor, and see how well it would have been chosen by leaving out periods in turn.

    Where there is one period, parts of the items are left out in turn; where there is one item too, nothing is. Losses
    between factors are interpolated (monotone cubic, Fritsch & Carlson 1980: never below what was measured).

    Args:
        factors: [G], ascending from 0.
        losses: [G, S]; factors at which a model has diverged do not count.
        groups: period and item of each sample.
    """
    finite = np.isfinite(losses).all(axis=1)
    if finite.sum() < 2:
        return FactorChoice(0.0, losses[0])
    factors, losses = factors[finite], losses[finite]
    between = PchipInterpolator(factors, losses, axis=0)

    def chosen(samples: np.ndarray) -> float:
        return float(KEPT_SHARE * factors[losses[:, samples].mean(axis=1).argmin()])

    factor = chosen(np.ones(losses.shape[1], dtype=bool))
    held_out = np.array(between(factor))
    folds = _folds(groups)
    for fold in np.unique(folds):
        inside = folds == fold
        if not inside.all():
            held_out[inside] = between(chosen(~inside))[inside]
    return FactorChoice(factor, held_out)


def _folds(groups: SampleGroups) -> np.ndarray:
    if len(np.unique(groups.periods)) > 1:
        return groups.periods
    _, items = np.unique(groups.items, return_inverse=True)
    return np.asarray(items % _FOLDS)


def _mean(losses: np.ndarray) -> float:
    """Return the mean loss; infinite where a model has diverged."""
    mean = float(losses.mean())
    return mean if np.isfinite(mean) else np.inf
