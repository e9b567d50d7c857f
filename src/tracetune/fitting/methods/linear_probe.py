"""Linear probing: only the head is trained, on features of the frozen backbone."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import ClassVar

from tracetune.adapters.linear_layers import LinearLayer
from tracetune.fitting.methods.method import Adapted, register_method
from tracetune.tasks.task import TaskModel, TrainingData
from tracetune.training.config import TrainingConfig


@register_method
@dataclass(frozen=True)
class LinearProbe:
    """A trained head on the frozen backbone.

    >>> from tracetune import FitConfig
    >>> FitConfig(method="linear_probe").method == LinearProbe()
    True
    """

    name: ClassVar[str] = "linear_probe"
    adapts_backbone: ClassVar[bool] = False

    def check(self, layers: Mapping[str, LinearLayer], steps: int) -> None:
        """Accept any model."""

    def adapt(self, model: TaskModel, data: TrainingData, training: TrainingConfig) -> Adapted:
        """Raise AssertionError: a linear probe is done once the head is trained."""
        raise AssertionError("a linear probe has no second phase")
