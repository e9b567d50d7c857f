"""One interface for all importance scores of LoRA modules."""

import time
from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np
from torch import nn

from tracetune.base.errors import InputError
from tracetune.selection.gates import Gates
from tracetune.selection.scores.score import find_score
from tracetune.selection.validation import AnyBatch, LossFunction, model_loss, undisturbed


@dataclass(frozen=True)
class Importance:
    """Importance scores of a model's LoRA modules, and what they cost.

    Attributes:
        names: names of the M modules in the base model.
        scores: [M], higher is more important. Where the method is signed, in units of the validation loss: positive
            where opening the module lowers the loss.
        standard_errors: [M], NaN where the data do not tell them, or None where the method gives none. Twice the
            error covers the true score in about 95 of 100 cases, of few samples as of many.
        method: name in ``SCORES``.
        options: the options that were given.
        samples: validation samples used.
        forward_equivalents: cost in forward passes over one batch; forward and backward count as 3.
        seconds: wall-clock time.
    """

    names: tuple[str, ...]
    scores: np.ndarray
    standard_errors: np.ndarray | None
    method: str
    options: dict[str, object]
    samples: int
    forward_equivalents: float
    seconds: float

    @property
    def share_beyond_noise(self) -> float | None:
        """Return the share of the modules whose score is further from 0 than two standard errors; None without errors.

        Where nothing can be told apart it is about 0.05.
        """
        if self.standard_errors is None:
            return None
        return float(np.mean(np.abs(self.scores) > 2 * self.standard_errors))

    def ranking(self) -> tuple[str, ...]:
        """Return names from the most to the least important; ties keep the order of the model."""
        return tuple(self.names[index] for index in np.argsort(-self.scores, kind="stable"))


def score_modules(
    model: nn.Module,
    batches: Iterable[AnyBatch],
    loss_fn: LossFunction = model_loss,
    method: str = "gated_dsic",
    *,
    gates: Gates | None = None,
    **options: object,
) -> Importance:
    """Score the LoRA modules of ``model`` on validation batches, closed modules as well.

    The model runs in evaluation mode; its mode, gates, gradients and ``requires_grad``, and the random number
    generators, are afterwards what they were, also where an error is raised.

    >>> import torch
    >>> from peft import LoraConfig, get_peft_model
    >>> layers = nn.Sequential(nn.Linear(4, 8), nn.Tanh(), nn.Linear(8, 1))
    >>> model = get_peft_model(layers, LoraConfig(r=2, target_modules=["0", "2"]))
    >>> batches = [{"x": torch.randn(16, 4), "y": torch.randn(16, 1)}]
    >>> found = score_modules(model, batches, lambda model, batch: (model(batch["x"]) - batch["y"]).square().mean(1))
    >>> found.names, found.scores.shape, found.samples
    (('0', '2'), (2,), 16)

    Args:
        model: any model with PEFT LoRA layers.
        batches: validation batches, read once.
        loss_fn: from model and batch to losses [B], or to their mean.
        method: name in ``SCORES``.
        gates: the model's gates, where they already exist.
        **options: options of the method, see its function.

    Raises:
        InputError: unknown method or option, no LoRA layers, no batches, or a loss that is not finite.
    """
    score = find_score(method)
    score.check_options(options)
    gates = Gates(model) if gates is None else gates
    if gates.model is not model:
        raise InputError("Expected the gates of this very model, found those of another. Build them with Gates(model).")
    start = time.perf_counter()
    with undisturbed(model):
        found = score.function(gates, batches, loss_fn, **options)
    return Importance(
        names=gates.names,
        scores=found.values,
        standard_errors=found.standard_errors,
        method=method,
        options=dict(options),
        samples=found.samples,
        forward_equivalents=found.forward_equivalents,
        seconds=time.perf_counter() - start,
    )
