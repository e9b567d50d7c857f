"""The protocol of tasks, by which fit, caches, methods and selection work without knowing the task.

A task is one file: a `TaskModel`, which turns batches into losses, and a `Task`, which builds it.

Shapes: B batch, C channels, N patches, D width.
"""

from abc import ABC, abstractmethod
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any, ClassVar, Protocol, TypeVar, runtime_checkable

import numpy as np
from peft import PeftModel
from torch import Tensor, nn
from transformers import PreTrainedConfig
from transformers.utils import ModelOutput

from tracetune.base.json_types import JsonObject
from tracetune.data.batch_source import BatchSource
from tracetune.evaluation.periods import SampleGroups

M = TypeVar("M", bound="TaskModel")


@dataclass
class Output(ModelOutput):
    """Output of every task model; tasks add fields.

    Attributes:
        loss: [] mean of ``sample_losses``; None without targets.
        sample_losses: [B] loss of each sample.
    """

    loss: Tensor | None = None
    sample_losses: Tensor | None = None


class Guard(Protocol):
    """A measure of what a model is for, where that is not the loss that it trains on; it chooses between candidates."""

    @property
    def groups(self) -> SampleGroups:
        """Return period and item of each of S cases."""
        ...

    @property
    def identity(self) -> JsonObject:
        """Return what decides the losses besides the model, as JSON types."""
        ...

    def losses(self, model: nn.Module) -> np.ndarray:
        """Return the loss of each case, [S] float64; infinite where the model has diverged."""
        ...


@dataclass(frozen=True)
class TrainingData:
    """Training samples, and validation samples, which choose the model.

    Attributes:
        train: training samples.
        validation: validation samples.
        groups: period and item of each validation sample; None where they are not known.
        guard: compares candidates, and finds how far each is moved back to its start; None leaves that to the losses of
            the validation samples, which choose the checkpoint and the modules in any case.
        features: what a head reads of the same samples, where it is computed already.
    """

    train: BatchSource
    validation: BatchSource
    groups: SampleGroups | None = None
    guard: Guard | None = None
    features: "TrainingData | None" = None

    @property
    def known_groups(self) -> SampleGroups:
        """Return the groups; without any, each validation sample is one item, with a class for its target."""
        return SampleGroups.of_labelled_samples(len(self.validation)) if self.groups is None else self.groups

    @property
    def compared_groups(self) -> SampleGroups:
        """Return the groups of what candidates are compared on."""
        return self.known_groups if self.guard is None else self.guard.groups


class TaskModel(nn.Module, ABC):
    """Backbone and head as one module, which PEFT, Accelerate and the Trainer take as it is.

    A batch is turned into features (`features`), the head reads their ``tokens``, and `loss` compares what
    it puts out with the targets. Features of a frozen backbone are computed once and kept, so that all three steps
    must stand alone.

    Attributes:
        labels: names of the batch entries without which there is no loss; features have them too.
        backbone: see `tracetune.backbones.backbone.Backbone`.
        head: see `tracetune.heads.head.Head`; None for zero-shot models.
        config: what PEFT and the Trainer expect of a model.
    """

    labels: tuple[str, ...]
    accepts_loss_kwargs: ClassVar[bool] = False  # otherwise the Trainer adds an argument to the batch
    base_model_prefix: ClassVar[str] = ""  # of names in checkpoints: PEFT asks it of what holds a model of transformers

    def __init__(self, backbone: Any, head: nn.Module | None, name_or_path: str = "") -> None:
        super().__init__()
        self.backbone = backbone
        self.head = head
        # The name is not an attribute of the model itself: PEFT would take it for a hub id and look for its vocabulary
        # there at every save.
        self.config = PreTrainedConfig(name_or_path=name_or_path, architectures=[type(self).__name__])

    @property
    @abstractmethod
    def tokens_per_sample(self) -> int:
        """Return tokens C N of one sample, by which batches are sized where memory is limited."""

    @abstractmethod
    def features(self, batch: Mapping[str, Tensor]) -> dict[str, Tensor]:
        """Return ``tokens``, which the head reads, and whatever else `loss` needs, targets included; [B, ...]."""

    @abstractmethod
    def loss(self, outputs: Tensor, features: Mapping[str, Tensor]) -> Output:
        """Return the losses of what the head makes of ``features["tokens"]``."""

    def forward(self, **batch: Tensor) -> Output:
        """Return the losses of a batch."""
        assert self.head is not None, "a model without a head has a forward of its own"
        features = self.features(batch)
        return self.loss(self.head(features["tokens"]).float(), features)

    def zero_shot_head(self) -> nn.Module | None:
        """Return a head with which the model does what the backbone does by itself; None where there is none.

        It has the form of the present head, and shares with it what makes no difference to the result, so that the
        weights between the two lead from zero-shot to trained.
        """
        return None

    def in_training(self, data: TrainingData) -> TrainingData:
        """Return the samples as steps of training and scores of modules read them, where that is less than all."""
        return data

    def cache_obstacle(self) -> str | None:
        """Return why outputs of frozen blocks cannot be kept from one visit of a sample to the next; None: they can."""
        return None

    def train(self, mode: bool = True) -> "TaskModel":
        """Switch the mode, but leave a frozen backbone in evaluation mode: dropout would only blur its features."""
        super().train(mode)
        if not any(parameter.requires_grad for parameter in self.backbone.parameters()):
            self.backbone.eval()
        return self


def task_model_of(model: nn.Module, kind: type[M]) -> M:
    """Return the task model inside PEFT's wrapper, or itself, which is of that kind."""
    inner = model.get_base_model() if isinstance(model, PeftModel) else model
    assert isinstance(inner, kind), f"expected a {kind.__name__}, found a {type(inner).__name__}"
    return inner


Features = Iterable[Mapping[str, Tensor]]
"""Features of all samples, batch by batch; can be iterated more than once."""


class Task(Protocol):
    """A task: it builds models from backbones.

    Attributes:
        name: as in records.
        default_head: configuration of the head where none is asked for.
    """

    name: ClassVar[str]

    @property
    def default_head(self) -> Any:
        """Return the configuration of the head where none is asked for, a dataclass."""
        ...

    def model(self, backbone: Any, head: Any) -> TaskModel:
        """Put a new head, described by ``head``, on a backbone."""
        ...

    def zero_shot(self, backbone: Any) -> TaskModel | None:
        """Return the backbone doing the task by itself; None where it cannot."""
        ...

    def solve_head(self, model: TaskModel, train: Features, validation: Features) -> float | None:
        """Set the head's weights without gradient descent; returns the validation loss, None where there is no way.

        Raises:
            InputError: the head or the data do not allow it.
        """
        ...


@dataclass(frozen=True)
class LearningRates:
    """Learning rates on a task where none is given; docs/results/full_rate.md.

    Attributes:
        adapters: of new weights beside the pretrained ones.
        weights: of the pretrained weights themselves.
    """

    adapters: float = 5e-4
    weights: float = 1.6e-4


@runtime_checkable
class RatedTask(Protocol):
    """A task with learning rates of its own."""

    rates: ClassVar[LearningRates]


@runtime_checkable
class ComparedTask(Protocol):
    """A task with baselines simpler than any backbone; a fit returns a model only if it is better than they are."""

    def baselines(self, backbone: Any) -> Mapping[str, TaskModel]:
        """Return these by name, the simplest first, as models that hold the backbone without using it."""
        ...
