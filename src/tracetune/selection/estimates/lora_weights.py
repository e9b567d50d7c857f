"""Weights of LoRA modules, and the gradients of the loss with respect to them.

Notation for shapes: M gated modules, r rank, d_in and d_out the sizes of a layer, W = s B A the adapter's weight.
"""

from collections.abc import Iterable, Iterator, Mapping
from typing import TYPE_CHECKING

import torch
from peft.tuners.lora import LoraLayer
from torch import Tensor

from tracetune.selection.layers import adapter_parameters
from tracetune.selection.validation import AnyBatch, LossFunction, batch_size, checked_loss, on_device

if TYPE_CHECKING:
    from tracetune.selection.gates import Gates


def weight_gradients(
    gates: "Gates", batches: Iterable[AnyBatch], loss_fn: LossFunction
) -> Iterator[tuple[int, Mapping[Tensor, Tensor]]]:
    """Yield for each batch its size, and the gradient of its mean loss for each A and B, all gates open."""
    gates.model.requires_grad_(False)
    weights = [weight for layer in gates.layers.values() for pair in adapter_weights(layer) for weight in pair]
    for batch in on_device(gates.model, batches):
        with gates.apply(torch.ones(gates.M, device=gates.device)):
            for weight in weights:
                weight.requires_grad_(True)
            loss = checked_loss(gates.model, batch, loss_fn).mean()
            gradients = torch.autograd.grad(loss, weights, allow_unused=True, materialize_grads=True)
        yield batch_size(batch), dict(zip(weights, gradients, strict=True))


def adapter_weights(layer: LoraLayer) -> list[tuple[Tensor, Tensor]]:
    """Return A [r, d_in] and B [d_out, r] of each active adapter."""
    parameters = adapter_parameters(layer)
    return [
        (parameters[f"lora_A.{name}.weight"], parameters[f"lora_B.{name}.weight"])
        for name in layer.active_adapters
        if f"lora_B.{name}.weight" in parameters
    ]


def scales(layer: LoraLayer) -> list[float]:
    """Return the scale s of each active adapter."""
    return [float(layer.scaling[name]) for name in layer.active_adapters if name in layer.lora_B]
