"""Results of training besides the model: logs, seconds, losses, counts."""

import math
from dataclasses import dataclass, field

import numpy as np
from torch import nn

from tracetune.base.json_types import JsonObject

History = list[JsonObject]
"""Entries of the Trainer's log: losses, learning rates and rounds of selection, each with its step."""


@dataclass(frozen=True, eq=False)
class Shrinkage:
    """A factor that was chosen, and what it was chosen by.

    Attributes:
        factor: g, at least 0; above 1 it is beyond the trained model.
        losses: [S] with this factor.
        tried: mean loss at every factor that was measured; None where the model had diverged.
        ended_early: whether it follows from the largest factor of all: training stopped on the way.
    """

    factor: float
    losses: np.ndarray
    tried: dict[float, float | None]
    ended_early: bool = False


@dataclass(frozen=True)
class TriedRate:
    """One of the learning rates that were tried.

    Attributes:
        learning_rate: the peak rate.
        steps: how long it trained.
        validation_loss: mean loss of what came out, moved along its way; None where it diverged.
        taken: whether this is the model that competes.
    """

    learning_rate: float
    steps: int
    validation_loss: float | None
    taken: bool = False

    @property
    def loss(self) -> float:
        """Return the validation loss; infinite where it diverged."""
        return math.inf if self.validation_loss is None else self.validation_loss


@dataclass(frozen=True)
class MethodReport:
    """Report of a method after training.

    Attributes:
        content: entries of the record, as JSON types.
        seconds: parts of the training's seconds that were spent on something else, by name.
    """

    content: JsonObject = field(default_factory=dict)
    seconds: dict[str, float] = field(default_factory=dict)


@dataclass(frozen=True, eq=False)
class TrainedHead:
    """Results of training a head, besides the head.

    Attributes:
        history: the Trainer's log.
        seconds: wall-clock time.
        losses: [samples] validation loss of each sample.
        shrinkage: how far it was moved back towards zero-shot; None where it was not.
    """

    history: History
    seconds: float
    losses: np.ndarray
    shrinkage: Shrinkage | None


@dataclass(frozen=True)
class TrainedAdapters:
    """Results of training with a method, besides the model.

    Attributes:
        history: the Trainer's log.
        seconds: wall-clock time.
        adapters_before_selection: parameters of the adapters (or the backbone) that began to train.
        report: what the method says of its work.
        prefix_blocks: how many frozen blocks below the lowest open module ran ("computed") and did not have to
            ("reused"), counted per sample; empty where no prefix was remembered.
        best_share: of its steps, after which validation was best: what came out is the model of then.
        rates: the trainings that "auto" chose among, in the order in which they came; () at a given learning rate.
        rate_seconds: wall-clock time of those of them that were not taken, and of measuring them.
    """

    history: History
    seconds: float
    adapters_before_selection: int
    report: MethodReport
    prefix_blocks: dict[str, int]
    best_share: float = 1.0
    rates: tuple[TriedRate, ...] = ()
    rate_seconds: float = 0.0


def trained_parameters(model: nn.Module) -> dict[str, int]:
    """Return how many parameters of a model train, in "head" and "adapters" (or the backbone)."""
    trained = {name: p.numel() for name, p in model.named_parameters() if p.requires_grad}
    head = sum(count for name, count in trained.items() if name.removeprefix("base_model.model.").startswith("head."))
    return {"head": head, "adapters": sum(trained.values()) - head}
