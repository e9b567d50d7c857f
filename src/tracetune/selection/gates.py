"""Gates on PEFT's LoRA layers: multiply a layer's adapter by a number, close it, open it, delete it.

Notation for tensor shapes: B batch, M gated modules.
"""

from collections.abc import Iterable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from functools import partial

import torch
from peft import LoraConfig
from peft.tuners.lora import LoraLayer
from torch import Tensor, nn
from torch.utils.hooks import RemovableHandle

from tracetune.base.errors import InputError, unknown_name
from tracetune.selection.layers import (
    active_b,
    adapter_names,
    adapter_parameters,
    base_model,
    enabled,
    lora_modules,
    retarget,
    unwrapped,
)

_INITIALISATIONS = (True, False, None, "gaussian", "orthogonal", "eva")
"""Values of PEFT's ``init_lora_weights`` that leave the base weights as they are."""


class Gates:
    """One gate for each LoRA layer: ``y = W x + g * s * B A x`` with ``s = lora_alpha / r``.

    The gate multiplies the output of ``lora_B`` through a forward hook, so gradients reach it and PEFT's
    classes stay as they are. Layers with a LoRA variant (DoRA and its like) compute more than ``B A x``:
    there the gate multiplies all that the adapter adds to the base layer's output.

    >>> import torch
    >>> from peft import LoraConfig, get_peft_model
    >>> layers = nn.Sequential(nn.Linear(4, 8), nn.Tanh(), nn.Linear(8, 1))
    >>> gates = Gates(get_peft_model(layers, LoraConfig(r=2, target_modules=["0", "2"])))
    >>> gates.names
    ('0', '2')
    >>> gates.close(["0"])
    >>> gates.open_names
    ('2',)

    Args:
        model: any model with PEFT LoRA layers, wrapped in ``PeftModel`` or not.

    Raises:
        InputError: no LoRA layer with an active adapter, or adapters that are merged into the weights.
    """

    def __init__(self, model: nn.Module) -> None:
        self.model = model
        self.layers = lora_modules(model)
        if not self.layers:
            raise InputError(
                "Expected a model with LoRA layers, found none with an active adapter. "
                "Wrap it first: peft.get_peft_model(model, peft.LoraConfig(...))."
            )
        merged = [name for name, layer in self.layers.items() if layer.merged]
        if merged:
            raise InputError(
                f"Expected unmerged adapters, found {len(merged)} merged into the base weights (first: {merged[0]!r}). "
                "Call model.unmerge_adapter() first."
            )
        self._values: tuple[Tensor, ...] | None = None
        self._base_outputs: dict[int, Tensor] = {}
        self._trainable: dict[str, dict[str, bool]] = {}

    @property
    def names(self) -> tuple[str, ...]:
        """Return names of the gated modules, in the order of the model."""
        return tuple(self.layers)

    @property
    def M(self) -> int:
        """Return the number of gated modules."""
        return len(self.layers)

    @property
    def device(self) -> torch.device:
        """Return the device of the adapters."""
        return next(iter(adapter_parameters(next(iter(self.layers.values()))).values())).device

    def parameter_counts(self) -> dict[str, int]:
        """Return adapter parameters of each module."""
        return {
            name: sum(parameter.numel() for parameter in adapter_parameters(layer).values())
            for name, layer in self.layers.items()
        }

    @contextmanager
    def apply(self, values: Tensor) -> Iterator[None]:
        """Multiply module m's adapter by ``values[m]`` inside the context; closed modules take part as well.

        Leaving it, also by an exception, restores the former state: an outer ``apply`` (whose values the inner one
        replaces), no gates at all, closed modules. Backward passes belong inside: gradient checkpointing computes the
        forward pass again, and must find the same gates. Compiled models run eagerly inside.

        Args:
            values: [M] shared by the batch, or [M, B] one column per sample. A layer may see ``k * B`` rows
                (sample x channel, rows of one sample adjacent); each gate is then repeated k times. The rows
                are the layer's leading dimension, whatever follows it.

        Raises:
            InputError: another number of modules, or rows of a layer that are no multiple of B.
        """
        if values.ndim not in (1, 2) or values.shape[0] != self.M:
            raise InputError(f"Expected gates of shape [{self.M}] or [{self.M}, B], found {list(values.shape)}.")
        outer = self._values
        with ExitStack() as stack:
            if outer is None:
                stack.callback(self._base_outputs.clear)
                for handle in self._add_hooks():
                    stack.callback(handle.remove)
                for name in self.closed_names:
                    stack.enter_context(enabled(self.layers[name]))
                stack.enter_context(torch.compiler.set_stance("force_eager"))
            stack.callback(setattr, self, "_values", outer)
            self._values = values.unbind(0)
            yield

    def is_open(self, name: str) -> bool:
        """Return whether the module takes part in the forward pass."""
        return not self._layer(name).disable_adapters

    @property
    def open_names(self) -> tuple[str, ...]:
        """Return names of the open modules, in the order of the model."""
        return tuple(name for name in self.names if self.is_open(name))

    @property
    def closed_names(self) -> tuple[str, ...]:
        """Return names of the closed modules, in the order of the model."""
        return tuple(name for name in self.names if not self.is_open(name))

    def close(self, names: Iterable[str]) -> None:
        """Close modules: no work in the forward pass, no gradient; the weights stay for a later ``open``."""
        for name, layer in self._chosen(names):
            if layer.disable_adapters:
                continue
            parameters = adapter_parameters(layer)
            self._trainable[name] = {key: parameter.requires_grad for key, parameter in parameters.items()}
            layer.enable_adapters(False)
            for parameter in parameters.values():
                parameter.grad = None

    def open(self, names: Iterable[str]) -> None:
        """Open modules again; their parameters are trainable exactly where they were before ``close``."""
        for name, layer in self._chosen(names):
            if not layer.disable_adapters:
                continue
            layer.enable_adapters(True)
            for key, flag in self._trainable.pop(name, {}).items():
                adapter_parameters(layer)[key].requires_grad_(flag)

    def set_open(self, names: Iterable[str]) -> None:
        """Open ``names`` and close all others."""
        chosen = set(names)
        self.open(chosen)
        self.close(set(self.names) - chosen)

    def delete_closed(self) -> tuple[str, ...]:
        """Take the closed modules out of the model for good, and return their names.

        Each is replaced by its base layer, and ``target_modules`` of the PEFT configuration becomes the list of
        the full names that are left, so that ``save_pretrained`` writes a plain LoRA checkpoint.

        Raises:
            InputError: something that was trained would be lost, see `check_deletable`.
        """
        closed = self.closed_names
        base = base_model(self.model)
        if closed:
            check_deletable(self.model, {name: self.layers[name] for name in closed})
        for name in closed:
            base.set_submodule(name, self.layers.pop(name).base_layer)
            self._trainable.pop(name, None)
        if closed:
            retarget(base, getattr(unwrapped(self.model), "peft_config", {}))
        return closed

    def _add_hooks(self) -> list[RemovableHandle]:
        handles = []
        for index, layer in enumerate(self.layers.values()):
            if any(adapter in layer.lora_variant for adapter in layer.active_adapters):
                handles.append(layer.base_layer.register_forward_hook(partial(self._keep_base_output, index)))
                handles.append(layer.register_forward_hook(partial(self._scale_contribution, index)))
            else:
                handles += [b.register_forward_hook(partial(self._scale, index)) for b in active_b(layer)]
        return handles

    def _scale(self, index: int, module: nn.Module, inputs: object, output: Tensor) -> Tensor:
        assert self._values is not None, "hooks live only inside apply"
        gate = self._values[index].to(output.device)
        gate = _per_row(gate, output) if gate.ndim == 1 else gate.reshape(1)
        # gates of one dimension or more promote: under bfloat16 autocast their gradient is summed in float32
        return (output * gate).to(output.dtype)

    def _keep_base_output(self, index: int, module: nn.Module, inputs: object, output: Tensor) -> None:
        self._base_outputs[index] = output

    def _scale_contribution(self, index: int, module: nn.Module, inputs: object, output: Tensor) -> Tensor:
        base = self._base_outputs.pop(index)
        return base + self._scale(index, module, inputs, output - base)

    def _layer(self, name: str) -> LoraLayer:
        if name not in self.layers:
            raise unknown_name("LoRA module", name, self.layers)
        return self.layers[name]

    def _chosen(self, names: Iterable[str]) -> list[tuple[str, LoraLayer]]:
        if self._values is not None:
            raise InputError("Modules cannot be opened or closed inside Gates.apply. Do it before or after.")
        return [(name, self._layer(name)) for name in names]


def check_base_weights(model: nn.Module) -> None:
    """Refuse adapters whose initialisation took their product out of the base weights (PiSSA, OLoRA, LoftQ, ...).

    Without its adapter, such a layer is not the layer of the base model: it cannot be closed, shrunk or deleted.

    Raises:
        InputError: such an initialisation, by the name that PEFT gives it.
    """
    for adapter, config in _configs(model).items():
        initialisation = getattr(config, "init_lora_weights", True)
        if initialisation not in _INITIALISATIONS:
            raise InputError(
                f"Expected adapters that begin at the base model, found init_lora_weights={initialisation!r} in "
                f"{adapter!r}: it changes the base weights, so that a layer without its adapter is not that of the "
                "base model. Use the default, 'gaussian', 'orthogonal' or 'eva'."
            )


def check_deletable(model: nn.Module, layers: Mapping[str, LoraLayer]) -> None:
    """Refuse LoRA layers that could not be taken out of the model without losing something that was trained.

    Raises:
        InputError: an adapter that is not active beside the active one, biases that train with their layers
            (``bias="lora_only"``) and would be saved with them alone, or changed base weights.
    """
    for name, layer in layers.items():
        spare = set(adapter_names(layer)) - set(layer.active_adapters)
        if spare:
            raise InputError(
                f"Layer {name!r} also holds the adapter {sorted(spare)[0]!r}, which is not active and would be lost "
                "with the layer. Delete it with model.delete_adapter(...), or keep the closed modules "
                "(delete_closed=False)."
            )
    for adapter, config in _configs(model).items():
        if layers and getattr(config, "bias", "none") == "lora_only":
            raise InputError(
                f"Adapter {adapter!r} has bias='lora_only': the biases of layers whose modules are deleted would have "
                "been trained, and be saved nowhere. Use bias='none' or bias='all', or keep the closed modules "
                "(delete_closed=False)."
            )
    check_base_weights(model)


def _per_row(gate: Tensor, output: Tensor) -> Tensor:
    """Return the gate [B] as [R, 1, ...] for an output [R, ...] with R = k * B rows, rows of one sample adjacent."""
    rows, samples = output.shape[0], gate.shape[0]
    if rows % samples:
        raise InputError(
            f"Expected layers with a multiple of {samples} rows (one gate per sample), found {rows}. "
            "For models that do not keep samples in the leading dimension use gates shared by the batch, [M]."
        )
    return gate.repeat_interleave(rows // samples).view(rows, *[1] * (output.ndim - 1))


def _configs(model: nn.Module) -> dict[str, LoraConfig]:
    """Return PEFT's configuration of each adapter; models with injected adapters have it too."""
    found: dict[str, LoraConfig] = getattr(unwrapped(model), "peft_config", {})
    return found
