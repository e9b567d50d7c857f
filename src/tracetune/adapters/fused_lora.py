"""PEFT's plain LoRA layers on the CPU in fewer passes over memory, for as long as a context lasts."""

import copy
from collections.abc import Iterator
from contextlib import contextmanager
from types import MethodType
from typing import Any

import torch
from peft.tuners.lora.layer import Linear
from torch import Tensor, nn
from torch.autograd.function import once_differentiable
from torch.nn import functional


@contextmanager
def fuse_lora(model: nn.Module) -> Iterator[tuple[str, ...]]:
    """Compute ``W x + s B A x`` of the LoRA layers of ``model`` as one autograd function, inside the context.

    Outputs and gradients are PEFT's up to rounding; a training step on the CPU takes less time (see
    benchmarks/fused_lora.py). Covered are layers over a plain, frozen ``nn.Linear`` with one active adapter and no
    dropout. DoRA and other variants, quantised layers, biases of LoRA and several active adapters are left to PEFT,
    and so is each call that has to run the parts one by one: hooks on them (as in ``Gates.apply``), closed or merged
    adapters, ``adapter_names``, torch.compile (whose code has no such passes), tensors that are not on the CPU. Layers
    that are opened or closed inside follow at once. Leaving the context, also by an exception, brings PEFT's forward
    pass back; a deep copy made inside has it already. First derivatives only.

    Args:
        model: any model with PEFT LoRA layers, wrapped in ``PeftModel`` or not.

    Yields:
        Names of the covered layers in ``model``, closed ones among them.
    """
    layers = {name: module for name, module in model.named_modules() if _may_fuse(module)}
    before = {name: vars(layer).get("forward") for name, layer in layers.items()}
    try:
        for layer in layers.values():
            layer.forward = _FusedForward(layer)
        yield tuple(layers)
    finally:
        for name, layer in layers.items():
            vars(layer).pop("forward", None)
            if before[name] is not None:
                layer.forward = before[name]


class _FusedForward:
    """The ``forward`` of one LoRA layer as one autograd function; calls that it does not cover are left to PEFT's."""

    def __init__(self, layer: Linear) -> None:
        self.layer = layer

    def __call__(self, x: Tensor, *args: object, **kwargs: object) -> Tensor:
        """Map inputs [..., in] to outputs [..., out]."""
        layer = self.layer
        if not (args or kwargs or layer.disable_adapters or layer.merged or torch.compiler.is_compiling()):
            parts = _plain_parts(layer)
            if parts is not None:
                dtype = _common_dtype(x, parts[0], *parts[2:4])
                if dtype is not None:
                    rows = x.reshape(-1, x.shape[-1]).to(dtype)
                    found: Tensor = _AdaptedLinear.apply(rows, *parts, dtype)
                    return found.view(*x.shape[:-1], found.shape[-1])  # out here: models may change it in place
        return type(layer).forward(layer, x, *args, **kwargs)

    def __deepcopy__(self, memo: dict[int, object]) -> MethodType:
        """Return PEFT's forward for a copy of the layer, from which the fused one would never be removed."""
        layer = copy.deepcopy(self.layer, memo)
        return MethodType(type(layer).forward, layer)


class _AdaptedLinear(torch.autograd.Function):
    """``y = x W^T + bias + s x A^T B^T`` with frozen W and bias.

    The additions happen inside matrix products, in place, and products with the narrow side r run in the
    orientation that BLAS is fast in: B transposed and contiguous, the gradient of B as ``(u^T dy)^T``.
    """

    @staticmethod
    def forward(
        ctx: Any,
        rows: Tensor,
        weight: Tensor,
        bias: Tensor | None,
        a: Tensor,
        b: Tensor,
        scaling: float,
        dtype: torch.dtype,
    ) -> Tensor:
        """Map rows [R, in] with weight [out, in], bias [out], a [r, in], b [out, r] to [R, out], all in ``dtype``."""
        weight, a = weight.to(dtype), a.to(dtype)
        scaled_b = (b.T * scaling).to(dtype).contiguous()  # [r, out]
        low = functional.linear(rows, a)  # [R, r]
        result = functional.linear(rows, weight, None if bias is None else bias.to(dtype)).addmm_(low, scaled_b)
        ctx.save_for_backward(rows, low, weight, a, scaled_b)
        ctx.scaling = scaling
        return result

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, dy: Tensor) -> tuple[Tensor | None, ...]:
        """Return gradients of rows, a and b from that of the output, [R, out]; autograd casts them."""
        rows, low, weight, a, scaled_b = ctx.saved_tensors
        of_rows = of_a = of_b = None
        with torch.autocast(rows.device.type, enabled=False):
            if ctx.needs_input_grad[0] or ctx.needs_input_grad[3]:
                of_low = functional.linear(dy, scaled_b)  # [R, r]
            if ctx.needs_input_grad[0]:
                of_rows = (dy @ weight).addmm_(of_low, a)
            if ctx.needs_input_grad[3]:
                of_a = of_low.T @ rows
            if ctx.needs_input_grad[4]:
                of_b = (low.T @ dy).T * ctx.scaling
        return of_rows, None, None, of_a, of_b, None, None


Parts = tuple[Tensor, Tensor | None, Tensor, Tensor, float]


def _may_fuse(module: nn.Module) -> bool:
    if type(module) is not Linear or _plain_parts(module) is None:
        return False
    forward = vars(module).get("forward")  # replaced by other code, unless by __deepcopy__
    return forward is None or isinstance(forward, _FusedForward) or forward == MethodType(Linear.forward, module)


def _plain_parts(layer: Linear) -> Parts | None:
    """Return frozen weight and bias, A, B and scaling, if the one active adapter is no more than that.

    Runs at every call of a layer, hence the care for attributes, which ``nn.Module`` is slow to look up.
    """
    all_a = layer.lora_A
    active = [name for name in layer.active_adapters if name in all_a]
    if len(active) != 1 or active[0] in layer.lora_variant:
        return None
    (name,) = active
    if type(layer.lora_dropout[name]) is not nn.Identity:
        return None
    base, a, b = (
        _plain_parameters(layer.base_layer),
        _plain_parameters(all_a[name]),
        _plain_parameters(layer.lora_B[name]),
    )
    if base is None or a is None or b is None or a[1] is not None or b[1] is not None:
        return None
    weight, bias = base
    trainable = weight.requires_grad or (bias is not None and bias.requires_grad)
    return None if trainable else (weight, bias, a[0], b[0], layer.scaling[name])


def _plain_parameters(module: nn.Module) -> tuple[Tensor, Tensor | None] | None:
    """Return weight and bias of an ``nn.Linear`` whose forward and backward pass nobody watches or replaces."""
    attributes = vars(module)
    if type(module) is not nn.Linear or "forward" in attributes or any(attributes[hooks] for hooks in _HOOKS):
        return None
    parameters = attributes["_parameters"]
    weight = parameters.get("weight")
    return (weight, parameters.get("bias")) if type(weight) is nn.Parameter else None


_HOOKS = ("_forward_hooks", "_forward_pre_hooks", "_backward_hooks", "_backward_pre_hooks")


def _common_dtype(x: Tensor, weight: Tensor, a: Tensor, b: Tensor) -> torch.dtype | None:
    """Return the type that PEFT's path would compute all products in; None where there is none, or off the CPU."""
    if not (x.is_cpu and weight.is_cpu and a.is_cpu and b.is_cpu):
        return None
    dtypes = {x.dtype, weight.dtype, a.dtype, b.dtype}
    if torch.is_autocast_enabled("cpu"):
        dtype = torch.get_autocast_dtype("cpu")
        return dtype if dtypes <= {torch.float32, dtype} else None
    return dtypes.pop() if len(dtypes) == 1 else None
