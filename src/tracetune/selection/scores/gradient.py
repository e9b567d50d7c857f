"""Norm of the gradient with respect to a module's weights, as a score."""

from collections.abc import Iterable

import numpy as np
import torch
from torch import Tensor

from tracetune.selection.estimates.lora_weights import adapter_weights, weight_gradients
from tracetune.selection.gates import Gates
from tracetune.selection.passes import FORWARD_BACKWARD
from tracetune.selection.scores.score import ScoreValues, register_score
from tracetune.selection.validation import AnyBatch, LossFunction


@register_score("gradient", passes=FORWARD_BACKWARD, signed=False)
def gradient(gates: Gates, batches: Iterable[AnyBatch], loss_fn: LossFunction) -> ScoreValues:
    """Return the norm of the mean loss's gradient with respect to A and B together, all gates open."""
    totals: dict[Tensor, Tensor] = {}
    samples, steps = 0, 0
    for size, gradients in weight_gradients(gates, batches, loss_fn):
        samples, steps = samples + size, steps + 1
        for weight, of_batch in gradients.items():
            totals[weight] = totals.get(weight, torch.zeros_like(of_batch)) + size * of_batch
    squares = {weight: float((total / samples).square().sum()) for weight, total in totals.items()}
    values = [
        sum(squares[weight] for pair in adapter_weights(layer) for weight in pair) ** 0.5
        for layer in gates.layers.values()
    ]
    return ScoreValues(np.array(values), None, samples, FORWARD_BACKWARD * steps)
