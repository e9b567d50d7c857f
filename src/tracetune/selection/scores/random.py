"""Random numbers as a score, the reference of a choice without evidence."""

from collections.abc import Iterable

import torch

from tracetune.selection.gates import Gates
from tracetune.selection.scores.score import ScoreValues, register_score
from tracetune.selection.validation import AnyBatch, LossFunction


@register_score("random", passes=0.0, signed=False)
def random_numbers(gates: Gates, batches: Iterable[AnyBatch], loss_fn: LossFunction, *, seed: int = 0) -> ScoreValues:
    """Return uniform random numbers."""
    values = torch.rand(gates.M, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)
    return ScoreValues(values.numpy(), None, samples=0, forward_equivalents=0.0)
