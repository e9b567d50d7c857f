"""Importance scores beside those of the package, which show where the error of a score comes from.

Each reads the gate gradient twice as often as one pass of gated DSIC does, at gates chosen in another way. What the
loss is between closed and open gates decides which of them is exact: for a loss quadratic in the gates the mean over
a mask and its complement is the Shapley value, for any mask.

Notation for tensor shapes: B windows, M gated modules.
"""

from collections.abc import Callable

import numpy as np
import torch
from torch import Tensor

from tracetune.selection.gates import Gates
from tracetune.selection.scores import FORWARD_BACKWARD, ScoreValues
from tracetune.selection.scores.gated_dsic import average_ends, draw_masks, per_sample_reads, shared_read
from tracetune.selection.validation import LossFunction, batch_size

Batches = list[dict[str, Tensor]]
_GAUSS_POINTS = (0.5 - 0.5 / 3**0.5, 0.5 + 0.5 / 3**0.5)


def independent_masks(gates: Gates, batches: Batches, loss_fn: LossFunction, *, seed: int = 0) -> ScoreValues:
    """Two masks for each window, drawn apart: plain gated DSIC at twice the cost."""
    return _two_masks(gates, batches, loss_fn, seed, lambda opened, generator: _draw(gates, opened.shape[1], generator))


def complementary_masks(gates: Gates, batches: Batches, loss_fn: LossFunction, *, seed: int = 0) -> ScoreValues:
    """A mask for each window, and its complement: what modules do to each other cancels to first order."""
    return _two_masks(gates, batches, loss_fn, seed, lambda opened, generator: ~opened)


def gauss_points(gates: Gates, batches: Batches, loss_fn: LossFunction, *, seed: int = 0) -> ScoreValues:
    """All gates at the two Gauss points of (0, 1): the Aumann-Shapley value, without any chance.

    It equals the Shapley value where the loss has no products of three gates or more, and no square of one.
    """
    reads = torch.zeros(gates.M, dtype=torch.float64)
    windows = sum(batch_size(batch) for batch in batches)
    for batch in batches:
        for point in _GAUSS_POINTS:
            read = shared_read(gates, torch.full((gates.M,), point), batch, loss_fn)
            reads -= read * batch_size(batch) / windows / 2
    return ScoreValues(reads.numpy(), None, windows, 2 * FORWARD_BACKWARD * len(batches))


VARIANTS = {
    "two passes, independent masks": independent_masks,
    "two passes, complementary masks": complementary_masks,
    "two passes, gates at Gauss points": gauss_points,
}


def _two_masks(
    gates: Gates,
    batches: Batches,
    loss_fn: LossFunction,
    seed: int,
    second: Callable[[Tensor, torch.Generator], Tensor],
) -> ScoreValues:
    generator = torch.Generator().manual_seed(seed)
    reads, masks = [], []
    for batch in batches:
        first = _draw(gates, batch_size(batch), generator)
        for opened in (first, second(first, generator)):
            masks.append(opened)
            reads.append(-per_sample_reads(gates, opened, batch, loss_fn))
    values, errors = average_ends(torch.cat(reads, dim=1).numpy(), torch.cat(masks, dim=1).numpy())
    windows = sum(batch_size(batch) for batch in batches)
    return ScoreValues(np.asarray(values), errors, windows, 2 * FORWARD_BACKWARD * len(batches))


def _draw(gates: Gates, windows: int, generator: torch.Generator) -> Tensor:
    return draw_masks(gates.M, windows, 0.5, "budget", generator)
