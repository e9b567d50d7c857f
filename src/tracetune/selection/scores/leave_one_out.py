"""Leave-one-out: the change of the loss when a module is closed while every other one is open."""

from collections.abc import Iterable

import numpy as np
import torch
from torch import Tensor

from tracetune.selection.estimates.standard_errors import mean_and_error
from tracetune.selection.gates import Gates
from tracetune.selection.passes import FORWARD
from tracetune.selection.scores.score import ScoreValues, register_score
from tracetune.selection.validation import AnyBatch, LossFunction, batch_size, checked_loss, on_device


@register_score("leave_one_out", passes=lambda modules: FORWARD * (modules + 1), signed=True)
def leave_one_out(gates: Gates, batches: Iterable[AnyBatch], loss_fn: LossFunction) -> ScoreValues:
    """Return ``L(all but m) - L(all)``: phi in the one context in which every other module is open.

    Standard errors are over the samples' paired differences where losses come per sample, otherwise over batches.
    """
    differences, weights, cost = [], [], 0.0
    with torch.no_grad():
        for batch in on_device(gates.model, batches):
            everything = torch.ones(gates.M, device=gates.device)
            patterns = torch.cat([everything[None], 1 - torch.eye(gates.M, device=gates.device)])  # [M + 1, M]
            losses = torch.stack([_losses(gates, pattern, batch, loss_fn) for pattern in patterns])
            differences.append((losses[1:] - losses[:1]).double().cpu())  # [M, B], or [M, 1] from a mean loss
            weights.append(batch_size(batch))
            cost += FORWARD * (gates.M + 1)
    shares = np.concatenate([np.full(d.shape[1], w / d.shape[1]) for d, w in zip(differences, weights, strict=True)])
    values, errors = mean_and_error(torch.cat(differences, dim=1).numpy(), shares)
    return ScoreValues(values, errors, sum(weights), cost)


def _losses(gates: Gates, pattern: Tensor, batch: AnyBatch, loss_fn: LossFunction) -> Tensor:
    with gates.apply(pattern):
        return checked_loss(gates.model, batch, loss_fn).reshape(-1)
