"""Gated DSIC: a module's importance as the gate gradient under Monte Carlo masks.

The estimand. For a random context S of open modules, each other module drawn from a distribution P,

    phi_m = E_{S ~ P} [ L(S without m) - L(S with m) ]

with L the validation loss: positive where opening the module lowers the loss. With ``context="budget"`` P opens
each other module with probability q, the share that is to stay open (Li & Zhu, TRACE, arXiv 2503.16991: the context
after pruning). With ``context="shapley"`` q ~ U(0, 1) is drawn first; by the multilinear extension of the game
(Owen 1972) phi is then the Shapley value.

What is claimed is the expectation over contexts of an integral over the own gate,

    phi_m = - E_{S ~ P} [ integral over g in (0, 1) of dL/dg_m (g_m = g, others as in S) dg ],

which is the same phi. The integral is read from gradients at gates of 0 and 1, and close to them, so that it is exact
where L is quadratic in g_m; its coefficients may depend on the other modules in any way (see
selection/estimates/gate_masks.py). Own gate and context are drawn such that neither tells of the other, or are read
together.

Standard errors are between groups of samples with masks of their own: they tell what other masks and other validation
samples would give, as far as samples are independent of each other.

Notation for tensor shapes: B batch, M gated modules, K masks, P reads of a mask, R groups.
"""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from itertools import chain, pairwise

import numpy as np
import torch
from torch import Tensor

from tracetune.base.errors import InputError, unknown_name
from tracetune.selection.estimates.gate_gradient import per_sample_gradient, shared_gradient
from tracetune.selection.estimates.gate_masks import CONTEXTS, LEAST_MASKS, MASKS, Masks, draw_masks, stratified_masks
from tracetune.selection.estimates.replicates import SPLIT_PASSES, replicates
from tracetune.selection.estimates.row_independence import INDEPENDENCE_PASSES, fitting_masks
from tracetune.selection.estimates.standard_errors import mean_and_error
from tracetune.selection.gates import Gates
from tracetune.selection.passes import FORWARD_BACKWARD
from tracetune.selection.scores.score import ScoreValues, register_score
from tracetune.selection.validation import AnyBatch, LossFunction, batch_size, on_device

_GROUPS = 16  # per batch, where masks are per sample
_LEAST_GROUPS = 4
_FEW_MASKS = 4  # stratified masks that a small batch draws even where that leaves fewer groups
_USUAL_BATCH = 64


@dataclass(frozen=True)
class _Draw:
    """Draw of masks: options of `gated_dsic`, and their generator."""

    keep: float
    context: str
    n_masks: int
    generator: torch.Generator


@dataclass(frozen=True)
class _Group:
    """The score [M] that samples with masks of their own give, how many samples, and the passes over a batch."""

    values: Tensor
    samples: float
    passes: float


def _passes(modules: int, *, masks: str, n_masks: int, keep: float, context: str, **_: object) -> float:
    """Return the forward passes over a batch; "auto" as per sample, without the one test of what is valid."""
    if masks == "per_batch":
        return FORWARD_BACKWARD * n_masks
    return FORWARD_BACKWARD * (1 if _stratified_samples(_USUAL_BATCH, keep, context) else 2)


def _passes_beside(modules: int, *, masks: str, **_: object) -> float:
    """Return the forward passes that it takes to find out whether few batches may be split."""
    return SPLIT_PASSES if masks == "per_batch" else 0.0


@register_score("gated_dsic", passes=_passes, signed=True, beside=_passes_beside)
def gated_dsic(
    gates: Gates,
    batches: Iterable[AnyBatch],
    loss_fn: LossFunction,
    *,
    keep: float = 0.5,
    context: str = "budget",
    masks: str = "auto",
    n_masks: int = 8,
    seed: int = 0,
) -> ScoreValues:
    """Return the importance phi of every module, and its standard error.

    Args:
        gates: gates of the model that is scored.
        batches: validation batches, read once.
        loss_fn: losses [B] of the samples; a mean loss is enough where masks are per batch.
        keep: q, the probability with which another module is open in context "budget".
        context: "budget" or "shapley".
        masks: "per_sample" draws a mask for each sample, so that one forward and backward pass evaluates B masks;
            it needs losses [B] and a model that keeps the rows of a batch apart (a second pass reads the twins of the
            masks, in context "shapley" and where q is within 1/16 of 0 or 1). "per_batch" evaluates ``n_masks``
            masks on every batch (the paper's way) and works for any model; each batch has masks of its own, and
            fewer than 8 batches are split into 8 parts where the loss allows it, for the standard error. "auto"
            tests on the first batch whether "per_sample" is valid, and otherwise falls back to "per_batch".
        n_masks: number of masks per batch, at least 2; without effect where masks are per sample. Where each mask is
            read with a twin (context "shapley", and fewer than 1 / min(q, 1 - q) masks), half of them are twins, and
            of an odd number one is left out.
        seed: fixes the masks.

    Raises:
        InputError: unknown option, no batches, a loss that is not finite, or none per sample where that is needed.
    """
    _check_options(keep, context, masks, n_masks)
    gates.model.requires_grad_(False)
    source = on_device(gates.model, batches)
    draw = _Draw(keep, context, n_masks, torch.Generator().manual_seed(seed))
    tried = 0.0
    if masks == "auto":
        first = next(source)
        masks, tried = fitting_masks(gates, first, loss_fn), INDEPENDENCE_PASSES
        source = chain([first], source)
    read = _per_sample if masks == "per_sample" else _per_batch
    groups = list(read(gates, source, loss_fn, draw))
    values, errors = mean_and_error(
        torch.stack([group.values for group in groups], dim=1).numpy(), np.array([group.samples for group in groups])
    )
    samples = round(sum(group.samples for group in groups))
    return ScoreValues(values, errors, samples, tried + sum(group.passes for group in groups))


def _per_sample(gates: Gates, batches: Iterable[AnyBatch], loss_fn: LossFunction, draw: _Draw) -> Iterator[_Group]:
    """Yield groups of samples with a mask for each; a second pass reads each at its twin if it has one."""
    for batch in batches:
        size = batch_size(batch)
        sizes = _group_sizes(size, draw)
        drawn = [draw_masks(gates.M, count, draw.keep, draw.context, draw.generator) for count in sizes]
        values = torch.cat([masks.gates for masks in drawn], dim=2)  # [P, M, B]
        reads = torch.stack([per_sample_gradient(gates, each, batch, loss_fn) for each in values])
        for masks, gradients in zip(drawn, reads.split(sizes, dim=2), strict=True):
            count = gradients.shape[2]
            yield _Group(_score(masks, gradients), count, count / size * FORWARD_BACKWARD * len(values))


def _group_sizes(size: int, draw: _Draw) -> list[int]:
    """Return numbers of samples of the groups of a batch: all with stratified masks, or all with twins."""
    least = _stratified_samples(size, draw.keep, draw.context) or min(size, 2 if draw.context == "shapley" else 1)
    groups = min(_GROUPS, size // least)
    borders = [place * size // groups for place in range(groups + 1)]
    return [stop - start for start, stop in pairwise(borders)]


def _stratified_samples(size: int, keep: float, context: str) -> int | None:
    """Return how many samples of such a batch a group with stratified masks needs; None where twins are better."""
    least = stratified_masks(keep)
    if context != "budget" or size < least or (least > _FEW_MASKS and size < _LEAST_GROUPS * least):
        return None
    return int(least)


def _per_batch(gates: Gates, batches: Iterable[AnyBatch], loss_fn: LossFunction, draw: _Draw) -> Iterator[_Group]:
    """Yield batches, or parts of few ones, each read at masks that all of its samples share."""
    stratified = draw.context == "budget" and draw.n_masks >= stratified_masks(draw.keep)
    count = draw.n_masks if stratified else draw.n_masks // 2
    for part in replicates(gates, batches, loss_fn):
        masks = draw_masks(gates.M, count, draw.keep, draw.context, draw.generator)
        reads = torch.stack(
            [
                torch.stack([shared_gradient(gates, each, part.batch, loss_fn) for each in values.unbind(1)], dim=1)
                for values in masks.gates
            ]
        )
        cost = FORWARD_BACKWARD * len(masks.gates) * count
        yield _Group(_score(masks, reads), part.samples, part.passes + part.share * cost)


def _score(masks: Masks, reads: Tensor) -> Tensor:
    """Score [M] from the gate gradients [P, M, K] at these masks."""
    return -(masks.weights * reads).sum((0, 2))


def _check_options(keep: float, context: str, masks: str, n_masks: int) -> None:
    if context not in CONTEXTS:
        raise unknown_name("context", context, CONTEXTS)
    if masks not in MASKS:
        raise unknown_name("masks", masks, MASKS)
    if not 0 < keep <= 1:
        raise InputError(f"Expected keep, the share of modules that stays open, in (0, 1], found {keep!r}.")
    if n_masks < LEAST_MASKS:
        raise InputError(
            f"Expected n_masks of at least {LEAST_MASKS}, found {n_masks!r}: fewer masks per batch cannot see every "
            "module both open and closed."
        )
