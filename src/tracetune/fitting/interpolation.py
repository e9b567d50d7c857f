"""Weights on the straight way from where training started to where it ended.

Robust fine-tuning by interpolation of weights (Wortsman et al., WiSE-FT, CVPR 2022): factor 0 is the start, 1 the
trained model. A linear head on tokens of the future starts as the zero-shot forecast, W_0 + g (W - W_0); adapters start
at zero, so that their factor is folded into ``lora_B``, and the model stays a plain PEFT model.
"""

from collections.abc import Iterator, Sequence

import torch
from peft import PeftModel
from peft.tuners.lora import LoraLayer
from torch import Tensor, nn

from tracetune.adapters.trained_head import trained_head
from tracetune.tasks.task import TaskModel

Ends = tuple[Tensor, Tensor]
"""A parameter, and what it was at the start."""


class WeightPath:
    """The straight way of some parameters from their start to where they are now.

    Args:
        ends: parameters, and what they were at the start.
    """

    def __init__(self, ends: Sequence[Ends]) -> None:
        self._ends = [(parameter, start.detach().clone(), parameter.detach().clone()) for parameter, start in ends]

    @torch.no_grad()
    def go_to(self, factor: float) -> None:
        """Set the parameters to start + factor * (end - start); at 0 and 1 to exactly what they were there."""
        for parameter, start, end in self._ends:
            between = torch.lerp(start, end, factor)
            parameter.copy_(start if factor == 0 else end if factor == 1 else between)


def head_path(model: TaskModel) -> WeightPath | None:
    """Return the way of a head from zero-shot to trained; None where no such head does what zero-shot does."""
    start = model.zero_shot_head()
    if start is None or model.head is None:
        return None
    return WeightPath(list(zip(model.head.parameters(), start.parameters(), strict=True)))


def adapter_path(start: TaskModel, tuned: nn.Module) -> WeightPath:
    """Return the way from ``start`` to what a method made of a copy of it: adapters and head, or all weights."""
    if not isinstance(tuned, PeftModel):
        return WeightPath(list(zip(tuned.parameters(), start.parameters(), strict=True)))
    ends = [pair for layer in tuned.modules() if isinstance(layer, LoraLayer) for pair in _layer_ends(layer)]
    if start.head is not None:
        ends += zip(trained_head(tuned).parameters(), start.head.parameters(), strict=True)
    return WeightPath(ends)


def _layer_ends(layer: LoraLayer) -> Iterator[Ends]:
    """Yield the tensors that scale one layer's adapters: lora_B, AdaLoRA's singular values, and DoRA's magnitudes."""
    for adapter in layer.active_adapters:
        if adapter in getattr(layer, "lora_E", {}):
            yield layer.lora_E[adapter], torch.zeros_like(layer.lora_E[adapter])
        elif adapter in layer.lora_B:
            for weight in layer.lora_B[adapter].parameters():
                yield weight, torch.zeros_like(weight)
            if adapter in layer.lora_magnitude_vector:
                weight = layer.get_base_layer().weight
                magnitude = layer.lora_magnitude_vector[adapter].weight
                yield magnitude, torch.linalg.norm(weight, dim=1).to(magnitude)
