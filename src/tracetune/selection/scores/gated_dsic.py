"""Gated DSIC: a module's importance as the gate gradient under Monte Carlo masks.

The estimand. For a random context S of open modules, each other module drawn from a distribution P,

    phi_m = E_{S ~ P} [ L(S without m) - L(S with m) ]

with L the validation loss: positive where opening the module lowers the loss. With ``context="budget"`` P opens
each other module with probability q, the share that is to stay open (Li & Zhu, TRACE, arXiv 2503.16991: the context
after pruning). With ``context="shapley"`` q ~ U(0, 1) is drawn first; by the multilinear extension of the game
(Owen 1972) phi is then the Shapley value.

The estimator reads -dL/dg_m at random 0/1 gates. Reads at which the module itself is open weigh as much as those at
which it is closed, in every draw of masks (see selection/gate_masks.py). This is the trapezoid rule for the integral
of -dL/dg_m over g_m in [0, 1], which is L(S without m) - L(S with m): exact where L is quadratic in g_m.
(With ``context="shapley"`` an open module makes a large q likelier. What is estimated is then the integral over q of
q * (read at the open end) + (1 - q) * (read at the closed end), which equals phi where the difference of the two ends
does not depend on other modules.)

Standard errors are between groups of samples with masks of their own: they tell what other masks and other validation
samples would give, as far as samples are independent of each other.

Notation for tensor shapes: B batch, M gated modules, K masks, R groups.
"""

import math
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from itertools import chain, pairwise
from typing import Any

import numpy as np
import torch
from torch import Tensor

from tracetune.base.errors import InputError, unknown_name
from tracetune.selection.gate_gradient import per_sample_gradient, shared_gradient
from tracetune.selection.gate_masks import CONTEXTS, draw_masks, least_masks, stratified_masks
from tracetune.selection.gates import Gates
from tracetune.selection.replicates import SPLIT_PASSES, replicates
from tracetune.selection.row_independence import INDEPENDENCE_PASSES, rows_independent
from tracetune.selection.scores.score import FORWARD_BACKWARD, ScoreValues, register_score
from tracetune.selection.standard_errors import mean_and_error
from tracetune.selection.validation import LossFunction, batch_size, on_device

MASKS = ("auto", "per_sample", "per_batch")
_GROUPS = 16  # per batch, where masks are per sample
_LEAST_GROUPS = 4
_LEAST_SAMPLES = 4  # of a group that cannot see both ends by stratified masks


@dataclass(frozen=True)
class _Draw:
    """How masks are drawn: options of :func:`gated_dsic`, and their generator."""

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


def _passes(modules: int, *, masks: str, n_masks: int, **_: Any) -> float:
    """Return the forward passes over a batch; "auto" as per sample, without the one test of what is valid."""
    return FORWARD_BACKWARD * (n_masks if masks == "per_batch" else 1)


def _passes_beside(modules: int, *, masks: str, **_: Any) -> float:
    """Return the forward passes that it takes to find out whether few batches may be split."""
    return SPLIT_PASSES if masks == "per_batch" else 0.0


@register_score("gated_dsic", passes=_passes, signed=True, beside=_passes_beside)
def gated_dsic(
    gates: Gates,
    batches: Iterable[Any],
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
            it needs losses [B] and a model that keeps the rows of a batch apart. "per_batch" evaluates ``n_masks``
            masks on every batch (the paper's way) and works for any model; each batch has masks of its own, and
            fewer than 8 batches are split into 8 parts where the loss allows it, for the standard error. "auto"
            tests on the first batch whether "per_sample" is valid, and otherwise falls back to "per_batch".
        n_masks: number of masks per batch, at least 3 (2 at q = 1/2 and in context "shapley": fewer cannot see both
            ends of every module); without effect where masks are per sample.
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


def fitting_masks(gates: Gates, batch: Any, loss_fn: LossFunction) -> str:
    """Return what masks="auto" stands for: "per_sample" where the model allows it on this batch, else "per_batch"."""
    return "per_sample" if rows_independent(gates, batch, loss_fn) else "per_batch"


def _per_sample(gates: Gates, batches: Iterable[Any], loss_fn: LossFunction, draw: _Draw) -> Iterator[_Group]:
    """Groups of samples, each sample with a mask of its own; a batch too small for one group is read repeatedly."""
    for batch in batches:
        size = batch_size(batch)
        sizes = _group_sizes(size, draw)
        drawn = [draw_masks(gates.M, count, draw.keep, draw.context, draw.generator) for count in sizes]
        opened = torch.cat([masks.opened for masks in drawn], dim=1)
        passes = opened.split(size, dim=1)
        reads = torch.cat([per_sample_gradient(gates, values, batch, loss_fn) for values in passes], dim=1)
        for masks, gradients in zip(drawn, reads.split(sizes, dim=1), strict=True):
            share = gradients.shape[1] / reads.shape[1]
            yield _Group(-(masks.weights * gradients).sum(1), share * size, share * FORWARD_BACKWARD * len(passes))


def _group_sizes(size: int, draw: _Draw) -> list[int]:
    """Numbers of masks of the groups of a batch; together ``size``, or a multiple of it."""
    least = 2 if draw.context == "shapley" else stratified_masks(draw.keep)
    if size < _LEAST_GROUPS * least:
        least = min(least, _LEAST_SAMPLES)
    total = size * math.ceil(least / size)
    groups = max(1, min(_GROUPS, total // int(least)))
    borders = [place * total // groups for place in range(groups + 1)]
    return [stop - start for start, stop in pairwise(borders)]


def _per_batch(gates: Gates, batches: Iterable[Any], loss_fn: LossFunction, draw: _Draw) -> Iterator[_Group]:
    """Batches, or parts of few ones, each read at masks that all of its samples share."""
    least = least_masks(draw.keep, draw.context)
    if draw.n_masks < least:
        raise InputError(
            f"Expected n_masks of at least {least} for keep={draw.keep:g} in context {draw.context!r}, found "
            f"{draw.n_masks}: fewer masks per batch cannot see every module both open and closed."
        )
    for part in replicates(gates, batches, loss_fn):
        masks = draw_masks(gates.M, draw.n_masks, draw.keep, draw.context, draw.generator)
        reads = [shared_gradient(gates, opened, part.batch, loss_fn) for opened in masks.opened.unbind(1)]
        values = -(masks.weights * torch.stack(reads, dim=1)).sum(1)
        yield _Group(values, part.samples, part.passes + part.share * FORWARD_BACKWARD * draw.n_masks)


def _check_options(keep: float, context: str, masks: str, n_masks: int) -> None:
    if context not in CONTEXTS:
        raise unknown_name("context", context, CONTEXTS)
    if masks not in MASKS:
        raise unknown_name("masks", masks, MASKS)
    if not 0 < keep <= 1:
        raise InputError(f"Expected keep, the share of modules that stays open, in (0, 1], found {keep!r}.")
    if n_masks < 1:
        raise InputError(f"Expected n_masks of at least 1, found {n_masks!r}.")
