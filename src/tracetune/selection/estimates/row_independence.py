"""Test whether the rows of a batch are independent, so that each sample may have separate gates.

Notation for tensor shapes: B batch, M gated modules.
"""

import torch
from torch import Tensor

from tracetune.base.errors import InputError
from tracetune.selection.gates import Gates
from tracetune.selection.validation import AnyBatch, LossFunction, batch_size, checked_loss

_CHANGES = 4
INDEPENDENCE_PASSES = 1.0 + _CHANGES
"""Forward passes over a batch that `rows_independent` takes."""

_NEGLIGIBLE = 1e-4


def fitting_masks(gates: Gates, batch: AnyBatch, loss_fn: LossFunction) -> str:
    """Return what masks="auto" stands for: "per_sample" where the model allows it on this batch, else "per_batch"."""
    return "per_sample" if rows_independent(gates, batch, loss_fn) else "per_batch"


def rows_independent(gates: Gates, batch: AnyBatch, loss_fn: LossFunction) -> bool:
    """Return whether losses come per sample, and each depends on the gates of its own sample alone.

    Every sample has random gates. Then half of the samples get others, four times, and the losses of the rest must
    stay what they are: to 1 / 10,000 of the largest change among those that were changed. The halves are the digits
    in base two of the samples' numbers in a random order: any two of 16 samples, and nearly any two of more, are
    told apart at least once.
    """
    size = batch_size(batch)
    generator = torch.Generator().manual_seed(0)
    number = torch.randperm(size, generator=generator)
    digits = max(1, (size - 1).bit_length())
    values = torch.rand(gates.M, size, generator=generator)
    try:
        with torch.no_grad():
            before = _losses(gates, values, batch, loss_fn)
            for change in range(_CHANGES):
                chosen = (number >> change % digits & 1) == torch.randint(2, (), generator=generator)
                values = torch.where(chosen, torch.rand(values.shape, generator=generator), values)
                after = _losses(gates, values, batch, loss_fn)
                if _spread(before, after, chosen):
                    return False
                before = after
    except InputError:  # no losses per sample, or rows of some layer are not the samples
        return False
    return True


def _spread(before: Tensor, after: Tensor, chosen: Tensor) -> bool:
    """Return whether the losses [B] of samples that were not chosen changed as well."""
    change = (after - before).abs()
    largest = change[chosen].max() if chosen.any() else change.new_zeros(())
    return bool((change[~chosen] > _NEGLIGIBLE * largest).any())


def _losses(gates: Gates, values: Tensor, batch: AnyBatch, loss_fn: LossFunction) -> Tensor:
    with gates.apply(values.to(gates.device)):
        losses = checked_loss(gates.model, batch, loss_fn)
    if losses.shape != values.shape[1:]:
        raise InputError("Expected a loss for each sample.")
    return losses.double().cpu()
