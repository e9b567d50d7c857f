"""Shapley values as a score: the yardstick of all signed ones."""

from collections.abc import Iterable
from pathlib import Path

from tracetune.selection.gates import Gates
from tracetune.selection.passes import FORWARD
from tracetune.selection.scores.score import ScoreValues, register_score
from tracetune.selection.shapley import EXACT_LIMIT, exact_shapley, sampled_shapley, subset_loss
from tracetune.selection.validation import AnyBatch, LossFunction, batch_size, on_device


def _passes(modules: int, *, pairs: int, exact_limit: int, **_: object) -> float:
    """Return the forward passes over a batch: one for each subset of modules whose loss is read."""
    return FORWARD * (2**modules if modules <= exact_limit else 2 + pairs * 2 * (modules - 1))


@register_score("shapley", passes=_passes, signed=True)
def shapley(
    gates: Gates,
    batches: Iterable[AnyBatch],
    loss_fn: LossFunction,
    *,
    pairs: int = 32,
    exact_limit: int = EXACT_LIMIT,
    seed: int = 0,
    state_file: str | Path | None = None,
    progress: bool = False,
) -> ScoreValues:
    """Return Shapley values of the loss on these batches: exact up to ``exact_limit`` modules, sampled above.

    Standard errors are those of the sampled orders alone: 0 where values are exact. What other batches would give is
    not part of them.
    """
    kept = list(on_device(gates.model, batches))
    loss = subset_loss(gates, kept, loss_fn)
    if exact_limit >= gates.M:
        result = exact_shapley(loss, gates.M, progress=progress)
    else:
        result = sampled_shapley(loss, gates.M, pairs, seed=seed, state_file=state_file, progress=progress)
    samples = sum(batch_size(batch) for batch in kept)
    return ScoreValues(result.values, result.standard_errors, samples, FORWARD * result.evaluations * len(kept))
