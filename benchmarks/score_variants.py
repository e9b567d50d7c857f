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

from tracetune.selection.estimates.gate_gradient import per_sample_gradient
from tracetune.selection.estimates.gate_masks import draw_masks
from tracetune.selection.estimates.standard_errors import mean_and_error
from tracetune.selection.gates import Gates
from tracetune.selection.passes import FORWARD_BACKWARD
from tracetune.selection.scores import ScoreValues
from tracetune.selection.validation import LossFunction, batch_size

Batches = list[dict[str, Tensor]]


def independent_masks(gates: Gates, batches: Batches, loss_fn: LossFunction, *, seed: int = 0) -> ScoreValues:
    """Return the score from two masks for each window, drawn apart: plain gated DSIC at twice the cost."""
    return _two_masks(gates, batches, loss_fn, seed, lambda opened, generator: _draw(gates, opened.shape[1], generator))


def complementary_masks(gates: Gates, batches: Batches, loss_fn: LossFunction, *, seed: int = 0) -> ScoreValues:
    """Return the score from a mask for each window and its complement: interactions cancel to first order."""
    return _two_masks(gates, batches, loss_fn, seed, lambda opened, generator: ~opened)


VARIANTS = {
    "two passes, independent masks": independent_masks,
    "two passes, complementary masks": complementary_masks,
}


def _two_masks(
    gates: Gates,
    batches: Batches,
    loss_fn: LossFunction,
    seed: int,
    second: Callable[[Tensor, torch.Generator], Tensor],
) -> ScoreValues:
    generator = torch.Generator().manual_seed(seed)
    groups, sizes = [], []
    for batch in batches:
        first = _draw(gates, batch_size(batch), generator)
        opened = torch.cat([first, second(first, generator)], dim=1)
        reads = [-per_sample_gradient(gates, half, batch, loss_fn) for half in opened.chunk(2, dim=1)]
        groups.append(_mean_of_both_ends(torch.cat(reads, dim=1), opened))
        sizes.append(batch_size(batch))
    values, errors = mean_and_error(torch.stack(groups, dim=1).numpy(), np.array(sizes))
    return ScoreValues(values, errors, sum(sizes), 2 * FORWARD_BACKWARD * len(batches))


def _mean_of_both_ends(reads: Tensor, opened: Tensor) -> Tensor:
    """Return the mean [M] of the mean reads at the open and at the closed end, from reads and masks [M, K]."""
    return ((reads * opened).sum(1) / opened.sum(1) + (reads * ~opened).sum(1) / (~opened).sum(1)) / 2


def _draw(gates: Gates, windows: int, generator: torch.Generator) -> Tensor:
    return draw_masks(gates.M, windows, 0.5, "budget", generator).gates[0].bool()
