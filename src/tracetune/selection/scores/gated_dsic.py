"""Gated DSIC: a module's importance as the gate gradient under Monte Carlo masks.

The estimand. For a random context S of open modules, each other module drawn from a distribution P,

    phi_m = E_{S ~ P} [ L(S without m) - L(S with m) ]

with L the validation loss: positive where opening the module lowers the loss. With ``context="budget"`` P opens
each other module with probability q, the share that is to stay open (Li & Zhu, TRACE, arXiv 2503.16991: the context
after pruning). With ``context="shapley"`` q ~ U(0, 1) is drawn first; by the multilinear extension of the game
(Owen 1972) phi is then the Shapley value.

The estimator reads -dL/dg_m at random 0/1 gates. A module is open in some masks and closed in others, and its own
gate is independent of the others', so these two groups of reads estimate the gradient at g_m = 1 and at g_m = 0 in
the same context. The mean of the two group means is the trapezoid rule for the integral of -dL/dg_m over
g_m in [0, 1], which is L(S without m) - L(S with m): exact where L is quadratic in g_m.
(With ``context="shapley"`` an open module makes a large q likelier. What is estimated is then the integral over q of
q * (read at the open end) + (1 - q) * (read at the closed end), which equals phi where L is quadratic in the gates.)

Notation for tensor shapes: B batch, M gated modules, K masks.
"""

from collections.abc import Iterable
from typing import Any

import numpy as np
import torch
from torch import Tensor

from tracetune.base.errors import InputError, unknown_name
from tracetune.selection.gates import Gates
from tracetune.selection.scores.score import FORWARD_BACKWARD, ScoreValues, register_score
from tracetune.selection.standard_errors import mean_and_error
from tracetune.selection.validation import LossFunction, batch_size, checked_loss, on_device

CONTEXTS = ("budget", "shapley")
MASKS = ("auto", "per_sample", "per_batch")


def _passes(modules: int, *, masks: str, n_masks: int, **_: Any) -> float:
    """Return the forward passes over a batch; "auto" as per sample, without the one test of what is valid."""
    return FORWARD_BACKWARD * (n_masks if masks == "per_batch" else 1)


@register_score("gated_dsic", passes=_passes, signed=True)
def gated_dsic(
    gates: Gates,
    batches: Iterable[Any],
    loss_fn: LossFunction,
    *,
    keep: float = 0.5,
    context: str = "budget",
    masks: str = "auto",
    n_masks: int = 8,
    both_ends: bool = True,
    seed: int = 0,
) -> ScoreValues:
    """Importance phi of every module, and its standard error.

    Args:
        gates: gates of the model that is scored.
        batches: validation batches, read once.
        loss_fn: losses [B] of the samples; a mean loss is enough where masks are per batch.
        keep: q, the probability with which another module is open in context "budget".
        context: "budget" or "shapley".
        masks: "per_sample" draws a mask for each sample, so that one forward and backward pass evaluates B masks;
            it needs losses [B] and a model that keeps the rows of a batch apart. "per_batch" evaluates each of
            ``n_masks`` masks on every batch (the paper's way) and works for any model. "auto" tests on the first
            batch whether "per_sample" is valid, and otherwise falls back to "per_batch".
        n_masks: number of masks per batch; without effect where masks are per sample.
        both_ends: weigh open and closed reads equally; otherwise take the plain mean over all masks (the paper's).
        seed: fixes the masks.

    Raises:
        InputError: unknown option, no batches, a loss that is not finite, or none per sample where that is needed.
    """
    _check_options(keep, context, masks, n_masks)
    generator = torch.Generator().manual_seed(seed)
    gates.model.requires_grad_(False)
    reads: list[Tensor] = []  # each [M, B], or [M, K]
    opened: list[Tensor] = []
    weights: list[int] = []
    cost = 0.0
    for batch in on_device(gates.model, batches):
        if masks == "auto":
            masks = fitting_masks(gates, batch, loss_fn)
            cost += FORWARD_BACKWARD
        if masks == "per_sample":
            opened.append(draw_masks(gates.M, batch_size(batch), keep, context, generator))
            reads.append(per_sample_reads(gates, opened[-1], batch, loss_fn))
            cost += FORWARD_BACKWARD
        else:
            opened = opened or [draw_masks(gates.M, n_masks, keep, context, generator)]
            reads.append(torch.stack([shared_read(gates, o, batch, loss_fn) for o in opened[0].unbind(1)], dim=1))
            cost += FORWARD_BACKWARD * n_masks
        weights.append(batch_size(batch))
    combined = torch.cat(reads, dim=1) if masks == "per_sample" else _weighted_mean(reads, weights)
    values, errors = average_ends(-combined.numpy(), torch.cat(opened, dim=1).numpy(), both_ends)
    return ScoreValues(values, errors, samples=sum(weights), forward_equivalents=cost)


def draw_masks(modules: int, count: int, keep: float, context: str, generator: torch.Generator) -> Tensor:
    """Random masks [M, count], True where open; modules are independent of each other given q.

    In context "budget" a module is open in ``keep * count`` masks, rounded up or down at random: the probability
    stays ``keep``, and both ends are read whenever they can be. In context "shapley" the shares q of the masks
    are spread evenly over (0, 1).
    """
    uniform = torch.rand(modules, count, generator=generator)
    if context == "shapley":
        strata = torch.randperm(count, generator=generator) + torch.rand(count, generator=generator)
        return uniform < strata / count
    opened = torch.floor(keep * count + torch.rand(modules, 1, generator=generator))
    return uniform.argsort(dim=1).argsort(dim=1) < opened


def per_sample_reads(gates: Gates, opened: Tensor, batch: Any, loss_fn: LossFunction) -> Tensor:
    """dL_b / dg_mb [M, B] of every sample at its own mask ``opened`` [M, B], in one backward pass."""
    values = opened.to(gates.device, torch.float32).requires_grad_()
    with gates.apply(values):
        losses = checked_loss(gates.model, batch, loss_fn)
        if losses.shape != values.shape[1:]:
            raise InputError(
                f"Masks per sample need a loss for each of the {values.shape[1]} samples, found shape "
                f"{list(losses.shape)}. Pass a loss_fn that returns losses [B], or masks='per_batch'."
            )
        return _gate_gradient(losses.sum(), values)


def shared_read(gates: Gates, opened: Tensor, batch: Any, loss_fn: LossFunction) -> Tensor:
    """dL / dg_m [M] of the batch's mean loss at one mask ``opened`` [M]."""
    values = opened.to(gates.device, torch.float32).requires_grad_()
    with gates.apply(values):
        return _gate_gradient(checked_loss(gates.model, batch, loss_fn).mean(), values)


def fitting_masks(gates: Gates, batch: Any, loss_fn: LossFunction) -> str:
    """What masks="auto" stands for: "per_sample" where the model allows it on this batch, else "per_batch"."""
    return "per_sample" if rows_independent(gates, batch, loss_fn) else "per_batch"


def rows_independent(gates: Gates, batch: Any, loss_fn: LossFunction) -> bool:
    """Whether a gate per sample is valid: losses come per sample, and each depends on its own sample's gates alone.

    Tried on the batch: the gradient of the first sample's loss with respect to the other samples' gates is zero.
    """
    values = torch.ones(gates.M, batch_size(batch), device=gates.device).requires_grad_()
    try:
        with gates.apply(values):
            losses = checked_loss(gates.model, batch, loss_fn)
            if losses.shape != values.shape[1:]:
                return False
            return not _gate_gradient(losses[0], values)[:, 1:].any()
    except InputError:  # rows of some layer are not the samples
        return False


def average_ends(reads: np.ndarray, opened: np.ndarray, both_ends: bool = True) -> tuple[np.ndarray, np.ndarray]:
    """Means [M] of ``reads`` [M, K] and their standard errors [M], open and closed masks weighing the same.

    A module that was never drawn at one of the ends is read at the other end only. Errors treat the reads as
    independent; masks that are balanced over the modules cancel some of the noise, so they rather claim too much.
    """
    if not both_ends:
        return mean_and_error(reads)
    counts = np.stack([opened.sum(1), (~opened).sum(1)])  # [2, M]
    totals = np.stack([(reads * opened).sum(1), (reads * ~opened).sum(1)])
    means = totals / np.maximum(counts, 1)
    share = (counts > 0) / (counts > 0).sum(0)
    deviations = np.where(opened, reads - means[0][:, None], reads - means[1][:, None])
    squares = np.stack([(deviations**2 * opened).sum(1), (deviations**2 * ~opened).sum(1)])
    freedom = np.maximum(counts - 1, 0)
    with np.errstate(invalid="ignore", divide="ignore"):
        pooled = squares.sum(0) / freedom.sum(0)  # for an end that was read once
        variances = np.where(counts > 1, squares / np.maximum(freedom, 1), pooled)
        errors = np.sqrt((share**2 * variances / np.maximum(counts, 1)).sum(0))
    return (share * means).sum(0), errors


def _gate_gradient(loss: Tensor, values: Tensor) -> Tensor:
    if not loss.requires_grad:
        raise InputError(
            "Expected a loss that depends on the gates, found one without a gradient. loss_fn must neither detach "
            "nor run under torch.no_grad; gradient checkpointing needs use_reentrant=False here."
        )
    (gradient,) = torch.autograd.grad(loss, values)
    return gradient.detach().double().cpu()


def _weighted_mean(reads: list[Tensor], weights: list[int]) -> Tensor:
    """Mean [M, K] over batches of different sizes."""
    share = torch.tensor(weights, dtype=torch.float64) / sum(weights)
    return (torch.stack(reads) * share.view(-1, 1, 1)).sum(0)


def _check_options(keep: float, context: str, masks: str, n_masks: int) -> None:
    if context not in CONTEXTS:
        raise unknown_name("context", context, CONTEXTS)
    if masks not in MASKS:
        raise unknown_name("masks", masks, MASKS)
    if not 0 < keep <= 1:
        raise InputError(f"Expected keep, the share of modules that stays open, in (0, 1], found {keep!r}.")
    if n_masks < 1:
        raise InputError(f"Expected n_masks of at least 1, found {n_masks!r}.")
