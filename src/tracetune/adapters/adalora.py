"""AdaLoRA through PEFT (Zhang et al. 2023): ranks instead of modules are pruned; here to be compared with."""

import json
import warnings
from dataclasses import dataclass
from pathlib import Path

import torch
from peft import AdaLoraConfig, PeftModel, get_peft_model
from safetensors import safe_open
from safetensors.torch import save_file
from torch import Tensor, nn

from tracetune.adapters.lora import LoraOptions, lora_config, target_layers
from tracetune.base.errors import InputError
from tracetune.base.files import staged_file


@dataclass(frozen=True)
class AdaLoraOptions:
    """PEFT's AdaLoRA options under PEFT's names; scale, dropout and layers come from :class:`LoraOptions`.

    PEFT's adapter output is scaled by ``lora_alpha / init_r``, whatever ranks are left.

    Attributes:
        init_r: rank of every module at the start.
        target_r: mean rank at the end.
        tinit: steps before ranks fall: a share of the run (float) or a number (int).
        tfinal: steps after the last change of a rank: likewise.
        deltaT: steps between two changes.
        beta1: weight of the past in the smoothed sensitivity.
        beta2: weight of the past in its uncertainty.
        orth_reg_weight: weight of the regulariser that keeps A and B orthogonal.
    """

    init_r: int = 3
    target_r: int = 2
    tinit: float | int = 0.1
    tfinal: float | int = 0.4
    deltaT: int = 1
    beta1: float = 0.85
    beta2: float = 0.85
    orth_reg_weight: float = 0.5

    def __post_init__(self) -> None:
        # With nothing to take away PEFT looks for the 0th smallest score and fails in the middle of the run.
        if not 1 <= self.target_r < self.init_r:
            raise InputError(
                f"Expected 1 <= target_r < init_r: AdaLoRA takes ranks away. Found target_r={self.target_r} and "
                f"init_r={self.init_r}. Raise init_r, e.g. to {max(2, round(1.5 * self.target_r))}."
            )
        for name in ("beta1", "beta2"):
            if not 0 < getattr(self, name) < 1:
                raise InputError(f"Expected {name} between 0 and 1, found {getattr(self, name)}.")
        if self.deltaT < 1 or self.orth_reg_weight < 0 or self.tinit < 0 or self.tfinal < 0:
            raise InputError(f"Expected deltaT of at least 1 and nothing negative, found {self}.")

    def schedule(self, total_steps: int) -> tuple[int, int]:
        """``tinit`` and ``tfinal`` in steps.

        Raises:
            InputError: ranks could not fall: they are scored in the steps before ``total_steps - tfinal``.
        """
        tinit, tfinal = (
            round(value * total_steps) if isinstance(value, float) else value for value in (self.tinit, self.tfinal)
        )
        if total_steps - tfinal < max(2, tinit + 1):
            raise InputError(
                f"Expected at least {max(2, tinit + 1)} of the training steps before the last tfinal={tfinal}, "
                f"in which AdaLoRA chooses ranks; found {total_steps - tfinal} of {total_steps}. "
                "Train longer, or lower tinit and tfinal."
            )
        return tinit, tfinal


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
