"""Move a trained model back towards its start, as far as validation says: one factor for all weights that trained.

What wins on validation wins by less on the next period, so a trained model is shrunk towards its start: g = 0 is the
start, g = 1 the trained model. Outputs at several factors are measured on validation, and two thirds of the best factor
are taken (docs/validation.md says why). The best one has the largest mean gain over periods and items, each relative to
its own loss, so that the few with the largest losses do not decide for all. It may lie beyond 1: a short run, or one
with a low learning rate, ends on the way to it.

Shapes: S samples.
"""

import logging
from collections.abc import Callable, Mapping, Sequence

import numpy as np
from torch import nn

from tracetune.data.batch_source import BatchSource, chosen_rows
from tracetune.data.windows import batches
from tracetune.evaluation.periods import SampleGroups, relative_gain
from tracetune.fitting.trained import Shrinkage
from tracetune.selection.gates import Gates
from tracetune.selection.soft_gates import fold_gates, soft_gates

logger = logging.getLogger(__name__)

FACTORS = (0.0, 0.25, 0.5, 0.75, 1.0)
BEYOND = (1.5, 2.0, 3.0, 4.0)
KEPT_SHARE = 2 / 3  # of the best factor; docs/results/next_period.md


def shrink(
    go_to: Callable[[float], None],
    measure: Callable[[], np.ndarray],
    groups: SampleGroups,
    known: Mapping[float, np.ndarray] | None = None,
    beyond: Sequence[float] = (),
) -> Shrinkage:
    """Choose a factor, and leave the weights there.

    The mean loss at the factor is never above that at 0: the start is measured like everything else.

    Args:
        go_to: sets the weights to a factor, see `WeightPath`.
        measure: returns the loss of each sample [S] with the weights as they are.
        groups: period and item of each sample.
        known: losses that are known already, by factor.
        beyond: factors above 1 to try, ascending, see `search`.
    """
    losses = dict(known or {})

    def at(factor: float) -> np.ndarray:
        if factor not in losses:
            go_to(factor)
            losses[factor] = measure()
        return losses[factor]

    found = search(at, groups, beyond)
    factor = chosen_factor(found, at, groups)
    go_to(factor)
    means = {float(each): _mean(losses[each]) for each in sorted(losses)}
    tried = {each: mean if np.isfinite(mean) else None for each, mean in means.items()}
    largest = [KEPT_SHARE * each for each in beyond[-1:]]
    return Shrinkage(factor, losses[factor], tried, ended_early=factor in largest)


def search(
    at: Callable[[float], np.ndarray], groups: SampleGroups, beyond: Sequence[float] = ()
) -> dict[float, np.ndarray]:
    """Return losses [S] by factor: from 0 to 1, and ``beyond`` as long as each is better than all before it.

    Args:
        at: returns the losses at a factor.
        groups: period and item of each sample.
        beyond: factors above 1, ascending.
    """
    losses = {factor: at(factor) for factor in FACTORS}
    for factor in beyond:
        if best_factor(losses, groups) < max(losses):
            break
        losses[factor] = at(factor)
    return losses


def chosen_factor(found: Mapping[float, np.ndarray], at: Callable[[float], np.ndarray], groups: SampleGroups) -> float:
    """Return two thirds of the best factor, or where the mean loss there is no lower than at 0, of the best lower one.

    Args:
        found: losses [S] by factor, from `search`.
        at: returns the losses at a factor.
        groups: period and item of each sample.
    """
    start = _mean(found[0.0])
    lower = {factor: losses for factor, losses in found.items() if factor == 0 or _mean(losses) < start}
    for allowed in (found, lower):
        chosen = KEPT_SHARE * best_factor(allowed, groups)
        if _mean(at(chosen)) < start:
            return chosen
    return 0.0


def best_factor(losses: Mapping[float, np.ndarray], groups: SampleGroups) -> float:
    """Return the factor with the largest gain over factor 0, see ``relative_gain``.

    Args:
        losses: [S] by factor, 0 among them; factors at which a model has diverged do not count.
        groups: period and item of each sample.
    """
    start = losses[0.0]
    if not np.isfinite(start).all():
        return 0.0
    known = {factor: each for factor, each in losses.items() if np.isfinite(each).all()}
    return max(known, key=lambda factor: relative_gain(start, known[factor], groups).mean)


def shrink_modules(model: nn.Module, validation: BatchSource, groups: SampleGroups, batch_size: int) -> None:
    """Fold a factor of its own into each LoRA module, see selection/soft_gates.py; without two periods, do nothing.

    The factors are chosen on all periods, so that losses on these periods are too low. Gradients are those of
    ``batch_size`` samples at a time.
    """
    periods = [np.flatnonzero(groups.periods == period).tolist() for period in np.unique(groups.periods)]
    if len(periods) < 2:
        logger.warning("One validation period is too little for a factor on each module: all have one in common.")
        return
    found = soft_gates(Gates(model), [list(batches(chosen_rows(validation, rows), batch_size)) for rows in periods])
    fold_gates(model, found.factors)


def _mean(losses: np.ndarray) -> float:
    """Return the mean loss; infinite where a model has diverged."""
    mean = float(losses.mean())
    return mean if np.isfinite(mean) else np.inf
