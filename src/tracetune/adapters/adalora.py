"""AdaLoRA through PEFT (Zhang et al. 2023), which prunes ranks instead of modules; for comparison with TRACE."""

import json
import math
import warnings
from collections.abc import Iterable, Mapping
from pathlib import Path

import torch
from peft import AdaLoraConfig, PeftModel, get_peft_model
from peft.tuners.adalora import AdaLoraLayer
from safetensors import safe_open
from safetensors.torch import save_file
from torch import Tensor, nn

from tracetune.adapters.linear_layers import LinearLayer, layer_widths
from tracetune.adapters.lora import LoraOptions, chosen_layers, lora_config, running_layers
from tracetune.adapters.options import AdaLoraOptions
from tracetune.base.errors import InputError
from tracetune.base.files import staged_file


def add_adalora(model: nn.Module, lora: LoraOptions, options: AdaLoraOptions, total_steps: int) -> PeftModel:
    """Freeze ``model`` and put AdaLoRA on the linear layers of ``model.backbone``; its head stays trainable.

    Raises:
        InputError: a pattern in ``lora.target_modules`` fits no layer, or too few steps.
    """
    tinit, tfinal = options.schedule(total_steps)
    layers = chosen_layers(running_layers(model), lora.target_modules)
    plain = lora_config(model, list(layers), lora)
    config = AdaLoraConfig(
        init_r=options.init_r,
        target_r=options.target_r,
        tinit=tinit,
        tfinal=tfinal,
        deltaT=options.deltaT,
        beta1=options.beta1,
        beta2=options.beta2,
        orth_reg_weight=options.orth_reg_weight,
        total_step=total_steps,
        lora_alpha=_scale(layers, lora, options),
        lora_dropout=plain.lora_dropout,
        target_modules=sorted(plain.target_modules),
        fan_in_fan_out=plain.fan_in_fan_out,
        modules_to_save=plain.modules_to_save,
    )
    adapted = get_peft_model(model, config)
    _freeze_scales(adapted)
    _orthogonal_directions(adapted)
    return adapted


def _scale(layers: Mapping[str, LinearLayer], lora: LoraOptions, options: AdaLoraOptions) -> float:
    """Return PEFT's ``lora_alpha`` for AdaLoRA: the one asked for, or the one at which it learns as fast as LoRA.

    Adam moves each singular value by the learning rate, and with unit directions the layer by as much. In LoRA it moves
    each of the ``out_features`` entries of a column of B, whose rows of A have norm 1 / sqrt(3) at the start: the layer
    moves by sqrt(out_features / 3) times the learning rate.
    """
    if options.lora_alpha is not None:
        return options.lora_alpha
    out_features = sum(layer_widths(layer)[1] for layer in layers.values()) / len(layers)
    return options.init_r * lora.lora_alpha / lora.r * math.sqrt(out_features / 3)


def _freeze_scales(model: PeftModel) -> None:
    """Keep the divisor of every layer, its rank at the start, fixed.

    PEFT makes it without a gradient, but moving it to a layer on a GPU makes a new parameter of it, which would train
    and is not saved.
    """
    for name, parameter in model.named_parameters():
        if ".ranknum." in name:
            parameter.requires_grad_(False)


@torch.no_grad()
def _orthogonal_directions(model: PeftModel) -> None:
    """Begin with orthonormal directions, where the regulariser has its minimum.

    PEFT draws them with norms far below 1, so that singular values act on almost nothing, and the regulariser, whose
    gradient has the same size however close to its minimum, drives A and B instead of the training loss.
    """
    for name, weight in model.named_parameters():
        if ".lora_A." in name or ".lora_B." in name:
            nn.init.orthogonal_(weight)


def orthogonality(model: PeftModel) -> Tensor:
    """Return PEFT's regulariser []: mean over all A and B of ``|A A^T - I|`` and ``|B^T B - I|`` (Frobenius norms)."""
    norms = []
    for name, weight in model.named_parameters():
        if ".lora_A." in name or ".lora_B." in name:
            gram = weight @ weight.T if ".lora_A." in name else weight.T @ weight
            norms.append(torch.linalg.matrix_norm(gram - torch.eye(len(gram), device=gram.device)))
    return torch.stack(norms).mean()


def drop_masked_ranks(model: PeftModel, rank_pattern: dict[str, list[bool]]) -> None:
    """Remove the masked ranks from the weights: outputs stay the same, and saving writes the other ranks alone.

    A layer without a rank left becomes its base layer, unless all are without: plain PEFT would warn of it on loading.
    """
    adapter = model.active_adapter
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", message="Initializing zero-element tensors")  # modules without a rank left
        model.base_model.resize_modules_by_rank_pattern(rank_pattern, adapter)
    config = model.peft_config[adapter]
    left = {name: mask for name, mask in rank_pattern.items() if any(mask)}
    if left and len(left) < len(rank_pattern):
        _restore_base_layers(model.base_model.model, rank_pattern.keys() - left.keys(), config)
        rank_pattern = left
    config.rank_pattern = {_pattern_key(name): mask for name, mask in rank_pattern.items()}


def _pattern_key(singular_values: str) -> str:
    """Return the key of a layer in a saved ``rank_pattern``.

    PEFT reads a key in two ways: its AdaLoRA takes what is before the last point for the layer, its check of unused
    patterns takes the whole for a regular expression of the layer's name. This one is both: any character, no times.
    """
    return f"{_layer_of(singular_values)}.{{0}}"


def _layer_of(singular_values: str) -> str:
    return singular_values.partition(".lora_E")[0]


def _restore_base_layers(base: nn.Module, singular_values: Iterable[str], config: AdaLoraConfig) -> None:
    """Put the base layers of these singular values, named as in ``rank_pattern``, back into the model."""
    for name in singular_values:
        place = _layer_of(name)
        layer = base.get_submodule(place)
        assert isinstance(layer, AdaLoraLayer), "rank_pattern names singular values"
        base.set_submodule(place, layer.get_base_layer())
    config.target_modules = [name for name, module in base.named_modules() if isinstance(module, AdaLoraLayer)]


def save_allocator(path: Path, model: PeftModel, rank_pattern: dict[str, list[bool]] | None) -> None:
    """Write PEFT's smoothed sensitivities and the present ranks, which its own checkpoints leave out."""
    allocator = model.base_model.rankallocator
    tensors = {f"{key}/{name}": tensor for key in _AVERAGES for name, tensor in getattr(allocator, key).items()}
    with staged_file(path) as temporary:
        save_file(tensors, temporary, metadata={"rank_pattern": json.dumps(rank_pattern)})


def load_allocator(path: Path, model: PeftModel) -> dict[str, list[bool]] | None:
    """Take up what `save_allocator` wrote; returns the ranks.

    Raises:
        InputError: the file is missing.
    """
    if not path.is_file():
        raise InputError(
            f"Expected AdaLoRA's state in {path}; it is missing. It belongs to the checkpoints beside its folder: "
            "restore it with them, or start anew in another folder."
        )
    allocator = model.base_model.rankallocator
    devices = {name: weight.device for name, weight in model.base_model.model.named_parameters()}
    with safe_open(path, framework="pt") as file:
        for entry in file.keys():  # noqa: SIM118 - not a mapping
            key, _, name = entry.partition("/")
            getattr(allocator, key)[name] = file.get_tensor(entry).to(devices[name])
        pattern: dict[str, list[bool]] | None = json.loads(file.metadata()["rank_pattern"])
    allocator.ipt = {name: torch.zeros_like(tensor) for name, tensor in allocator.exp_avg_ipt.items()}
    return pattern


_AVERAGES = ("exp_avg_ipt", "exp_avg_unc")
