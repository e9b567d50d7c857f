"""Full fine-tuning: every weight of the backbone is trained, without adapters."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import ClassVar

from tracetune.adapters.linear_layers import LinearLayer
from tracetune.fitting.methods.method import Adapted, register_method
from tracetune.tasks.task import TaskModel, TrainingData
from tracetune.training.config import TrainingConfig


@register_method
@dataclass(frozen=True)
class Full:
    """Full fine-tuning of all weights.

    >>> from tracetune import FitConfig, TrainingConfig
    >>> FitConfig(method=Full(), training=TrainingConfig(learning_rate=1e-5)).method.name
    'full'
    """

    name: ClassVar[str] = "full"
    adapts_backbone: ClassVar[bool] = True
    auto_rates: ClassVar[tuple[float, ...]] = (1e-5, 4e-5, 1.6e-4)  # far below those of adapters

    def check(self, layers: Mapping[str, LinearLayer], steps: int) -> None:
        """Accept any model."""

    def adapt(self, model: TaskModel, data: TrainingData, training: TrainingConfig) -> Adapted:
        """Unfreeze all weights."""
        return Adapted(model.requires_grad_(True))
