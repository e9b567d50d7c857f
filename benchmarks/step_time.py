"""What a training step costs: the whole step (forward, backward, AdamW) of every method, side by side.

Rounds go through all cases in turn and the median over rounds is taken, so that what else the machine does hits all
cases alike. Each case's peak memory is that of a process of its own, by the operating system's account. The floor of a
case is what its matrix products would take at the machine's own rate for a large product in the same precision. The
peer momentfm comes from ``pip install --no-deps momentfm``; all models have the same weights.

    python -m benchmarks.step_time --geometry tiny
"""

import argparse
import copy
import json
import subprocess
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, ExitStack, contextmanager, nullcontext
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from benchmarks.common import Results, Row
from benchmarks.peers import ALL_LINEAR, momentfm_lora, random_moment
from tracetune.adapters.adalora import AdaLoraOptions, add_adalora
from tracetune.adapters.fused_lora import fuse_lora
from tracetune.adapters.lora import LoraOptions, add_lora
from tracetune.backbones.loading import load_backbone
from tracetune.backbones.moment import Moment
from tracetune.base.seeds import seed_everything
from tracetune.evaluation.cost import Stopwatch, count_flops, count_parameters, peak_memory_bytes
from tracetune.fitting.head_phase import HeadOnFeatures
from tracetune.heads.config import HeadConfig
from tracetune.report.tables import markdown_table
from tracetune.selection.gates import Gates
from tracetune.tasks.forecasting.model import ForecastModel
from tracetune.training.prefix_cache import PrefixCache
from tracetune.training.storage import Storage

HORIZON = 96
REFERENCE = "LoRA on all, PEFT"
Batch = dict[str, Tensor]


@dataclass(frozen=True)
class Case:
    """One thing to time.

    Attributes:
        step: what is timed.
        model: whose trainable parameters are counted.
        context: what must hold while it runs.
    """

    step: Callable[[], Any]
    model: nn.Module
    context: AbstractContextManager[Any]


class Batches:
    """The one batch of this benchmark, as the data set that a cache knows."""

    def __init__(self, backbone: Moment, rows: int, device: str) -> None:
        generator = torch.Generator().manual_seed(0)
        shapes = {"past_values": backbone.context_length, "future_values": HORIZON}
        series = {name: torch.randn(rows, 1, steps, generator=generator).cumsum(-1) for name, steps in shapes.items()}
        self.batch = {**series, **{f"{name}_mask": torch.ones_like(values) for name, values in series.items()}}
        self.batch["input_mask"] = self.batch.pop("past_values_mask")
        self.batch["future_mask"] = self.batch.pop("future_values_mask")
        self.batch = {name: tensor.to(device) for name, tensor in self.batch.items()}

    def __len__(self) -> int:
        return len(self.batch["past_values"])

    def __getitems__(self, indices: list[int]) -> Batch:
        return {name: tensor[indices] for name, tensor in self.batch.items()}


def training_step(model: nn.Module, batch: Batch) -> Callable[[], Any]:
    """Return a whole optimizer step on a batch."""
    optimizer = torch.optim.AdamW([p for p in model.parameters() if p.requires_grad], lr=1e-4)

    def step() -> None:
        model.train()
        optimizer.zero_grad(set_to_none=True)
        model(**batch)["loss"].backward()
        optimizer.step()

    return step


def forecaster(backbone: Moment, head: str) -> ForecastModel:
    """Return a forecast model with a copy of the backbone, frozen but for its head."""
    config = HeadConfig("flatten") if head == "linear" else HeadConfig("projection", beta=8)
    model = ForecastModel.from_backbone(copy.deepcopy(backbone), HORIZON, config).requires_grad_(False)
    model.get_submodule("head").requires_grad_(True)
    return model


def build(name: str, backbone: Moment, rows: int, device: str = "cpu") -> Case:
    """Return the case of a name in :func:`case_names`."""
    seed_everything(0)
    data = Batches(backbone, rows, device)
    if name == "forward, frozen":
        model = forecaster(backbone, "linear").eval()
        return Case(torch.inference_mode()(lambda: model(**data.batch)), model.requires_grad_(False), nullcontext())
    if name.startswith("momentfm"):
        targets, rank = (("q", "v"), 64) if "tutorial" in name else (ALL_LINEAR, 2)
        peer = momentfm_lora(backbone, HORIZON, targets, rank).to(device)
        return Case(training_step(peer, data.batch), peer, nullcontext())
    model = forecaster(backbone, "compact" if "compact" in name else "linear")
    if name.startswith("linear probe"):
        if "cached" in name:
            with torch.no_grad():
                features = model.eval().features(data.batch)
            return Case(training_step(HeadOnFeatures(model), features), model, nullcontext())
        return Case(training_step(model, data.batch), model, nullcontext())
    if name == "full fine-tuning":
        model.requires_grad_(True)
        return Case(training_step(model, data.batch), model, nullcontext())
    if name.startswith("AdaLoRA"):
        adalora = add_adalora(model, LoraOptions(), AdaLoraOptions(init_r=3, target_r=2), 1000).to(device)
        return Case(training_step(adalora, data.batch), adalora, nullcontext())
    return _lora_case(name, model, data)


def _lora_case(name: str, model: ForecastModel, data: Batches) -> Case:
    """Return LoRA on all modules, or what TRACE has kept of them at its end, as the package trains it."""
    cache = PrefixCache(model.backbone, Storage())
    batch = cache.indexed(data).__getitems__(list(range(len(data))))
    peft_model = add_lora(model, LoraOptions())
    if name.startswith("TRACE"):
        _, keep, where = name.removesuffix(", compact head").split(", ")
        gates = Gates(peft_model)
        gates.set_open(kept(gates.names, float(keep.split()[1]), where))
        gates.delete_closed()
    fused = "PEFT" not in name
    return Case(training_step(peft_model, batch), peft_model, _as_trained(model, peft_model, cache, fused))


@contextmanager
def _as_trained(model: ForecastModel, peft_model: nn.Module, cache: PrefixCache, fused: bool) -> Iterator[None]:
    with ExitStack() as stack:
        stack.enter_context(cache.attached(model))
        if fused:
            stack.enter_context(fuse_lora(peft_model))
        yield


def kept(names: Sequence[str], keep: float, where: str) -> list[str]:
    """Return a share of the modules: the first or the last ones, or drawn from all."""
    count = round(keep * len(names))
    if where == "early":
        return list(names[:count])
    if where == "late":
        return list(names[len(names) - count :])
    return [names[index] for index in sorted(np.random.default_rng(0).permutation(len(names))[:count])]


def case_names() -> list[str]:
    """Return all cases, in the order of the table."""
    trace = [f"TRACE, keep {keep}, {where}" for keep in (0.25, 0.5, 0.75) for where in ("spread", "early", "late")]
    return [
        REFERENCE, "LoRA on all", "momentfm + PEFT: q and v, r 64 (its tutorial)", "momentfm + PEFT: all linear, r 2",
        "AdaLoRA on all, PEFT", "full fine-tuning", *trace, "TRACE, keep 0.5, late, compact head",
        "linear probe", "linear probe, features cached", "forward, frozen",
    ]  # fmt: skip


def interleaved(cases: dict[str, Case], rounds: int, bf16: bool, device: str = "cpu") -> dict[str, list[float]]:
    """Return seconds of every case in every round; two rounds before warm up."""
    seconds: dict[str, list[float]] = {name: [] for name in cases}
    for number in range(rounds + 2):
        for name, case in cases.items():
            stopwatch = Stopwatch(device)
            with torch.autocast(device, torch.bfloat16, enabled=bf16), stopwatch:
                case.step()
            if number >= 2:
                seconds[name].append(stopwatch.seconds)
    return seconds


def matmul_rate(dtype: torch.dtype, device: str = "cpu", size: int = 1024, repeats: int = 20) -> float:
    """Return operations a second of a large matrix product, the best of some repeats."""
    left, right = (torch.randn(size, size, device=device).to(dtype) for _ in range(2))
    best = float("inf")
    for _ in range(repeats):
        with Stopwatch(device) as stopwatch:
            left @ right
        best = min(best, stopwatch.seconds)
    return 2 * size**3 / best


def backbone_of(arguments: argparse.Namespace) -> Moment:
    """Return the model itself, or random weights in one of MOMENT's other geometries."""
    known = load_backbone(arguments.model) if arguments.geometry == "tiny" else random_moment(arguments.geometry)
    return known.to(arguments.device)


def peak_memory(name: str, arguments: argparse.Namespace) -> int:
    """Return the peak resident bytes of a process that takes three steps of a case."""
    command = [
        sys.executable, "-m", "benchmarks.step_time", "--model", arguments.model, "--geometry", arguments.geometry,
        "--rows", str(arguments.rows), "--threads", str(arguments.threads), "--device", arguments.device,
        "--memory-of", name,
    ]  # fmt: skip
    return int(json.loads(subprocess.run(command, check=True, capture_output=True, text=True).stdout.splitlines()[-1]))


def markdown(rows: list[Row]) -> str:
    """Return one table a geometry: seconds by precision, and what the floor of each is."""
    parts = []
    for geometry in dict.fromkeys(row["geometry"] for row in rows):
        group = [row for row in rows if row["geometry"] == geometry]
        reference = next(row for row in group if row["case"] == REFERENCE)
        lines = []
        for row in group:
            lines.append(
                {
                    "case": row["case"],
                    "trained weights": row["trainable"],
                    "float32, ms": 1e3 * row["float32"],
                    "x PEFT's LoRA": row["float32"] / reference["float32"],
                    "bfloat16, ms": 1e3 * row["bfloat16"],
                    "x PEFT's LoRA (float32)": row["bfloat16"] / reference["float32"],
                    "GFLOP": row["flops"] / 1e9,
                    "x floor, float32": row["float32"] / row["floor_float32"],
                    "peak memory, MB": row["peak_bytes"] / 1e6,
                }
            )
        parts.append(
            f"## {geometry}\n\n{reference['batch_rows']} windows a step, {reference['threads']} threads, median of "
            f"{reference['rounds']} rounds; matrix products run at {reference['rate_float32'] / 1e9:.0f} GFLOP/s "
            f"(float32) and {reference['rate_bfloat16'] / 1e9:.0f} (bfloat16).\n\n{markdown_table(lines)}"
        )
    return "\n\n".join(parts)


def main() -> None:
    """Time all cases of a geometry."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--model", default="tracetune/tiny")
    parser.add_argument("--geometry", default="tiny", choices=("tiny", "small", "base", "large"))
    parser.add_argument("--device", default="cpu", choices=("cpu", "cuda"))
    parser.add_argument("--rows", type=int, default=64, help="windows a step")
    parser.add_argument("--rounds", type=int, default=9)
    parser.add_argument("--threads", type=int, default=torch.get_num_threads())
    parser.add_argument("--memory-of", help="take three steps of this case and print the peak memory")
    parser.add_argument("--output", default="docs/results/step_time")
    arguments = parser.parse_args()
    torch.set_num_threads(arguments.threads)
    backbone = backbone_of(arguments)
    if arguments.memory_of:
        case = build(arguments.memory_of, backbone, arguments.rows, arguments.device)
        with case.context:
            for _ in range(3):
                case.step()
        print(peak_memory_bytes(arguments.device))
        return
    measure(arguments, backbone)


def measure(arguments: argparse.Namespace, backbone: Moment) -> None:
    """Time, count and weigh every case, and write the rows."""
    results = Results(
        "step_time", arguments, load_backbone(arguments.model), markdown, ("geometry", "case"),
        cases=("geometry", "rows", "rounds", "threads", "memory_of", "output"),
        device=arguments.device,
    )  # fmt: skip
    results.rows = [row for row in results.rows if row["geometry"] != arguments.geometry]
    precisions = {"float32": torch.float32, "bfloat16": torch.bfloat16}
    large = 1024 if arguments.device == "cpu" else 8192
    rates = {precision: matmul_rate(dtype, arguments.device, large) for precision, dtype in precisions.items()}
    cases = {name: build(name, backbone, arguments.rows, arguments.device) for name in case_names()}
    with ExitStack() as stack:
        for case in cases.values():
            stack.enter_context(case.context)
        flops = {name: count_flops(case.step) for name, case in cases.items()}
        seconds = {
            precision: interleaved(cases, arguments.rounds, precision == "bfloat16", arguments.device)
            for precision in rates
        }
    for name, case in cases.items():
        medians = {precision: float(np.median(seconds[precision][name])) for precision in rates}
        floors = {f"floor_{precision}": flops[name] / rate for precision, rate in rates.items()}
        results.add(
            {
                "geometry": arguments.geometry,
                "case": name,
                "trainable": count_parameters(case.model).trainable,
                "batch_rows": arguments.rows,
                "threads": arguments.threads,
                "rounds": arguments.rounds,
                "flops": flops[name],
                "peak_bytes": peak_memory(name, arguments),
                "seconds": seconds_json(seconds, name),
                **{f"rate_{precision}": rate for precision, rate in rates.items()},
                **floors,
                **medians,
            }
        )


def seconds_json(seconds: dict[str, dict[str, list[float]]], name: str) -> dict[str, list[float]]:
    """Return the seconds of one case by precision, rounded to a tenth of a millisecond."""
    return {precision: [round(value, 4) for value in by_case[name]] for precision, by_case in seconds.items()}


if __name__ == "__main__":
    main()
