"""AdaLoRA's sensitivity as a score: the product of weight and gradient, smoothed, times its uncertainty."""

from collections.abc import Iterable

import numpy as np
import torch
from torch import Tensor

from tracetune.selection.estimates.lora_weights import adapter_weights, weight_gradients
from tracetune.selection.gates import Gates
from tracetune.selection.passes import FORWARD_BACKWARD
from tracetune.selection.scores.score import ScoreValues, register_score
from tracetune.selection.validation import AnyBatch, LossFunction


@register_score("adalora", passes=FORWARD_BACKWARD, signed=False)
def adalora(
    gates: Gates, batches: Iterable[AnyBatch], loss_fn: LossFunction, *, beta1: float = 0.85, beta2: float = 0.85
) -> ScoreValues:
    """Return AdaLoRA's sensitivity, smoothed and weighted by its uncertainty (Zhang et al. 2023, equations 8-11).

    For every weight w, with one batch per step t:

        I = |w dL/dw|,  Ī_t = beta1 Ī_{t-1} + (1 - beta1) I_t,  U_t = beta2 U_{t-1} + (1 - beta2) |I_t - Ī_t|,  s = Ī U

    As in AdaLoRA's triplets (equation 7, without their singular values, which LoRA has not), rank i scores the mean
    of s over row i of A plus the mean over column i of B. A module scores the sum over its ranks.
    """
    sensitivity: dict[Tensor, Tensor] = {}
    uncertainty: dict[Tensor, Tensor] = {}
    samples, steps = 0, 0
    for size, gradients in weight_gradients(gates, batches, loss_fn):
        samples, steps = samples + size, steps + 1
        for weight, gradient in gradients.items():
            current = (weight.detach() * gradient).abs()
            smooth = beta1 * sensitivity.get(weight, torch.zeros_like(current)) + (1 - beta1) * current
            spread = (current - smooth).abs()
            uncertainty[weight] = beta2 * uncertainty.get(weight, torch.zeros_like(current)) + (1 - beta2) * spread
            sensitivity[weight] = smooth
    products = {weight: sensitivity[weight] * uncertainty[weight] for weight in sensitivity}
    values = [
        sum(float(products[a].mean(dim=1).sum() + products[b].mean(dim=0).sum()) for a, b in adapter_weights(layer))
        for layer in gates.layers.values()
    ]
    return ScoreValues(np.array(values), None, samples, FORWARD_BACKWARD * steps)
