"""The gate gradient with every gate open, as a score."""

from collections.abc import Iterable

import numpy as np
import torch

from tracetune.selection.estimates.gate_gradient import shared_gradient
from tracetune.selection.estimates.standard_errors import mean_and_error
from tracetune.selection.gates import Gates
from tracetune.selection.passes import FORWARD_BACKWARD
from tracetune.selection.scores.score import ScoreValues, register_score
from tracetune.selection.validation import AnyBatch, LossFunction, batch_size, on_device


@register_score("all_open_gradient", passes=FORWARD_BACKWARD, signed=True)
def all_open_gradient(gates: Gates, batches: Iterable[AnyBatch], loss_fn: LossFunction) -> ScoreValues:
    """Return -dL/dg_m with every gate open: the effect of closing m to first order, without interactions.

    Standard errors are over batches.
    """
    gates.model.requires_grad_(False)
    open_all = torch.ones(gates.M)
    reads, weights = [], []
    for batch in on_device(gates.model, batches):
        reads.append(-shared_gradient(gates, open_all, batch, loss_fn))
        weights.append(batch_size(batch))
    values, errors = mean_and_error(torch.stack(reads, dim=1).numpy(), np.array(weights))
    return ScoreValues(values, errors, samples=sum(weights), forward_equivalents=FORWARD_BACKWARD * len(weights))
