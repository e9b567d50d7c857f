"""Gradients of the loss with respect to gates, in one forward and backward pass.

Notation for tensor shapes: B batch, M gated modules.
"""

import torch
from torch import Tensor

from tracetune.base.errors import InputError
from tracetune.selection.gates import Gates
from tracetune.selection.validation import AnyBatch, LossFunction, checked_loss


def per_sample_gradient(gates: Gates, values: Tensor, batch: AnyBatch, loss_fn: LossFunction) -> Tensor:
    """Return dL_b / dg_mb [M, B] of every sample at gates of its own, ``values`` [M, B].

    Raises:
        InputError: the losses do not come per sample, or do not depend on the gates.
    """
    values = values.to(gates.device, torch.float32).requires_grad_()
    with gates.apply(values):
        losses = checked_loss(gates.model, batch, loss_fn)
        if losses.shape != values.shape[1:]:
            raise InputError(
                f"Masks per sample need a loss for each of the {values.shape[1]} samples, found shape "
                f"{list(losses.shape)}. Pass a loss_fn that returns losses [B], or masks='per_batch'."
            )
        return _gradient(losses.sum(), values)


def shared_gradient(gates: Gates, values: Tensor, batch: AnyBatch, loss_fn: LossFunction) -> Tensor:
    """Return dL / dg_m [M] of the batch's mean loss at gates that all samples share, ``values`` [M].

    Raises:
        InputError: the loss does not depend on the gates.
    """
    values = values.to(gates.device, torch.float32).requires_grad_()
    with gates.apply(values):
        return _gradient(checked_loss(gates.model, batch, loss_fn).mean(), values)


def _gradient(loss: Tensor, values: Tensor) -> Tensor:
    if not loss.requires_grad:
        raise InputError(
            "Expected a loss that depends on the gates, found one without a gradient. loss_fn must neither detach "
            "nor run under torch.no_grad; gradient checkpointing needs use_reentrant=False here."
        )
    (gradient,) = torch.autograd.grad(loss, values)
    return gradient.detach().double().cpu()
