"""The diagonal: all gates at the same value, as a score that needs no masks and no losses per sample.

What is estimated is the Aumann-Shapley value, the integral of the gate gradient along the diagonal of gates,

    phi_m = - integral over t in (0, 1) of dL / dg_m (t, ..., t) dt

with L the validation loss (Aumann & Shapley 1974; integrated gradients, Sundararajan et al. 2017, with closed modules
as the baseline). The values add up to L(all closed) - L(all open). They equal the Shapley values where L is linear in
each gate, or quadratic in them together; the two differ where a module's curvature depends on other modules.

Notation for shapes: M gated modules, K replicates.
"""

from collections.abc import Iterable

import numpy as np
import torch

from tracetune.base.errors import InputError
from tracetune.selection.estimates.gate_gradient import shared_gradient
from tracetune.selection.estimates.replicates import SPLIT_PASSES, replicates
from tracetune.selection.estimates.standard_errors import mean_and_error
from tracetune.selection.gates import Gates
from tracetune.selection.passes import FORWARD_BACKWARD
from tracetune.selection.scores.score import ScoreValues, register_score
from tracetune.selection.validation import AnyBatch, LossFunction, on_device


@register_score(
    "diagonal", passes=lambda modules, *, points: FORWARD_BACKWARD * points, signed=True, beside=SPLIT_PASSES
)
def diagonal(gates: Gates, batches: Iterable[AnyBatch], loss_fn: LossFunction, *, points: int = 2) -> ScoreValues:
    """Return the Aumann-Shapley value of every module, and its standard error over batches, or parts of few ones.

    Args:
        gates: gates of the model that is scored.
        batches: validation batches, read once.
        loss_fn: losses [B] of the samples, or their mean.
        points: Gauss-Legendre points of the integral, a pass over the batch each: n points are exact for losses that
            are polynomials in the gates of degree 2 n and less.

    Raises:
        InputError: no points, no batches, or a loss that is not finite or does not depend on the gates.
    """
    if points < 1:
        raise InputError(f"Expected points of at least 1, found {points!r}.")
    gates.model.requires_grad_(False)
    nodes, weights = np.polynomial.legendre.leggauss(points)  # of the integral over (-1, 1)
    reads, samples, cost = [], [], 0.0
    for part in replicates(gates, on_device(gates.model, batches), loss_fn):
        gradients = [
            weight / 2 * shared_gradient(gates, torch.full((gates.M,), (node + 1) / 2), part.batch, loss_fn)
            for node, weight in zip(nodes.tolist(), weights.tolist(), strict=True)
        ]
        reads.append(-torch.stack(gradients).sum(0))
        samples.append(part.samples)
        cost += part.passes + FORWARD_BACKWARD * points * part.share
    values, errors = mean_and_error(torch.stack(reads, dim=1).numpy(), np.array(samples))
    return ScoreValues(values, errors, sum(samples), cost)
