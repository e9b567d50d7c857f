"""AdaLoRA: LoRA whose least important ranks are removed in training (Zhang et al. 2023)."""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import ClassVar

from tracetune.adapters.adalora import AdaLoraOptions, add_adalora
from tracetune.adapters.linear_layers import LinearLayer
from tracetune.adapters.lora import LoraOptions, chosen_layers
from tracetune.fitting.methods.method import Adapted, register_method
from tracetune.tasks.task import TaskModel, TrainingData
from tracetune.training.adalora_callback import AdaLoraCallback
from tracetune.training.config import TrainingConfig


@register_method
@dataclass(frozen=True)
class AdaLora:
    """PEFT's AdaLoRA.

    >>> from tracetune import FitConfig
    >>> config = FitConfig(method=AdaLora(AdaLoraOptions(init_r=6, target_r=3)))
    >>> config.method.adalora.target_r
    3

    Attributes:
        adalora: ranks and their schedule.
        lora: scale, dropout and layers.
    """

    adalora: AdaLoraOptions = field(default_factory=AdaLoraOptions)
    lora: LoraOptions = field(default_factory=LoraOptions)
    name: ClassVar[str] = "adalora"
    adapts_backbone: ClassVar[bool] = True

    def at_rank(self, r: int) -> "AdaLora":
        """Return the method with mean rank ``r`` at the end, and half as much more at the start."""
        return replace(self, adalora=replace(self.adalora, init_r=r + (r + 1) // 2, target_r=r))

    def check(self, layers: Mapping[str, LinearLayer], steps: int) -> None:
        """Refuse patterns that fit no layer, and runs that are too short for ranks to fall."""
        chosen_layers(layers, self.lora.target_modules)
        self.adalora.schedule(steps)

    def adapt(self, model: TaskModel, data: TrainingData, training: TrainingConfig) -> Adapted:
        """Add AdaLoRA; models with more ranks than the target do not compete."""
        steps = training.total_steps(len(data.train))
        _, tfinal = self.adalora.schedule(steps)
        adapted = add_adalora(model, self.lora, self.adalora, steps)
        return Adapted(adapted, (AdaLoraCallback(),), first_candidate=steps - tfinal + 1)
