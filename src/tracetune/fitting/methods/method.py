"""The protocol of fine-tuning methods, and their registry.

A method is one file: a frozen dataclass with its own options, registered with `register_method`.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar, Protocol, TypeVar, runtime_checkable

from torch import nn
from transformers import TrainerCallback

from tracetune.adapters.linear_layers import LinearLayer
from tracetune.base.argument_types import checked_fields
from tracetune.base.errors import unknown_name
from tracetune.fitting.trained import MethodReport
from tracetune.tasks.task import TaskModel, TrainingData

if TYPE_CHECKING:
    from tracetune.adapters.options import LoraOptions
    from tracetune.training.config import TrainingConfig


@dataclass(frozen=True)
class Adapted:
    """A model adapted by a method, ready to be trained.

    Attributes:
        model: the parameters that require gradients are trained.
        callbacks: of the Trainer, for this model.
        first_candidate: the step from which on validation losses choose: models above their final size do not compete.
        closes_modules: whether modules that train at first may be closed later.
        report: called when training has ended.
    """

    model: nn.Module
    callbacks: tuple[TrainerCallback, ...] = ()
    first_candidate: int = 0
    closes_modules: bool = False
    report: Callable[[], MethodReport] = MethodReport


class Method(Protocol):
    """A way to fine-tune; an instance holds the options.

    Attributes:
        name: as in commands and records.
        adapts_backbone: whether there is anything to do once the head is trained.
    """

    name: ClassVar[str]
    adapts_backbone: ClassVar[bool]

    def check(self, layers: Mapping[str, LinearLayer], steps: int) -> None:
        """Refuse options that fit neither the model's ``layers`` (full names) nor a run of ``steps``.

        Raises:
            InputError: before anything is trained.
        """
        ...

    def adapt(self, model: TaskModel, data: TrainingData, training: "TrainingConfig") -> Adapted:
        """Turn a model, whose head is trained if it has one, into the one to train; ``model`` may be changed."""
        ...


@runtime_checkable
class RankedMethod(Method, Protocol):
    """A method with options for its ranks, which follow the rank of its LoRA modules."""

    def at_rank(self, r: int) -> "RankedMethod":
        """Return the method for rank ``r``."""
        ...


@runtime_checkable
class WeightMethod(Method, Protocol):
    """A method that trains pretrained weights, with the learning rates that ``learning_rate="auto"`` tries."""

    auto_rates: ClassVar[tuple[float, ...]]


@runtime_checkable
class AdapterMethod(Method, Protocol):
    """A method that puts adapters of PEFT on layers."""

    @property
    def lora(self) -> "LoraOptions":
        """Return which layers, with which rank and scale."""
        ...


@runtime_checkable
class LoraMethod(Method, Protocol):
    """A method that trains LoRA modules."""

    @property
    def scalable(self) -> bool:
        """Return whether a factor on a module's ``lora_B`` is a factor on all that it adds."""
        ...


METHODS: dict[str, type[Method]] = {}
M = TypeVar("M", bound=type[Method])


def register_method(method: M) -> M:
    """Make a method known by its name (a class decorator)."""
    if method.name in METHODS:
        raise AssertionError(f"method {method.name!r} is registered twice")
    METHODS[method.name] = checked_fields(method)
    return method


def method_named(name: str) -> Method:
    """Return the method with its default options.

    Raises:
        InputError: there is none of this name.
    """
    if name not in METHODS:
        raise unknown_name("method", name, METHODS)
    return METHODS[name]()
