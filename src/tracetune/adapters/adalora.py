"""AdaLoRA through PEFT (Zhang et al. 2023): ranks instead of modules are pruned; here to be compared with."""

import json
import warnings
from pathlib import Path

import torch
from peft import AdaLoraConfig, PeftModel, get_peft_model
from safetensors import safe_open
from safetensors.torch import save_file
from torch import Tensor, nn

from tracetune.adapters.lora import LoraOptions, lora_config, target_layers
from tracetune.adapters.options import AdaLoraOptions
from tracetune.base.errors import InputError
from tracetune.base.files import staged_file


def add_adalora(model: nn.Module, lora: LoraOptions, options: AdaLoraOptions, total_steps: int) -> PeftModel:
    """Freeze ``model`` and put AdaLoRA on the linear layers of ``model.backbone``; its head stays trainable.

    Raises:
        InputError: a pattern in ``lora.target_modules`` fits no layer, or too few steps.
    """
    tinit, tfinal = options.schedule(total_steps)
    plain = lora_config(model, target_layers(model, lora.target_modules), lora)
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
        lora_alpha=plain.lora_alpha,
        lora_dropout=plain.lora_dropout,
        target_modules=sorted(plain.target_modules),
        modules_to_save=plain.modules_to_save,
    )
    return get_peft_model(model, config)


def orthogonality(model: PeftModel) -> Tensor:
    """PEFT's regulariser []: mean over all A and B of ``|A A^T - I|`` and ``|B^T B - I|`` (Frobenius norms)."""
    norms = []
    for name, weight in model.named_parameters():
        if ".lora_A." in name or ".lora_B." in name:
            gram = weight @ weight.T if ".lora_A." in name else weight.T @ weight
            norms.append(torch.linalg.matrix_norm(gram - torch.eye(len(gram), device=gram.device)))
    return torch.stack(norms).mean()


def drop_masked_ranks(model: PeftModel, rank_pattern: dict[str, list[bool]]) -> None:
    """Take the ranks that AdaLoRA masked out of the weights: same outputs, and what is saved is what is here."""
    adapter = model.active_adapter
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", message="Initializing zero-element tensors")  # modules without a rank left
        model.base_model.resize_modules_by_rank_pattern(rank_pattern, adapter)
    model.peft_config[adapter].rank_pattern = rank_pattern


def save_allocator(path: Path, model: PeftModel, rank_pattern: dict[str, list[bool]] | None) -> None:
    """Write PEFT's smoothed sensitivities and the present ranks, which its own checkpoints leave out."""
    allocator = model.base_model.rankallocator
    tensors = {f"{key}/{name}": tensor for key in _AVERAGES for name, tensor in getattr(allocator, key).items()}
    with staged_file(path) as temporary:
        save_file(tensors, temporary, metadata={"rank_pattern": json.dumps(rank_pattern)})


def load_allocator(path: Path, model: PeftModel) -> dict[str, list[bool]] | None:
    """Take up what :func:`save_allocator` wrote; returns the ranks.

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
