"""LoRA through PEFT: which layers, with which options, and how many trainable parameters."""

from collections.abc import Iterable, Mapping
from fnmatch import fnmatchcase
from itertools import accumulate
from typing import Protocol, runtime_checkable

from peft import LoraConfig, PeftModel, get_peft_model
from torch import nn
from transformers.pytorch_utils import Conv1D

from tracetune.adapters.linear_layers import LinearLayer, layer_widths
from tracetune.adapters.options import LoraOptions
from tracetune.base.errors import InputError, argument

_HEAD = "head"
# PEFT's name for "adapt no layer": a folder that holds only a trained head.
_NO_TARGETS = "dummy-target-modules"


@runtime_checkable
class _Adaptable(Protocol):
    def adapted_layers(self) -> list[str]: ...


@runtime_checkable
class _Decoding(Protocol):
    def decoder_layers(self) -> list[str]: ...


def add_lora(model: nn.Module, options: LoraOptions) -> PeftModel:
    """Freeze ``model`` and put LoRA on the linear layers of ``model.backbone``; its head stays trainable.

    >>> from tracetune.tasks.forecasting.model import ForecastModel
    >>> model = ForecastModel.from_pretrained("tracetune/tiny", prediction_length=24)
    >>> adapted = add_lora(model, LoraOptions(r=2, target_modules=("*.q",)))
    >>> len(adapted.peft_config["default"].target_modules)
    6

    Raises:
        InputError: a pattern in ``options.target_modules`` fits no layer.
    """
    return get_peft_model(model, lora_config(model, target_layers(model, options.target_modules), options))


def add_head_only(model: nn.Module) -> PeftModel:
    """Freeze all of ``model`` but its head, in the form of a PEFT model without any LoRA layer."""
    return get_peft_model(model, lora_config(model, _NO_TARGETS, LoraOptions()))


def lora_config(model: nn.Module, targets: list[str] | str, options: LoraOptions) -> LoraConfig:
    """Return the PEFT configuration for full layer names ``targets``.

    Raises:
        InputError: PEFT would take a layer of the backbone for the head.
    """
    has_head = getattr(model, "head", None) is not None
    if has_head and targets != _NO_TARGETS:
        refuse_likeness_to_head(linear_layers(model.get_submodule("backbone")))
    return LoraConfig(
        r=options.r,
        lora_alpha=options.lora_alpha,
        lora_dropout=options.lora_dropout,
        use_dora=options.use_dora,
        target_modules=targets,
        fan_in_fan_out=targets != _NO_TARGETS and any(isinstance(model.get_submodule(n), Conv1D) for n in targets),
        modules_to_save=[_HEAD] if has_head else None,
    )


def refuse_likeness_to_head(layers: Iterable[str]) -> None:
    """Refuse a backbone with a layer in a part whose name ends as the head's, by which PEFT finds what trains in full.

    Args:
        layers: that may be adapted, by their names in the model.

    Raises:
        InputError: there is one.
    """
    for name in layers:
        part = next((part for part in accumulate(name.split("."), "{}.{}".format) if part.endswith(_HEAD)), None)
        if part is not None:
            raise InputError(
                f"Expected no part of a backbone whose name ends in {_HEAD!r}, found {part!r}: PEFT would train it in "
                f"full, as the task's own head. Use {argument('method', 'linear_probe')}, or 'full', or "
                "rename the part where the module is your own."
            )


def target_layers(model: nn.Module, patterns: tuple[str, ...] | None = None) -> list[str]:
    """Return full names of the layers of ``model.backbone`` to adapt, all or those that fit a glob pattern.

    Raises:
        InputError: a pattern fits no layer.
    """
    return list(chosen_layers(running_layers(model), patterns))


def running_layers(model: nn.Module) -> dict[str, LinearLayer]:
    """Return the layers of ``model.backbone`` to adapt that run in the model: under a head, a decoder does not."""
    backbone = model.get_submodule("backbone")
    layers = linear_layers(backbone)
    if getattr(model, "head", None) is None or not isinstance(backbone, _Decoding):
        return layers
    idle = {f"backbone.{name}" for name in backbone.decoder_layers()}
    return {name: layer for name, layer in layers.items() if name not in idle}


def linear_layers(backbone: nn.Module) -> dict[str, LinearLayer]:
    """Return the layers that a backbone offers to adapt, by their names in a model that has it as ``backbone``."""
    assert isinstance(backbone, _Adaptable), "backbones name their layers, see Backbone.adapted_layers"
    return {f"backbone.{name}": _linear(backbone, name) for name in backbone.adapted_layers()}


def chosen_layers(layers: Mapping[str, LinearLayer], patterns: tuple[str, ...] | None) -> dict[str, LinearLayer]:
    """Return the layers that fit one of the glob patterns; all of them without patterns.

    Raises:
        InputError: a pattern fits no layer, or there are none.
    """
    if not layers:
        raise InputError(
            "Expected a backbone with linear layers to adapt, found none: convolutions, such as those of SqueezeBERT, "
            f"take no adapters. Use {argument('method', 'linear_probe')}, or 'full'."
        )
    if patterns is None:
        return dict(layers)
    for pattern in patterns:
        if not any(fnmatchcase(layer, pattern) for layer in layers):
            raise InputError(
                f"{argument('target_modules')} pattern {pattern!r} fits none of the {len(layers)} linear layers. "
                f"Layers look like {next(iter(layers))!r}; patterns like '*.SelfAttention.q' work."
            )
    return {name: layer for name, layer in layers.items() if any(fnmatchcase(name, pattern) for pattern in patterns)}


def lora_parameters(layers: Mapping[str, LinearLayer], options: LoraOptions) -> dict[str, int]:
    """Return the number of parameters of the LoRA module of each chosen layer: r (in + out), with DoRA out more.

    Raises:
        InputError: a pattern in ``options.target_modules`` fits no layer.
    """
    widths = {name: layer_widths(layer) for name, layer in chosen_layers(layers, options.target_modules).items()}
    return {
        name: options.r * (inputs + outputs) + options.use_dora * outputs for name, (inputs, outputs) in widths.items()
    }


def _linear(backbone: nn.Module, name: str) -> LinearLayer:
    layer = backbone.get_submodule(name)
    if not isinstance(layer, LinearLayer):
        raise InputError(
            f"Expected linear layers from {type(backbone).__name__}.adapted_layers(), found {type(layer).__name__} "
            f"under {name!r}."
        )
    return layer
