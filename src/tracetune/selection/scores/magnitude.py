"""Norm of a module's weight, as a score."""

from collections.abc import Iterable

import numpy as np

from tracetune.selection.estimates.lora_weights import adapter_weights, scales
from tracetune.selection.gates import Gates
from tracetune.selection.scores.score import ScoreValues, register_score
from tracetune.selection.validation import AnyBatch, LossFunction


@register_score("magnitude", passes=0.0, signed=False)
def magnitude(gates: Gates, batches: Iterable[AnyBatch], loss_fn: LossFunction) -> ScoreValues:
    """Return the Frobenius norm of the adapter's weight s B A; no data are read.

    ``||B A||^2 = sum(B^T B * A A^T)`` needs matrices of size r x r only.
    """
    values = []
    for layer in gates.layers.values():
        squares = 0.0
        for (a, b), scale in zip(adapter_weights(layer), scales(layer), strict=True):
            down, up = a.detach().double(), b.detach().double()
            squares += scale**2 * float(((up.T @ up) * (down @ down.T)).sum().clamp(min=0))
        values.append(squares**0.5)
    return ScoreValues(np.array(values), None, samples=0, forward_equivalents=0.0)
