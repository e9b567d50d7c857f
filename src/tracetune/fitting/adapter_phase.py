"""The second phase of fine-tuning: adapters (or the whole backbone) and head together, the frozen prefix remembered."""

import logging
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

import torch
from peft import PeftModel
from torch import nn

from tracetune.adapters.fused_lora import fuse_lora
from tracetune.adapters.trained_head import trained_head
from tracetune.backbones.backbone import BlockwiseBackbone, frozen_blocks
from tracetune.base.seeds import seed_everything
from tracetune.fitting.trained import TrainedAdapters, trained_parameters
from tracetune.tasks.task import TaskModel, TrainingData
from tracetune.training.checkpoints import train
from tracetune.training.prefix_cache import PrefixCache
from tracetune.training.storage import Storage
from tracetune.training.trainer import TrainedModule, build_trainer

if TYPE_CHECKING:
    from tracetune.fitting.config import FitConfig
    from tracetune.training.run import Run

logger = logging.getLogger(__name__)


def train_adapters(
    start: TaskModel, data: TrainingData, config: "FitConfig", run: "Run"
) -> tuple[nn.Module, TrainedAdapters]:
    """Adapt ``start`` with ``config.method``, and train adapters and head together.

    Returns:
        The model, with adapters or trained in full, and the record of its training. It contains ``start``.
    """
    started = time.perf_counter()
    seed_everything(config.training.seed)  # a resumed run skips the phases before, and their random numbers
    storage = Storage(config.cache_bytes, folder=run.folder)
    dtype = None if config.cache_dtype is None else getattr(torch, config.cache_dtype)
    cache = PrefixCache(start.backbone, storage, dtype, start.tokens_per_sample)
    obstacle = _obstacle(start, config)
    indexed = TrainingData(cache.indexed(data.train), cache.indexed(data.validation))
    read = start.in_training(data)  # all of the samples, wherever outputs of blocks are remembered
    adapted = config.method.adapt(start, read if obstacle else indexed, config.training)
    if obstacle is None and not adapted.closes_modules and frozen_blocks(start.backbone.blocks) == 0:
        obstacle = "the first block trains from the first step to the last"
    adapters = trained_parameters(adapted.model)["adapters"]
    with _remembered_prefix(cache, start, obstacle) as remembers, fuse_lora(adapted.model):
        samples = indexed if remembers else TrainingData(read.train, data.validation)
        trainer = build_trainer(
            TrainedModule(adapted.model, _head_of(adapted.model), start.labels, start.tokens_per_sample),
            config.training,
            samples.train,
            samples.validation,
            run.with_callbacks(adapted.callbacks),
            first_evaluation=adapted.first_candidate,
        )
        train(trainer)
    trained = TrainedAdapters(
        history=trainer.state.log_history,
        seconds=time.perf_counter() - started,
        adapters_before_selection=adapters,
        report=adapted.report(),
        prefix_blocks={"computed": cache.computed, "reused": cache.reused} if cache.computed else {},
        best_share=(trainer.state.best_global_step or trainer.state.max_steps) / trainer.state.max_steps,
    )
    return adapted.model, trained


@contextmanager
def _remembered_prefix(cache: PrefixCache, model: TaskModel, obstacle: str | None) -> Iterator[bool]:
    """Remember what the frozen blocks of ``model`` return for indexed samples, unless something prevents it."""
    if obstacle is not None:
        logger.info("Outputs of frozen blocks are not cached: %s.", obstacle)
        yield False
        return
    with cache.attached(model):
        yield True


def _obstacle(model: TaskModel, config: "FitConfig") -> str | None:
    """Return why remembering the outputs of frozen blocks would be wrong; None where it is right."""
    if not isinstance(model.backbone, BlockwiseBackbone):
        return f"{type(model.backbone).__name__} does not run block by block"
    if config.training.compile:
        return "the model is compiled as a whole"
    return model.cache_obstacle()


def _head_of(model: nn.Module) -> nn.Module | None:
    """Return the head that trains in a model, None where the backbone does the task by itself."""
    base = model.get_base_model() if isinstance(model, PeftModel) else model
    if getattr(base, "head", None) is None:
        return None
    return trained_head(model) if isinstance(model, PeftModel) else base.get_submodule("head")
