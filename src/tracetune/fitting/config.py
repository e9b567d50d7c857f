"""Configuration of fine-tuning: the method with its options, and how head and method are trained."""

from __future__ import annotations

import math
from dataclasses import dataclass, field, fields, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from tracetune.base.argument_types import checked_fields
from tracetune.base.errors import InputError, argument, unknown_name
from tracetune.fitting.names import (
    BEST,
    CACHE_DTYPES,
    HEAD_STARTS,
    MODULES,
    SHRINKS,
    SOLVED,
    STARTS,
    TOGETHER,
    VALIDATIONS,
    ZERO_SHOT,
)
from tracetune.training.config import TrainingConfig

if TYPE_CHECKING:  # PyTorch comes with it
    from tracetune.fitting.methods.method import Method


HEAD_EPOCHS = 10.0
"""Passes over frozen features that train the head before anything else."""


PERIODS = ("train_stride", "validation", "validation_windows")
"""Settings of windows and periods, which samples with labels do not have."""


def _trace() -> Method:
    from tracetune.fitting.methods.method import method_named

    return method_named("trace")


@checked_fields
@dataclass(frozen=True)
class FitConfig:
    """Configuration of fine-tuning.

    >>> from tracetune import SelectionConfig, Trace, TrainingConfig
    >>> config = FitConfig(method=Trace(SelectionConfig(keep=0.25)), training=TrainingConfig(max_steps=500))
    >>> config.method.name, config.training.max_steps
    ('trace', 500)

    Attributes:
        method: the method with its options: ``Trace()``, ``Lora()``, ``Dora()``, ``AdaLora()``, ``LinearProbe()``,
            ``Full()``; or its name ("trace", "linear_probe", ...) for the default options.
        head: configuration of the head; None takes the task's default.
        start: the model that the method starts from: "head" (trained on frozen features), "zero-shot" (the backbone
            without a new head), or "best", whichever of the two has the lower validation loss.
        head_start: "solved" trains the head from the solution that the task finds without gradient descent (ridge
            regression) and returns to it where no later step is better, "kept" keeps that solution as it is,
            "gradient" trains the head from its first weights.
        head_training: how the head is trained on frozen features.
        training: how adapters (or the backbone) and head are trained together.
        train_stride: steps between the origins of training windows; of forecasters alone.
        validation: "rolling" holds back several periods at the end of each series, "last" one stretch; a validation
            part that is given is cut into periods, or not. See ``fit_split`` and ``cut_periods``; of forecasters and
            imputers.
        validation_windows: most windows that choose the model, drawn from all periods, items and times of day; not of
            classifiers, whose fits say what is held out.
        shrink: how a trained model is moved back towards its start, as far as validation says: "together" by one
            factor (fitting/shrinkage.py); "modules" before that by one for each LoRA module, head aside
            (selection/soft_gates.py; "trace" and "lora", two periods or more); "none" leaves it as trained.
        guard_margin: by how many standard errors of its gain a model must be better than a simpler one to win (twice
            as many in doubtful cases, see ``Candidates``); 0 takes any difference.
        checkpoints: folder for checkpoints, from which an interrupted run goes on; None keeps none. Those of another
            run (other settings, data, backbone or versions) are refused.
        restart: discard what is in ``checkpoints``, whichever run it is of.
        cache_bytes: room for cached features and states of frozen blocks, in memory first and then in files; None takes
            a third of the free memory, 0 caches nothing.
        cache_dtype: precision of cached states of frozen blocks: "float32", "bfloat16", or None for that of training.
    """

    method: Method = field(default_factory=_trace)
    head: Any = None
    start: str = BEST
    head_start: str = SOLVED
    head_training: TrainingConfig = field(default_factory=lambda: TrainingConfig(num_train_epochs=HEAD_EPOCHS))
    training: TrainingConfig = field(default_factory=TrainingConfig)
    train_stride: int = 1
    validation: str = "rolling"
    validation_windows: int | None = 2048
    shrink: str = TOGETHER
    guard_margin: float = 0.5
    checkpoints: str | Path | None = None
    restart: bool = False
    cache_bytes: int | None = None
    cache_dtype: str | None = None

    def __post_init__(self) -> None:
        from tracetune.fitting.methods.method import LoraMethod, method_named  # with PyTorch; defaults need none

        if isinstance(self.method, str):
            object.__setattr__(self, "method", method_named(self.method))
        if self.checkpoints is not None:
            object.__setattr__(self, "checkpoints", str(self.checkpoints))  # as records write it
        if isinstance(self.method, type):
            name = self.method.__name__
            raise InputError(f"Expected a method with its options, such as {name}(), found the class {name} itself.")
        if self.start not in STARTS:
            raise unknown_name("start", self.start, STARTS)
        if self.start == ZERO_SHOT and not self.method.adapts_backbone:
            raise InputError(
                f"Method {self.method.name!r} trains a head only: {argument('start', ZERO_SHOT)} leaves it nothing to "
                "train."
            )
        if self.validation not in VALIDATIONS:
            raise unknown_name("validation", self.validation, VALIDATIONS)
        if self.shrink not in SHRINKS:
            raise unknown_name("shrink", self.shrink, SHRINKS)
        if self.shrink == MODULES and not (isinstance(self.method, LoraMethod) and self.method.scalable):
            raise InputError(
                f"Expected a method with plain LoRA modules for {argument('shrink', MODULES)} ('trace' or 'lora'), "
                f"found {self.method.name!r}. Use {argument('shrink', TOGETHER)}."
            )
        if not (math.isfinite(self.guard_margin) and self.guard_margin >= 0):
            raise InputError(
                f"Expected {argument('guard_margin')} of at least 0, such as 0.5, found {self.guard_margin}."
            )
        if self.cache_bytes is not None and self.cache_bytes < 0:
            raise InputError(f"Expected {argument('cache_bytes')} of at least 0, found {self.cache_bytes}.")
        if self.head_start not in HEAD_STARTS:
            raise unknown_name("head_start", self.head_start, HEAD_STARTS)
        if self.cache_dtype not in CACHE_DTYPES:
            raise unknown_name("cache_dtype", str(self.cache_dtype), [name for name in CACHE_DTYPES if name])


def refuse_unread(config: FitConfig, task: str, *names: str) -> None:
    """Refuse settings that a task does not read, where they are not left at their defaults.

    Args:
        config: how to fine-tune.
        task: in words, whose fit asks.
        names: of the settings that it does not read.

    Raises:
        InputError: names the first of them that was set.
    """
    unread = [each for each in fields(config) if each.name in names]
    for each in unread:
        value = getattr(config, each.name)
        if value != each.default:
            raise InputError(f"{argument(each.name, value)} changes nothing for {task}. Leave it out.")


def with_method(config: FitConfig, method: Method | str | None) -> FitConfig:
    """Return a configuration with another method, an object or a name, where one is given."""
    changes: dict[str, Any] = {} if method is None else {"method": method}  # a name becomes the method of that name
    return replace(config, **changes)
