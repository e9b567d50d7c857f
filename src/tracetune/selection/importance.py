"""One interface for all importance scores of LoRA modules."""

import inspect
import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any

import numpy as np
from torch import nn

from tracetune.base.errors import InputError, unknown_name
from tracetune.selection.baselines import adalora, chance, gradient, kappa, leave_one_out, magnitude
from tracetune.selection.gated_dsic import all_open_gradient, gated_dsic
from tracetune.selection.gates import Gates
from tracetune.selection.scores import Scores
from tracetune.selection.shapley import shapley
from tracetune.selection.validation import LossFunction, model_loss, undisturbed

SCORES: dict[str, Callable[..., Scores]] = {
    "gated_dsic": gated_dsic,
    "adalora": adalora,
    "magnitude": magnitude,
    "gradient": gradient,
    "leave_one_out": leave_one_out,
    "all_open_gradient": all_open_gradient,
    "random": chance,
    "kappa": kappa,
    "shapley": shapley,
}
"""Scores by name: functions of (gates, batches, loss_fn) and options of their own, called on an undisturbed model."""


@dataclass(frozen=True)
class Importance:
    """Importance scores of a model's LoRA modules, and what they cost.

    Attributes:
        names: names of the M modules in the base model.
        scores: [M], higher is more important. For "gated_dsic", "leave_one_out", "all_open_gradient" and "shapley"
            in units of the validation loss and signed: positive where opening the module lowers the loss.
        standard_errors: [M], or None where the method gives none.
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
    options: dict[str, Any]
    samples: int
    forward_equivalents: float
    seconds: float

    def ranking(self) -> tuple[str, ...]:
        """Names from the most to the least important; ties keep the order of the model."""
        return tuple(self.names[index] for index in np.argsort(-self.scores, kind="stable"))


def score_modules(
    model: nn.Module,
    batches: Iterable[Any],
    loss_fn: LossFunction = model_loss,
    method: str = "gated_dsic",
    *,
    gates: Gates | None = None,
    **options: Any,
) -> Importance:
    """Score the LoRA modules of ``model`` on validation batches, closed modules as well.

    The model runs in evaluation mode; its mode, gates, gradients and ``requires_grad``, and the random number
    generators, are afterwards what they were, also where an error is raised.

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
    if method not in SCORES:
        raise unknown_name("score", method, SCORES)
    check_options(method, options)
    gates = Gates(model) if gates is None else gates
    if gates.model is not model:
        raise InputError("Expected the gates of this very model, found those of another. Build them with Gates(model).")
    start = time.perf_counter()
    with undisturbed(model):
        scores = SCORES[method](gates, batches, loss_fn, **options)
    return Importance(
        names=gates.names,
        scores=scores.values,
        standard_errors=scores.standard_errors,
        method=method,
        options=dict(options),
        samples=scores.samples,
        forward_equivalents=scores.forward_equivalents,
        seconds=time.perf_counter() - start,
    )


def check_options(method: str, options: Iterable[str]) -> None:
    """Refuse names that are no options of the score ``method``, with the valid ones."""
    known = method_options(method)
    for name in options:
        if name not in known:
            raise unknown_name(f"option of score {method!r}", name, known)


def method_options(method: str) -> tuple[str, ...]:
    """Names of the options of the score ``method``."""
    parameters = inspect.signature(SCORES[method]).parameters.values()
    return tuple(parameter.name for parameter in parameters if parameter.kind is parameter.KEYWORD_ONLY)
