"""AdaLoRA from the zero-shot model, with PEFT's start and with ours, beside LoRA.

Every row trains the adapters of ``tracetune/tiny`` alone, from its zero-shot forecast of ETTh1 (H = 96, context 256):
the same 16 windows a step, AdamW at a peak rate of 2e-3 (20 steps up, then a cosine down), gradients clipped to norm 1.

    python -m benchmarks.adalora_start --steps 120
"""

import argparse
import copy
import math
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor, nn

from tracetune.adapters.adalora import add_adalora, orthogonality
from tracetune.adapters.lora import add_lora
from tracetune.adapters.options import AdaLoraOptions, LoraOptions
from tracetune.backbones.loading import load_backbone
from tracetune.data.datasets import load_dataset
from tracetune.tasks.forecasting.model import ForecastModel

CONTEXT, HORIZON, BATCH, RATE, WARMUP = 256, 96, 16, 2e-3, 20
TRAIN, VALIDATION = (0, 8000), (8000, 11_000)
Batch = dict[str, Tensor]


@dataclass(frozen=True)
class Variant:
    """One row: LoRA where ``adalora`` is None; ``peft_start`` draws A and B as PEFT does."""

    name: str
    adalora: AdaLoraOptions | None = None
    peft_start: bool = False
    clip: float = 1.0
    ranks_fall: bool = False


VARIANTS = (
    Variant("LoRA", None),
    Variant("PEFT's start, orth 0.5, alpha 4", AdaLoraOptions(orth_reg_weight=0.5, lora_alpha=4), True),
    Variant("the same, no clipping", AdaLoraOptions(orth_reg_weight=0.5, lora_alpha=4), True, clip=math.inf),
    Variant("PEFT's start, orth 0, alpha 4", AdaLoraOptions(orth_reg_weight=0.0, lora_alpha=4), True),
    Variant("orthonormal, orth 0.01, alpha 4", AdaLoraOptions(lora_alpha=4)),
    Variant("orthonormal, orth 0.01, alpha 16", AdaLoraOptions(lora_alpha=16)),
    Variant("orthonormal, orth 0.01, alpha 48", AdaLoraOptions(lora_alpha=48)),
    Variant("PEFT's, ranks fall", AdaLoraOptions(orth_reg_weight=0.5, lora_alpha=4), True, ranks_fall=True),
    Variant("ours (alpha 49), ranks fall", AdaLoraOptions(), ranks_fall=True),
)


def windows(values: np.ndarray, part: tuple[int, int], count: int, seed: int) -> Batch:
    """Return windows of single channels at random origins, from ``values`` [T, C]."""
    source = np.random.default_rng(seed)
    origins = source.integers(part[0], part[1] - CONTEXT - HORIZON, count)
    channels = source.integers(0, values.shape[1], count)
    rows = np.stack([values[o : o + CONTEXT + HORIZON, c] for o, c in zip(origins, channels, strict=True)])
    both = torch.tensor(rows)[:, None]
    return {"past_values": both[..., :CONTEXT], "future_values": both[..., CONTEXT:]}


def train(start: ForecastModel, variant: Variant, values: np.ndarray, steps: int) -> tuple[float, float, float]:
    """Return the mean training loss of the last quarter of the steps, validation loss, mean gradient norm."""
    torch.manual_seed(0)
    model = adapted(copy.deepcopy(start), variant, steps).train()
    weights = [weight for weight in model.parameters() if weight.requires_grad]
    optimizer = torch.optim.AdamW(weights, weight_decay=0)
    losses, norms = [], []
    for step, rate in enumerate(rates(steps)):
        for group in optimizer.param_groups:
            group["lr"] = rate
        loss = model(**windows(values, TRAIN, BATCH, 1000 + step)).loss
        losses.append(float(loss.detach()))
        if variant.adalora is not None:
            loss = loss + variant.adalora.orth_reg_weight * orthogonality(model)
        optimizer.zero_grad()
        loss.backward()
        norms.append(float(nn.utils.clip_grad_norm_(weights, variant.clip)))
        optimizer.step()
        if variant.ranks_fall:
            model.base_model.update_and_allocate(step + 1)
    return float(np.mean(losses[-max(1, steps // 4) :])), validation_loss(model, values), float(np.mean(norms))


def adapted(model: ForecastModel, variant: Variant, steps: int) -> nn.Module:
    """Return the model with the adapters of a variant."""
    if variant.adalora is None:
        return add_lora(model, LoraOptions())
    found = add_adalora(model, LoraOptions(), variant.adalora, steps)
    if variant.peft_start:
        for name, weight in found.named_parameters():
            if ".lora_A." in name or ".lora_B." in name:
                nn.init.normal_(weight, std=0.02)
    return found


def rates(steps: int) -> Iterator[float]:
    """Yield the learning rate of each step."""
    for step in range(steps):
        yield RATE * min(1, (step + 1) / WARMUP) * (1 + math.cos(math.pi * step / steps)) / 2


@torch.no_grad()
def validation_loss(model: nn.Module, values: np.ndarray) -> float:
    """Return the loss on 192 windows of the validation part."""
    return float(model.eval()(**windows(values, VALIDATION, 192, 7)).loss)


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--steps", type=int, default=120)
    steps = parser.parse_args().steps
    values = np.asarray(load_dataset("ETTh1").panel.series[0].values.T, np.float32)  # [T, C]
    values = (values - values[: TRAIN[1]].mean(0)) / values[: TRAIN[1]].std(0)
    start = ForecastModel.from_backbone(load_backbone("tracetune/tiny"), HORIZON, None, CONTEXT)
    print(f"zero-shot: validation {validation_loss(start, values):.4f}")
    print("| | training | validation | gradient norm |\n|---|---|---|---|")
    for variant in VARIANTS:
        training, validation, norm = train(start, variant, values, steps)
        print(f"| {variant.name} | {training:.4f} | {validation:.4f} | {norm:.2f} |", flush=True)


if __name__ == "__main__":
    main()
