"""How to fine-tune a forecaster: the configuration, and what each method makes of a model with a trained head."""

import math
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
import torch
from torch import nn
from torch.utils.data import DataLoader
from transformers import TrainerCallback

from tracetune.adapters.adalora import AdaLoraOptions, add_adalora
from tracetune.adapters.lora import LoraOptions, add_lora
from tracetune.base.errors import InputError, unknown_name
from tracetune.data.splits import VALIDATIONS
from tracetune.data.windows import BatchSource, chosen_rows, identity_collate, spread_rows
from tracetune.heads.head import HeadConfig
from tracetune.selection.schedule import SelectionConfig
from tracetune.tasks.forecast_data import ForecastData
from tracetune.tasks.forecasting import ForecastModel
from tracetune.training.adalora_callback import AdaLoraCallback
from tracetune.training.trace_callback import TraceCallback
from tracetune.training.trainer import TrainingConfig

STARTS = ("best", "head", "native")
HEAD_STARTS = ("gradient", "ridge")
CACHE_DTYPES = {None: None, "float32": torch.float32, "bfloat16": torch.bfloat16}


@dataclass(frozen=True)
class FitConfig:
    """How to fine-tune a forecaster.

    Attributes:
        method: "trace", "lora", "adalora", "dora", "linear_probe" or "full".
        head: the forecasting head.
        lora: PEFT's LoRA options, for the methods that use it.
        selection: which LoRA modules "trace" keeps, and how it finds them.
        adalora: PEFT's AdaLoRA options, for "adalora".
        start: what the method trains on from: "head" (trained on frozen features), "native" (the backbone's own
            forecast, without a new head), or "best", whichever of the two has the lower validation loss.
        head_start: "ridge" trains the head from the closed form (heads/ridge.py) and returns to it where no later step
            is better, "gradient" trains it from its first weights.
        head_training: how the head is trained on frozen features.
        training: how adapters (or the backbone) and head are trained together.
        train_stride: steps between the origins of training windows.
        validation: "rolling" holds back several periods at the end of each series, "last" one stretch; a validation
            part that is given is cut into periods, or not. See ``fit_split`` and ``cut_periods``.
        validation_windows: most windows that choose the model, drawn from all periods, items and times of day.
        checkpoints: folder for checkpoints, from which an interrupted run goes on; None keeps none.
        cache_bytes: room for cached features and states of frozen blocks, in memory first and then in files; None takes
            a third of the free memory, 0 caches nothing.
        cache_dtype: precision of cached states of frozen blocks: "float32", "bfloat16", or None for that of training.
    """

    method: str = "trace"
    head: HeadConfig = field(default_factory=lambda: HeadConfig("projection", beta=4, tokens="auto"))
    lora: LoraOptions = field(default_factory=LoraOptions)
    selection: SelectionConfig = field(default_factory=SelectionConfig)
    adalora: AdaLoraOptions = field(default_factory=AdaLoraOptions)
    start: str = "best"
    head_start: str = "ridge"
    head_training: TrainingConfig = field(default_factory=lambda: TrainingConfig(num_train_epochs=10))
    training: TrainingConfig = field(default_factory=TrainingConfig)
    train_stride: int = 1
    validation: str = "rolling"
    validation_windows: int | None = 2048
    checkpoints: str | None = None
    cache_bytes: int | None = None
    cache_dtype: str | None = None

    def __post_init__(self) -> None:
        if self.method not in METHODS:
            raise unknown_name("method", self.method, METHODS)
        if self.start not in STARTS:
            raise unknown_name("start", self.start, STARTS)
        if self.start == "native" and METHODS[self.method] is None:
            raise InputError(f"Method {self.method!r} trains a head only: start='native' leaves it nothing to train.")
        if self.validation not in VALIDATIONS:
            raise unknown_name("validation", self.validation, VALIDATIONS)
        if self.head_start not in HEAD_STARTS:
            raise unknown_name("head_start", self.head_start, HEAD_STARTS)
        if self.cache_dtype not in CACHE_DTYPES:
            raise unknown_name("cache_dtype", str(self.cache_dtype), [name for name in CACHE_DTYPES if name])


Prepare = Callable[[ForecastModel, FitConfig, ForecastData], tuple[nn.Module, TrainerCallback | None]]
"""From a model with a trained head to the model to train on, and the callback that goes with it."""


def spread_windows(windows: BatchSource, count: int, seed: int = 0) -> BatchSource:
    """About evenly spread windows of a data set, one drawn from each of ``count`` equal parts; all if there are fewer.

    Drawn, because a fixed step could meet the same channel or hour of the day each time; and in random order, because
    whoever reads only the first of them should see all of the time.
    """
    if count >= len(windows):
        return windows
    rows = spread_rows(len(windows), count, seed)
    return chosen_rows(windows, np.random.default_rng(seed).permutation(rows).tolist())


def _lora(model: ForecastModel, config: FitConfig, data: ForecastData) -> tuple[nn.Module, None]:
    return add_lora(model, config.lora), None


def _trace(model: ForecastModel, config: FitConfig, data: ForecastData) -> tuple[nn.Module, TraceCallback]:
    selection = _scoring_within(config, model.backbone.num_patches(model.context_length))
    batches = config.selection.scoring_batches
    scored: Any = (
        data.validation
        if batches is None
        else spread_windows(data.validation, batches * config.selection.batch_size, selection.seed)
    )
    collate: Any = identity_collate  # of batches: the data set hands them out whole
    loader = DataLoader(scored, batch_size=selection.batch_size, collate_fn=collate)
    return add_lora(model, config.lora), TraceCallback(selection, loader)


def _scoring_within(config: FitConfig, tokens_per_window: int) -> SelectionConfig:
    """The selection with batches that ``config.training.max_tokens`` allows: smaller ones, the more of them."""
    selection, most = config.selection, config.training.most_windows(tokens_per_window)
    if most is None or most >= selection.batch_size:
        return selection
    batches = selection.scoring_batches
    if batches is not None:
        batches = math.ceil(batches * selection.batch_size / most)
    return replace(selection, batch_size=most, scoring_batches=batches)


def _adalora(model: ForecastModel, config: FitConfig, data: ForecastData) -> tuple[nn.Module, AdaLoraCallback]:
    steps = config.training.total_steps(len(data.train))
    return add_adalora(model, config.lora, config.adalora, steps), AdaLoraCallback()


def _dora(model: ForecastModel, config: FitConfig, data: ForecastData) -> tuple[nn.Module, None]:
    return add_lora(model, replace(config.lora, use_dora=True)), None


def _full(model: ForecastModel, config: FitConfig, data: ForecastData) -> tuple[nn.Module, None]:
    return model.requires_grad_(True), None


# None: nothing more to do once the head is trained.
METHODS: dict[str, Prepare | None] = {
    "trace": _trace,
    "lora": _lora,
    "adalora": _adalora,
    "dora": _dora,
    "linear_probe": None,
    "full": _full,
}
