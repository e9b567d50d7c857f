"""Validation batches as independent replicates, between which the standard error of a mean loss is measured."""

import math
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from itertools import chain, islice, pairwise

import torch
from torch import Tensor

from tracetune.base.errors import InputError
from tracetune.selection.gates import Gates
from tracetune.selection.validation import AnyBatch, LossFunction, batch_size, checked_loss, chosen_rows

LEAST_REPLICATES = 8
SPLIT_PASSES = 2.0
"""Forward passes over a batch that it takes to find out whether it may be split: of the whole and of its parts."""


@dataclass(frozen=True)
class Replicate:
    """Samples that are read together.

    Attributes:
        batch: a validation batch, or some of its rows.
        samples: how many.
        share: of the batch that these rows are, 1 for a whole one.
        passes: forward passes over a batch that it took to find out whether it may be split.
    """

    batch: AnyBatch
    samples: int
    share: float = 1.0
    passes: float = 0.0


def replicates(gates: Gates, batches: Iterable[AnyBatch], loss_fn: LossFunction) -> Iterator[Replicate]:
    """Yield the batches, or where there are fewer than 8 of them, parts of each so that there are 8.

    Batches are split only where the loss of the first one is the mean of the losses of its parts, which takes two
    forward passes to find out: not where rows interact.
    """
    batches = iter(batches)
    first = list(islice(batches, LEAST_REPLICATES))
    num_parts = math.ceil(LEAST_REPLICATES / max(1, len(first)))
    if num_parts == 1 or all(batch_size(batch) == 1 for batch in first):
        yield from (Replicate(batch, batch_size(batch)) for batch in chain(first, batches))
        return
    parts = [_parts(batch, num_parts) for batch in first]
    if not _adds_up(gates, first[0], parts[0], loss_fn):
        parts = [[Replicate(batch, batch_size(batch))] for batch in first]
    yield Replicate(parts[0][0].batch, parts[0][0].samples, parts[0][0].share, SPLIT_PASSES)
    yield from list(chain.from_iterable(parts))[1:]


def _parts(batch: AnyBatch, num_parts: int) -> list[Replicate]:
    """Return the rows of a batch in so many parts of about the same size, or as many as there are rows."""
    size = batch_size(batch)
    num_parts = min(num_parts, size)
    borders = [place * size // num_parts for place in range(num_parts + 1)]
    return [
        Replicate(chosen_rows(batch, slice(start, stop)), stop - start, (stop - start) / size)
        for start, stop in pairwise(borders)
    ]


def _adds_up(gates: Gates, batch: AnyBatch, parts: list[Replicate], loss_fn: LossFunction) -> bool:
    """Return whether the loss of the batch is the mean of those of its parts, at random gates.

    Equal to 1 / 1000 of the standard deviation between the parts, since passes in half precision differ a little.
    """
    values = torch.rand(gates.M, generator=torch.Generator().manual_seed(0)).to(gates.device)
    try:
        with torch.no_grad(), gates.apply(values):
            whole = checked_loss(gates.model, batch, loss_fn).mean().double()
            losses = torch.stack([checked_loss(gates.model, part.batch, loss_fn).mean().double() for part in parts])
    except (InputError, RuntimeError, ValueError, IndexError, TypeError):  # the model does not take parts of a batch
        return False
    return _close(whole, losses, torch.tensor([part.share for part in parts]).to(losses))


def _close(whole: Tensor, losses: Tensor, shares: Tensor) -> bool:
    tolerance = 1e-6 * whole.abs() + 1e-3 * (losses.std() if len(losses) > 1 else 0.0)
    return bool((whole - (losses * shares).sum()).abs() <= tolerance)
