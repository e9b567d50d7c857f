"""The order of a fine-tuning run: head on frozen features, then the adapters, then the best of all on validation."""

import copy
import logging
import tempfile
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from peft import PeftModel
from torch import nn
from transformers import TrainerCallback

from tracetune.adapters.lora import LoraOptions, add_head_only, add_lora, trained_head
from tracetune.base.errors import unknown_name
from tracetune.base.seeds import seed_everything
from tracetune.heads.head import HeadConfig
from tracetune.tasks.forecast_data import ForecastData, validation_loss
from tracetune.tasks.forecasting import ForecastModel, HeadOnFeatures, frozen_features
from tracetune.training.guard import Candidate, best_candidate
from tracetune.training.prefix_cache import cache_batches
from tracetune.training.trainer import TrainingConfig, build_trainer, last_checkpoint

logger = logging.getLogger(__name__)

ZERO_SHOT, HEAD = "zero-shot", "head"


@dataclass(frozen=True)
class FitConfig:
    """How to fine-tune a forecaster.

    Attributes:
        method: "linear_probe", "lora", "dora" or "full".
        head: the forecasting head.
        lora: PEFT's LoRA options, for the methods that use it.
        head_training: how the head is trained on frozen features.
        training: how adapters (or the backbone) and head are trained together.
        train_stride: steps between the origins of training windows.
        validation_windows: about how many windows choose the model, evenly spread over the validation part.
        checkpoints: folder for checkpoints, from which an interrupted run goes on; None keeps none.
        cache_bytes: memory for cached features; None takes a third of what is free.
    """

    method: str = "lora"
    head: HeadConfig = field(default_factory=lambda: HeadConfig("projection", beta=8))
    lora: LoraOptions = field(default_factory=LoraOptions)
    head_training: TrainingConfig = field(default_factory=lambda: TrainingConfig(num_train_epochs=10))
    training: TrainingConfig = field(default_factory=lambda: TrainingConfig(head_learning_rate=2e-4))
    train_stride: int = 1
    validation_windows: int | None = 8192
    checkpoints: str | None = None
    cache_bytes: int | None = None

    def __post_init__(self) -> None:
        if self.method not in METHODS:
            raise unknown_name("method", self.method, METHODS)


@dataclass(frozen=True)
class FitResult:
    """What fine-tuning gives.

    Attributes:
        model: the winner, a PEFT model; a plain ForecastModel after full fine-tuning.
        candidates: every model that was compared on validation.
        winner: name of the best one.
        parameters: how many were trained, in "head" and "adapters" (or, fine-tuned in full, the backbone).
        history: the Trainer's log of each phase.
        seconds: wall-clock seconds of each phase.
    """

    model: nn.Module
    candidates: tuple[Candidate, ...]
    winner: str
    parameters: dict[str, int]
    history: dict[str, list[dict[str, Any]]]
    seconds: dict[str, float]


def fit_forecaster(
    base: ForecastModel,
    data: ForecastData,
    config: FitConfig,
    device: str = "cpu",
    callbacks: Sequence[TrainerCallback] = (),
) -> FitResult:
    """Fine-tune a copy of ``base``; it stays as it is.

    The phases: the backbone's own forecast is measured; a head is trained on frozen features; the method
    trains on from there. Whichever of the three has the lowest validation loss is returned.
    """
    seed_everything(config.training.seed)
    history: dict[str, list[dict[str, Any]]] = {}
    seconds: dict[str, float] = {}
    with tempfile.TemporaryDirectory() as scratch:
        folder = Path(config.checkpoints or scratch)
        zero_shot = _without_head(base).to(device)
        candidates = [Candidate(ZERO_SHOT, validation_loss(zero_shot, data.validation))]

        head_model = _with_head(base, config.head).to(device)
        started = time.perf_counter()
        history[HEAD] = _train_head(head_model, data, config, folder / HEAD, device, callbacks)
        seconds[HEAD] = time.perf_counter() - started
        candidates.append(Candidate(HEAD, validation_loss(head_model, data.validation)))
        models: dict[str, Callable[[], nn.Module]] = {
            ZERO_SHOT: lambda: add_head_only(zero_shot),
            HEAD: lambda: add_head_only(head_model),
        }

        prepare = METHODS[config.method]
        if prepare is not None:
            tuned = prepare(copy.deepcopy(head_model), config.lora)
            started = time.perf_counter()
            history[config.method] = _train_jointly(tuned, data, config, folder / config.method, device, callbacks)
            seconds[config.method] = time.perf_counter() - started
            candidates.append(Candidate(config.method, validation_loss(tuned, data.validation)))
            models[config.method] = lambda: tuned
    winner = best_candidate(candidates).name
    model = models[winner]().eval()
    return FitResult(model, tuple(candidates), winner, _trained_parameters(model), history, seconds)


def _train_head(
    model: ForecastModel,
    data: ForecastData,
    config: FitConfig,
    folder: Path,
    device: str,
    callbacks: Sequence[TrainerCallback],
) -> list[dict[str, Any]]:
    """Train the head in place; features of the frozen backbone are computed once where memory allows."""
    model.eval()
    cached = [
        cache_batches(
            lambda batch: frozen_features(model, batch),
            windows,
            device=device,
            cache_bytes=config.cache_bytes,
        )
        for windows in (data.validation, data.train)
    ]
    assert model.head is not None
    for parameter in model.parameters():
        parameter.requires_grad_(False)
    for parameter in model.head.parameters():
        parameter.requires_grad_(True)
    validation, train = (data.validation, data.train) if None in cached else cached
    trainer = build_trainer(
        model if None in cached else HeadOnFeatures(model.head),
        config.head_training,
        train,  # type: ignore[arg-type]
        validation,  # type: ignore[arg-type]
        folder,
        head=model.head,
        callbacks=callbacks,
        device=device,
    )
    trainer.train(resume_from_checkpoint=last_checkpoint(folder))
    return trainer.state.log_history


def _train_jointly(
    model: nn.Module,
    data: ForecastData,
    config: FitConfig,
    folder: Path,
    device: str,
    callbacks: Sequence[TrainerCallback],
) -> list[dict[str, Any]]:
    head = trained_head(model) if isinstance(model, PeftModel) else model.get_submodule("head")
    trainer = build_trainer(
        model,
        config.training,
        data.train,
        data.validation,
        folder,
        head=head,
        callbacks=callbacks,
        device=device,
    )
    trainer.train(resume_from_checkpoint=last_checkpoint(folder))
    return trainer.state.log_history


def _trained_parameters(model: nn.Module) -> dict[str, int]:
    trained = {name: p.numel() for name, p in model.named_parameters() if p.requires_grad}
    head = sum(count for name, count in trained.items() if name.removeprefix("base_model.model.").startswith("head."))
    return {"head": head, "adapters": sum(trained.values()) - head}


def _without_head(base: ForecastModel) -> ForecastModel:
    return ForecastModel(
        copy.deepcopy(base.backbone), None, base.prediction_length, base.context_length, base.config.name_or_path
    )


def _with_head(base: ForecastModel, head: HeadConfig) -> ForecastModel:
    return ForecastModel.from_backbone(
        copy.deepcopy(base.backbone), base.prediction_length, head, base.context_length, base.config.name_or_path
    )


def _add_dora(model: ForecastModel, options: LoraOptions) -> PeftModel:
    return add_lora(model, replace(options, use_dora=True))


def _unfreeze(model: ForecastModel, options: LoraOptions) -> ForecastModel:
    for parameter in model.parameters():
        parameter.requires_grad_(True)
    return model


# What each method makes of a model whose head is already trained; None: nothing more to do.
METHODS: dict[str, Callable[[ForecastModel, LoraOptions], nn.Module] | None] = {
    "linear_probe": None,
    "lora": add_lora,
    "dora": _add_dora,
    "full": _unfreeze,
}
