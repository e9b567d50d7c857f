"""The second phase of fine-tuning: adapters (or the whole backbone) and head together, the frozen prefix remembered."""

import logging
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from peft import PeftModel
from torch import nn
from transformers import TrainerCallback

from tracetune.adapters.fused_lora import fuse_lora
from tracetune.adapters.lora import trained_head
from tracetune.backbones.backbone import BlockwiseBackbone, frozen_blocks
from tracetune.base.seeds import seed_everything
from tracetune.estimators.methods import CACHE_DTYPES, FitConfig, Prepare
from tracetune.tasks.forecast_data import ForecastData
from tracetune.tasks.forecasting import ForecastModel
from tracetune.training.prefix_cache import PrefixCache
from tracetune.training.storage import Storage
from tracetune.training.trace_callback import TraceCallback
from tracetune.training.trainer import build_trainer, last_checkpoint

logger = logging.getLogger(__name__)

History = list[dict[str, Any]]


@dataclass(frozen=True)
class Tuned:
    """What a method made of a model with a trained head.

    Attributes:
        model: with adapters, or trained in full.
        history: the Trainer's log.
        adapters_before_selection: parameters of the adapters (or the backbone) that began to train.
        selection: what TRACE did, see :meth:`TraceCallback.report`; None for other methods.
        prefix_blocks: how many frozen blocks below the lowest open module ran ("computed") and did not have to
            ("reused"), counted per window; empty where no prefix was remembered.
    """

    model: nn.Module
    history: History
    adapters_before_selection: int
    selection: dict[str, Any] | None
    prefix_blocks: dict[str, int]


def train_adapters(
    prepare: Prepare,
    start: ForecastModel,
    data: ForecastData,
    config: FitConfig,
    folder: Path,
    device: str,
    callbacks: Sequence[TrainerCallback],
) -> Tuned:
    """Train what ``prepare`` makes of ``start``, together with its head, which is trained already, if it has one."""
    seed_everything(config.training.seed)  # a resumed run has not drawn the numbers of the phases before
    storage = Storage(config.cache_bytes, folder=folder)
    cache = PrefixCache(start.backbone, storage, CACHE_DTYPES[config.cache_dtype])
    obstacle = _obstacle(start, config)
    indexed = ForecastData(cache.indexed(data.train), cache.indexed(data.validation))
    model, own = prepare(start, config, data if obstacle else indexed)
    adapters = trained_parameters(model)["adapters"]
    with _remembered_prefix(cache, start, obstacle or _idle(start, config)) as remembers, fuse_lora(model):
        windows = indexed if remembers else data
        trainer = build_trainer(
            model,
            config.training,
            windows.train,
            windows.validation,
            folder / config.method,
            head=_head_of(model),
            callbacks=[*callbacks, *([] if own is None else [own])],
            device=device,
            tokens_per_window=start.backbone.num_patches(start.context_length),
            first_evaluation=_first_candidate(model, config, len(data.train)),
        )
        trainer.train(resume_from_checkpoint=last_checkpoint(folder / config.method))
    return Tuned(
        model=model,
        history=trainer.state.log_history,
        adapters_before_selection=adapters,
        selection=own.report() if isinstance(own, TraceCallback) else None,
        prefix_blocks={"computed": cache.computed, "reused": cache.reused} if cache.computed else {},
    )


def trained_parameters(model: nn.Module) -> dict[str, int]:
    """How many parameters of a model train, in "head" and "adapters" (or the backbone)."""
    trained = {name: p.numel() for name, p in model.named_parameters() if p.requires_grad}
    head = sum(count for name, count in trained.items() if name.removeprefix("base_model.model.").startswith("head."))
    return {"head": head, "adapters": sum(trained.values()) - head}


def _first_candidate(model: nn.Module, config: FitConfig, windows: int) -> int:
    """The step from which on validation losses choose: models above their final size do not compete."""
    if config.method == "trace":
        return config.selection.last_round(config.training.total_steps(windows))
    if config.method == "adalora":
        assert isinstance(model, PeftModel)
        adalora = model.peft_config[model.active_adapter]
        return adalora.total_step - adalora.tfinal + 1
    return 0


@contextmanager
def _remembered_prefix(cache: PrefixCache, model: ForecastModel, obstacle: str | None) -> Iterator[bool]:
    """Inside, ``model`` remembers what its frozen blocks make of indexed windows, unless something is in the way."""
    if obstacle is not None:
        logger.info("Outputs of frozen blocks are not cached: %s.", obstacle)
        yield False
        return
    with cache.attached(model):
        yield True


def _obstacle(model: ForecastModel, config: FitConfig) -> str | None:
    """Why remembering the outputs of frozen blocks would be wrong; None where it is right."""
    backbone = model.backbone
    if not isinstance(backbone, BlockwiseBackbone):
        return f"{type(backbone).__name__} does not run block by block"
    if config.training.compile:
        return "the model is compiled as a whole"
    if model.head is None and backbone.pieces(model.context_length, model.prediction_length) > 1:
        return "this horizon takes several passes through the blocks, of which each depends on the one before"
    return None


def _idle(model: ForecastModel, config: FitConfig) -> str | None:
    """Why there would be nothing to remember, now that the model has its adapters; None where there may be."""
    if config.method != "trace" and frozen_blocks(model.backbone.blocks) == 0:
        return "the first block trains from the first step to the last"
    return None


def _head_of(model: nn.Module) -> nn.Module | None:
    """The head that trains in a model, None where the backbone forecasts by itself."""
    base = model.get_base_model() if isinstance(model, PeftModel) else model
    if getattr(base, "head", None) is None:
        return None
    return trained_head(model) if isinstance(model, PeftModel) else base.get_submodule("head")
