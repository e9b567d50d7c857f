"""The modules of an estimator whose importance is asked for, and the samples that scores are measured on."""

from dataclasses import dataclass
from typing import Any, Protocol

import torch
from torch import nn

from tracetune.backbones.backbone import Backbone
from tracetune.base.errors import InputError
from tracetune.base.json_types import JsonObject
from tracetune.fitting.config import FitConfig
from tracetune.fitting.methods.lora import Lora
from tracetune.selection.layers import lora_modules
from tracetune.tasks.task import Task, TrainingData
from tracetune.training.config import TrainingConfig

_FEWEST_MODULES = 3  # to compare rankings of


@dataclass(frozen=True)
class ScoredModules:
    """A model to score the modules of, or a backbone to train LoRA on first, and samples to measure scores on.

    Attributes:
        task: whose loss is measured.
        backbone: that LoRA is trained on where nothing was fitted.
        model: that was fitted; None where nothing was.
        trace: the record of the fit.
        name: of the model, for messages.
        data: the scores are those of the validation samples.
        config: how LoRA is trained.
        device: that all of it runs on.
    """

    task: Task
    backbone: Backbone
    model: nn.Module | None
    trace: JsonObject | None
    name: str
    data: TrainingData
    config: FitConfig
    device: str


def require_modules(model: nn.Module, scored: ScoredModules, compared: bool) -> None:
    """Refuse a model without LoRA modules, or with too few where rankings of them are ``compared``.

    Raises:
        InputError: see above.
    """
    modules = len(lora_modules(model))
    if modules == 0:
        trace = scored.trace or {}
        why = "nothing was trained"
        if trace.get("method") is not None:
            why = f"{trace['winner']!r} did best on validation, out of the method {trace['method']!r}"
        raise InputError(
            f"Expected LoRA modules in {_called(scored)}, found none: {why}. Give a folder that LoRA or TRACE won, or "
            "a foundation model's name."
        )
    if compared and modules < _FEWEST_MODULES:
        raise InputError(
            f"Expected at least {_FEWEST_MODULES} LoRA modules to compare rankings of, found {modules}. "
            "Leave out --shapley-pairs, or adapt more layers."
        )


def _called(scored: ScoredModules) -> str:
    return scored.name if scored.trace is None else f"the model that was fine-tuned from {scored.name}"


class EstimatorParts(Protocol):
    """What estimators of all tasks have: a record of the fit if there was one, the foundation model, a device."""

    trace: JsonObject | None
    base_name: str
    device: torch.device

    @property
    def model(self) -> nn.Module | None:
        """Return the model that was fitted; before the fit None, or the foundation model."""
        ...


class Estimator(EstimatorParts, Protocol):
    """An estimator of any task, whose LoRA modules can be scored."""

    def scored_modules(self, data: Any, labels: Any, config: FitConfig | None, **reading: Any) -> ScoredModules:
        """Return the modules that are scored, and the part of the data; see `module_importance`."""


def lora_config() -> FitConfig:
    """Return the default training of LoRA modules to score on a foundation model: a hundred steps."""
    return FitConfig(method=Lora(), training=TrainingConfig(max_steps=100))


def scored(
    estimator: EstimatorParts,
    task: Task,
    backbone: Backbone,
    model: nn.Module | None,
    data: TrainingData,
    config: FitConfig,
) -> ScoredModules:
    """Return the modules of an estimator to score, with its record, its name and its device."""
    return ScoredModules(
        task, backbone, model, estimator.trace, estimator.base_name, data, config, str(estimator.device)
    )
