"""Importance scores to compare with: sensitivity, magnitude, gradient, leave-one-out, condition number, chance.

Notation for shapes: M gated modules, r rank, d_in and d_out the sizes of a layer, W = s B A the adapter's weight.
"""

from collections.abc import Iterable, Mapping
from typing import Any

import numpy as np
import torch
from peft.tuners.lora import LoraLayer
from torch import Tensor, nn

from tracetune.base.errors import InputError
from tracetune.selection.gates import Gates
from tracetune.selection.layers import adapter_parameters
from tracetune.selection.scores import FORWARD, FORWARD_BACKWARD, Scores, mean_and_error
from tracetune.selection.validation import LossFunction, batch_size, checked_loss, on_device


def adalora(
    gates: Gates, batches: Iterable[Any], loss_fn: LossFunction, *, beta1: float = 0.85, beta2: float = 0.85
) -> Scores:
    """AdaLoRA's sensitivity, smoothed and weighted by its uncertainty (Zhang et al. 2023, equations 8-11).

    For every weight w, with one batch per step t:

        I = |w dL/dw|,  Ī_t = beta1 Ī_{t-1} + (1 - beta1) I_t,  U_t = beta2 U_{t-1} + (1 - beta2) |I_t - Ī_t|,  s = Ī U

    As in AdaLoRA's triplets (equation 7, without their singular values, which LoRA has not), rank i scores the mean
    of s over row i of A plus the mean over column i of B. A module scores the sum over its ranks.
    """
    sensitivity: dict[Tensor, Tensor] = {}
    uncertainty: dict[Tensor, Tensor] = {}
    samples, steps = 0, 0
    for size, gradients in _weight_gradients(gates, batches, loss_fn):
        samples, steps = samples + size, steps + 1
        for weight, gradient in gradients.items():
            current = (weight.detach() * gradient).abs()
            smooth = beta1 * sensitivity.get(weight, torch.zeros_like(current)) + (1 - beta1) * current
            spread = (current - smooth).abs()
            uncertainty[weight] = beta2 * uncertainty.get(weight, torch.zeros_like(current)) + (1 - beta2) * spread
            sensitivity[weight] = smooth
    products = {weight: sensitivity[weight] * uncertainty[weight] for weight in sensitivity}
    values = [
        sum(float(products[a].mean(dim=1).sum() + products[b].mean(dim=0).sum()) for a, b in _weights(layer))
        for layer in gates.layers.values()
    ]
    return Scores(np.array(values), None, samples, FORWARD_BACKWARD * steps)


def gradient(gates: Gates, batches: Iterable[Any], loss_fn: LossFunction) -> Scores:
    """Norm of the mean loss's gradient with respect to A and B together, all gates open."""
    totals: dict[Tensor, Tensor] = {}
    samples, steps = 0, 0
    for size, gradients in _weight_gradients(gates, batches, loss_fn):
        samples, steps = samples + size, steps + 1
        for weight, of_batch in gradients.items():
            totals[weight] = totals.get(weight, torch.zeros_like(of_batch)) + size * of_batch
    values = [
        float(sum((totals[weight] / samples).square().sum() for pair in _weights(layer) for weight in pair) ** 0.5)
        for layer in gates.layers.values()
    ]
    return Scores(np.array(values), None, samples, FORWARD_BACKWARD * steps)


def magnitude(gates: Gates, batches: Iterable[Any], loss_fn: LossFunction) -> Scores:
    """Frobenius norm of the adapter's weight s B A; looks at no data.

    ``||B A||^2 = sum(B^T B * A A^T)`` needs matrices of size r x r only.
    """
    values = []
    for layer in gates.layers.values():
        squares = 0.0
        for (a, b), scale in zip(_weights(layer), _scales(layer), strict=True):
            down, up = a.detach().double(), b.detach().double()
            squares += scale**2 * float(((up.T @ up) * (down @ down.T)).sum().clamp(min=0))
        values.append(squares**0.5)
    return Scores(np.array(values), None, samples=0, forward_equivalents=0.0)


def leave_one_out(gates: Gates, batches: Iterable[Any], loss_fn: LossFunction) -> Scores:
    """``L(all but m) - L(all)``: phi in the one context in which every other module is open.

    Standard errors are over the samples' paired differences where losses come per sample, otherwise over batches.
    """
    differences, weights, cost = [], [], 0.0
    with torch.no_grad():
        for batch in on_device(gates.model, batches):
            everything = torch.ones(gates.M, device=gates.device)
            patterns = torch.cat([everything[None], 1 - torch.eye(gates.M, device=gates.device)])  # [M + 1, M]
            losses = torch.stack([_losses(gates, pattern, batch, loss_fn) for pattern in patterns])
            differences.append((losses[1:] - losses[:1]).double().cpu())  # [M, B], or [M, 1] from a mean loss
            weights.append(batch_size(batch))
            cost += FORWARD * (gates.M + 1)
    shares = np.concatenate([np.full(d.shape[1], w / d.shape[1]) for d, w in zip(differences, weights, strict=True)])
    values, errors = mean_and_error(torch.cat(differences, dim=1).numpy(), shares)
    return Scores(values, errors, sum(weights), cost)


def chance(gates: Gates, batches: Iterable[Any], loss_fn: LossFunction, *, seed: int = 0) -> Scores:
    """Uniform random numbers: what a choice without any evidence does."""
    values = torch.rand(gates.M, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)
    return Scores(values.numpy(), None, samples=0, forward_equivalents=0.0)


def kappa(gates: Gates, batches: Iterable[Any], loss_fn: LossFunction) -> Scores:
    """KappaTune: the frozen weights with the lowest condition numbers are adapted first; looks at no data.

    PEFT's own selector ranks the base layers; a layer scores minus its place in that ranking. Layers that the
    selector does not analyse (not ``nn.Linear``, or larger than 16384) come last.

    Raises:
        InputError: the installed PEFT has no KappaTune.
    """
    try:
        from peft.helpers import KappaTuneSelector
    except ImportError as error:
        raise InputError(
            "Score 'kappa' needs PEFT's KappaTune. Install peft>=0.19, or choose another score."
        ) from error
    layers = nn.ModuleList([layer.get_base_layer() for layer in gates.layers.values()])
    ranking = KappaTuneSelector(layers, show_progress=False).get_best_targets()
    values = np.full(gates.M, -float(gates.M))
    for place, name in enumerate(ranking):
        values[int(name)] = -float(place)
    return Scores(values, None, samples=0, forward_equivalents=0.0)


def _weight_gradients(
    gates: Gates, batches: Iterable[Any], loss_fn: LossFunction
) -> Iterable[tuple[int, Mapping[Tensor, Tensor]]]:
    """For each batch its size, and the gradient of its mean loss for each A and B, all gates open."""
    gates.model.requires_grad_(False)
    weights = [weight for layer in gates.layers.values() for pair in _weights(layer) for weight in pair]
    for batch in on_device(gates.model, batches):
        with gates.apply(torch.ones(gates.M, device=gates.device)):
            for weight in weights:
                weight.requires_grad_(True)
            loss = checked_loss(gates.model, batch, loss_fn).mean()
            gradients = torch.autograd.grad(loss, weights, allow_unused=True, materialize_grads=True)
        yield batch_size(batch), dict(zip(weights, gradients, strict=True))


def _losses(gates: Gates, pattern: Tensor, batch: Any, loss_fn: LossFunction) -> Tensor:
    with gates.apply(pattern):
        return checked_loss(gates.model, batch, loss_fn).reshape(-1)


def _weights(layer: LoraLayer) -> list[tuple[Tensor, Tensor]]:
    """A [r, d_in] and B [d_out, r] of each active adapter."""
    parameters = adapter_parameters(layer)
    return [
        (parameters[f"lora_A.{name}.weight"], parameters[f"lora_B.{name}.weight"])
        for name in layer.active_adapters
        if f"lora_B.{name}.weight" in parameters
    ]


def _scales(layer: LoraLayer) -> list[float]:
    return [float(layer.scaling[name]) for name in layer.active_adapters if name in layer.lora_B]
