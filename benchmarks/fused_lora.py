"""CPU time of LoRA layers and whole training steps: PEFT beside the same mathematics written in other ways.

Every candidate computes ``x W^T + s x A^T B^T`` with frozen W. "whole layer" is what adapters/fused_lora.py does.
Candidates take turns in every round, forwards and backwards; what is compared is the ratio to PEFT in the same
round, in CPU time of one thread, which other work on the machine disturbs least.

    python -m benchmarks.fused_lora
"""

import argparse
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import nullcontext
from functools import partial
from typing import Any

import numpy as np
import torch
from peft import LoraConfig
from peft.tuners.lora.layer import Linear
from torch import Tensor, nn
from torch.autograd.function import once_differentiable
from torch.nn import functional

from benchmarks.common import Results, Row, grouped
from benchmarks.peers import random_moment
from tracetune.adapters.fused_lora import fuse_lora
from tracetune.adapters.lora import LoraOptions, add_lora
from tracetune.backbones.loading import load_backbone
from tracetune.backbones.moment import Moment
from tracetune.base.seeds import seed_everything
from tracetune.heads.config import HeadConfig
from tracetune.report.tables import markdown_table
from tracetune.tasks.forecasting.model import ForecastModel

SHAPES = (
    (128, 128), (128, 384), (384, 128), (512, 512), (512, 2048), (2048, 512), (768, 768), (768, 3072), (1024, 1024),
    (1024, 4096),
)  # fmt: skip
TYPES = {"float32": False, "bfloat16 autocast": True}
PASSES = ("training", "training, frozen input", "forward")
PEFT, FUSED = "PEFT", "whole layer"
HORIZON, CONTEXT = 96, 512
GEOMETRIES = ("small", "base")  # of MOMENT
_CALL_SECONDS = 0.01  # calls too short for the clock are repeated to about this time


class _MergedForward(torch.autograd.Function):
    """W + s B A in forward pass and input gradient; gradients of A and B through their narrow products."""

    @staticmethod
    def forward(ctx: Any, x: Tensor, weight: Tensor, a: Tensor, b: Tensor, scaling: float) -> Tensor:
        ctx.save_for_backward(x, weight, a, b)
        ctx.scaling = scaling
        return functional.linear(x, torch.addmm(weight, b, a, alpha=scaling))

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, dy: Tensor) -> tuple[Tensor | None, ...]:
        x, weight, a, b = ctx.saved_tensors
        low, of_low = functional.linear(x, a), functional.linear(dy, (b.T * ctx.scaling).contiguous())
        of_x = dy @ torch.addmm(weight, b, a, alpha=ctx.scaling) if ctx.needs_input_grad[0] else None
        return of_x, None, of_low.T @ x, (low.T @ dy).T * ctx.scaling, None


def candidates(layer: Linear, autocast: bool) -> dict[str, Callable[[Tensor], Tensor]]:
    """Return PEFT's layer, and the same function of x [rows, in] written in other ways, by name."""
    weight, scaling = layer.base_layer.weight, layer.scaling["default"]
    a, b = layer.lora_A["default"].weight, layer.lora_B["default"].weight

    def low(x: Tensor) -> tuple[Tensor, Tensor]:
        wide, narrow = functional.linear(x, weight), functional.linear(x, a)
        return wide, narrow.to(wide.dtype)

    def add_product(x: Tensor) -> Tensor:
        wide, narrow = low(x)
        return torch.addmm(wide, narrow, b.T.to(wide.dtype), alpha=scaling)

    def add_in_place(x: Tensor) -> Tensor:
        wide, narrow = low(x)
        return wide.addmm_(narrow, b.T.to(wide.dtype), alpha=scaling)

    def merged(x: Tensor) -> Tensor:
        return functional.linear(x, torch.addmm(weight, b, a, alpha=scaling))

    with fuse_lora(layer):
        fused = layer.forward
    found = {PEFT: layer, "addmm": add_product, "addmm in place": add_in_place, FUSED: fused}
    if not autocast:  # a merged weight, rounded to bfloat16, loses small updates
        found["merged"] = merged
        found["merged, narrow gradients"] = lambda x: _MergedForward.apply(x, weight, a, b, scaling)
    return found


def adapted_layer(width_in: int, width_out: int, rank: int) -> Linear:
    """Return PEFT's layer over random frozen weights, B away from zero."""
    seed_everything(0)
    base = nn.Linear(width_in, width_out, bias=False).requires_grad_(False)
    layer = Linear(base, "default", LoraConfig(r=rank, lora_alpha=2 * rank), r=rank, lora_alpha=2 * rank)
    nn.init.normal_(layer.lora_B["default"].weight, std=0.02)
    return layer


def layer_rows(shape: tuple[int, int], rank: int, rows: int, rounds: int) -> Iterator[Row]:
    """Yield one row for each number type and pass over one layer."""
    layer = adapted_layer(*shape, rank)
    for type_name, autocast in TYPES.items():
        for pass_name in PASSES:
            x = torch.randn(rows, shape[0], requires_grad=pass_name == "training")
            calls = {
                name: partial(_pass, function, x, torch.ones(rows, shape[1]), pass_name != "forward", autocast)
                for name, function in candidates(layer, autocast).items()
                if pass_name == "training" or name in (PEFT, FUSED)
            }
            yield {
                "case": f"{shape[0]} -> {shape[1]}", "rank": rank, "numbers": type_name, "pass": pass_name,
                **summary(interleaved(calls, rounds), PEFT),
            }  # fmt: skip


def _pass(function: Callable[[Tensor], Tensor], x: Tensor, weights: Tensor, backward: bool, autocast: bool) -> None:
    with torch.set_grad_enabled(backward), torch.autocast("cpu", torch.bfloat16, enabled=autocast):
        output = function(x)
    if backward:
        output.backward(weights.to(output.dtype))


def step_rows(name: str, backbone: Any, batch: int, rounds: int) -> Iterator[Row]:
    """Yield one row for each number type: whole training steps with LoRA on all layers, and of full fine-tuning."""
    seed_everything(0)
    head = HeadConfig("projection", beta=8)
    full = ForecastModel.from_backbone(backbone, HORIZON, head, CONTEXT)
    adapted = add_lora(ForecastModel.from_backbone(_twin(backbone), HORIZON, head, CONTEXT), LoraOptions())
    full.requires_grad_(True)
    values, future = torch.randn(batch, 1, CONTEXT).cumsum(-1), torch.randn(batch, 1, HORIZON)
    with fuse_lora(adapted) as names:
        covered = len(names)
    for type_name, autocast in TYPES.items():
        calls = {
            PEFT: training_step(adapted, values, future, autocast, fused=False),
            FUSED: training_step(adapted, values, future, autocast, fused=True),
            "full fine-tuning": training_step(full, values, future, autocast, fused=False),
        }
        yield {
            "case": name, "rank": LoraOptions().r, "numbers": type_name, "pass": "step", "batch": batch,
            "layers": covered, **summary(interleaved(calls, rounds), PEFT),
        }  # fmt: skip


def training_step(model: nn.Module, values: Tensor, future: Tensor, autocast: bool, fused: bool) -> Callable[[], None]:
    """Return a function that runs forward pass, backward pass and AdamW on one batch."""
    optimizer = torch.optim.AdamW([parameter for parameter in model.parameters() if parameter.requires_grad], lr=1e-6)

    def step() -> None:
        with fuse_lora(model) if fused else nullcontext():
            with torch.autocast("cpu", torch.bfloat16, enabled=autocast):
                loss = model(values, future_values=future).loss
            loss.backward()
        optimizer.step()
        optimizer.zero_grad()

    return step


def _twin(backbone: Moment) -> Moment:
    """Return another backbone of the same geometry and weights."""
    twin = Moment(backbone.config)
    twin.load_state_dict(backbone.state_dict())
    return twin


def without_dropout(geometry: str) -> Moment:
    """Return a MOMENT backbone of a published geometry with random weights, without dropout."""
    return random_moment(geometry, dropout=0.0, seq_len=CONTEXT, patch_len=8, patch_dropout=0.0)


def interleaved(calls: dict[str, Callable[[], None]], rounds: int) -> dict[str, list[float]]:
    """Return seconds of CPU time of each call in each round; every other round runs in the opposite order."""
    repeats = {name: max(1, round(_CALL_SECONDS / max(_seconds(call, 2), 1e-9))) for name, call in calls.items()}
    seconds: dict[str, list[float]] = {name: [] for name in calls}
    for number in range(rounds):
        for name in list(calls)[:: -1 if number % 2 else 1]:
            calls[name]()  # the first call pays for the memory that its predecessor left behind
            seconds[name].append(_seconds(calls[name], repeats[name]))
    return seconds


def _seconds(call: Callable[[], None], repeats: int) -> float:
    started = time.process_time()
    for _ in range(repeats):
        call()
    return (time.process_time() - started) / repeats


def summary(seconds: dict[str, list[float]], reference: str) -> Row:
    """Return the median milliseconds, and quartiles of the ratio to the reference in the same round."""
    against = np.array(seconds[reference])
    return {
        "milliseconds": {name: 1e3 * float(np.median(values)) for name, values in seconds.items()},
        "ratios": {
            name: [float(q) for q in np.quantile(np.array(values) / against, (0.5, 0.25, 0.75))]
            for name, values in seconds.items()
            if name != reference
        },
    }


def markdown(rows: list[Row]) -> str:
    """Return tables of steps and of layers."""
    parts = [
        "CPU time of one thread relative to PEFT's LoRA: median over rounds [quartiles]; below 1 is faster. "
        "A step is forward pass, backward pass and AdamW, LoRA of rank 2 on all linear layers of the encoder, "
        "windows of 512 values. Candidates that merge the weights are left out under bfloat16 autocast, where rounding "
        "loses small updates."
    ]
    for (pass_name,), group in grouped(sorted(rows, key=lambda row: row["pass"] != "step"), "pass"):
        title = "Whole training steps" if pass_name == "step" else f"One layer, {pass_name}"
        parts.append(f"## {title}\n\n{markdown_table([_line(row) for row in group])}")
    return "\n\n".join(parts)


def _line(row: Row) -> Row:
    names = {"case": row["case"], "rank": row["rank"], "numbers": row["numbers"]}
    counts = {"windows": row["batch"], "LoRA layers": row["layers"]} if "batch" in row else {}
    ratios = {name: f"{middle:.2f} [{low:.2f}, {high:.2f}]" for name, (middle, low, high) in row["ratios"].items()}
    return {**names, **counts, "PEFT, ms": f"{row['milliseconds'][PEFT]:.3g}", **ratios}


def run(results: Results, backbone: Any, arguments: argparse.Namespace, shapes: Sequence[tuple[int, int]]) -> None:
    """Make the rows that are not there yet: steps first, then layers."""
    batches = {arguments.model: (64, lambda: backbone)}
    batches |= {f"MOMENT {name}": (8, partial(without_dropout, name)) for name in GEOMETRIES}
    for name, (batch, build) in batches.items():
        if results.find(case=name, rank=LoraOptions().r, numbers="bfloat16 autocast", **{"pass": "step"}) is None:
            for row in step_rows(name, build(), batch, arguments.rounds):
                results.add(row)
    for shape in shapes:
        for rank in arguments.ranks:
            last = {"case": f"{shape[0]} -> {shape[1]}", "rank": rank, "numbers": list(TYPES)[-1], "pass": PASSES[-1]}
            if results.find(**last) is None:
                for row in layer_rows(shape, rank, arguments.rows, arguments.rounds):
                    results.add(row)


def main() -> None:
    """Run all steps and layers; rows that are there already are kept."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--model", default="tracetune/tiny")
    parser.add_argument("--ranks", nargs="+", type=int, default=[2, 8, 64])
    parser.add_argument("--rows", type=int, default=2048, help="rows of x in the tables of layers")
    parser.add_argument("--rounds", type=int, default=11)
    parser.add_argument("--output", default="docs/results/fused_lora")
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    backbone = load_backbone(arguments.model)
    identity = ("case", "rank", "numbers", "pass")
    results = Results("fused_lora", arguments, backbone, markdown, identity, cases=("ranks", "output"))
    run(results, backbone, arguments, SHAPES)


if __name__ == "__main__":
    main()
