"""LoRA on every chosen layer, from the first step to the last (Hu et al. 2022), and DoRA (Liu et al. 2024)."""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import ClassVar

from tracetune.adapters.linear_layers import LinearLayer
from tracetune.adapters.lora import LoraOptions, add_lora, chosen_layers
from tracetune.fitting.methods.method import Adapted, register_method
from tracetune.tasks.task import TaskModel, TrainingData
from tracetune.training.config import TrainingConfig


@register_method
@dataclass(frozen=True)
class Lora:
    """PEFT's LoRA.

    >>> from tracetune import FitConfig
    >>> FitConfig(method=Lora(LoraOptions(r=8, lora_alpha=16.0))).method.lora.r
    8

    Attributes:
        lora: rank, scale and layers.
    """

    lora: LoraOptions = field(default_factory=LoraOptions)
    name: ClassVar[str] = "lora"
    adapts_backbone: ClassVar[bool] = True

    @property
    def scalable(self) -> bool:
        """Return whether there are no magnitudes, which a factor does not reach."""
        return not self.lora.use_dora

    def check(self, layers: Mapping[str, LinearLayer], steps: int) -> None:
        """Refuse patterns that fit no layer."""
        chosen_layers(layers, self.lora.target_modules)

    def adapt(self, model: TaskModel, data: TrainingData, training: TrainingConfig) -> Adapted:
        """Add LoRA."""
        return Adapted(add_lora(model, self.lora))


@register_method
@dataclass(frozen=True)
class Dora(Lora):
    """PEFT's DoRA: LoRA on the direction of the weights, their magnitudes trained apart.

    >>> from tracetune import FitConfig
    >>> FitConfig(method=Dora(LoraOptions(r=4, target_modules=("*.q", "*.v")))).method.lora.r
    4

    Attributes:
        lora: rank, scale and layers.
    """

    name: ClassVar[str] = "dora"

    @property
    def scalable(self) -> bool:
        """Return False: a factor does not reach the magnitudes."""
        return False

    def adapt(self, model: TaskModel, data: TrainingData, training: TrainingConfig) -> Adapted:
        """Add LoRA with magnitudes."""
        return Adapted(add_lora(model, replace(self.lora, use_dora=True)))
