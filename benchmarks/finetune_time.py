"""Time and memory of a whole fine-tuning, to the last epoch and to a given loss: momentfm + PEFT and ours.

ETTh1, H = 96, the same windows, epochs, batch size, learning rates and validation windows for all; momentfm trains in a
plain loop as its tutorial does (AdamW, one-cycle schedule, clipped gradients), with the head in training. Seconds are
those of everything after data and weights are loaded: our runs contain the zero-shot measurement, the head's phase, the
selection and the guard's comparison. Every run is a process of its own; peak memory is the operating system's number.
One unit of cost is one frozen forward pass over the training windows, timed in the same process. On a GPU
(`--device cuda`) peak memory is what PyTorch has allocated there. `--geometry` takes random weights of one of MOMENT's
published sizes in place of the model: enough for seconds and memory, not for losses.

    python -m benchmarks.finetune_time
    python -m benchmarks.finetune_time --device cuda --output docs/results/finetune_time_gpu
"""

import argparse
import json
import subprocess
import sys
import time
from typing import Any

import numpy as np
import torch
from torch import nn
from torch.utils.data import DataLoader, Subset
from transformers import TrainerCallback

from benchmarks.common import Case, Results, Row, fingerprint, fit_case, load_case
from benchmarks.peers import ALL_LINEAR, GEOMETRIES, momentfm_lora, random_moment
from tracetune.backbones.loading import load_backbone
from tracetune.backbones.moment import Moment
from tracetune.base.module_device import module_device
from tracetune.base.seeds import seed_everything
from tracetune.data.batch_source import identity_collate
from tracetune.data.windows import batches
from tracetune.evaluation.cost import peak_memory_bytes
from tracetune.fitting.config import FitConfig
from tracetune.fitting.methods import Trace
from tracetune.heads.config import HeadConfig
from tracetune.report.tables import markdown_table
from tracetune.selection.config import SelectionConfig
from tracetune.tasks.forecasting.model import ForecastModel
from tracetune.training.config import TrainingConfig

DATASET, HORIZON, BATCH = "ETTh1", 96, 64
PEER = "momentfm + PEFT: all linear, r 2"
OURS: dict[str, dict[str, Any]] = {
    "LoRA, all modules, linear head": {"method": "lora", "head": HeadConfig("flatten"), "start": "head"},
    "TRACE, keep 0.5, linear head": {"method": "trace", "head": HeadConfig("flatten"), "start": "head"},
    "TRACE, keep 0.5, compact head": {"method": "trace"},
    "TRACE, half of the step time": {
        "method": Trace(SelectionConfig(keep=0.5, budget_unit="time")),
    },
    "compact head alone": {"method": "linear_probe"},
}  # fmt: skip
METHODS = (PEER, "momentfm + PEFT: q and v, r 64 (its tutorial)", *OURS)


class Clock(TrainerCallback):
    """Seconds and validation loss of every evaluation, over all phases."""

    def __init__(self) -> None:
        self.started = time.perf_counter()
        self.curve: list[tuple[float, float]] = []

    def on_evaluate(self, args: Any, state: Any, control: Any, metrics: dict[str, float], **kwargs: Any) -> None:
        """Note the loss."""
        self.curve.append((time.perf_counter() - self.started, metrics["eval_loss"]))


def train_peer(model: nn.Module, case: Case, epochs: int, evaluations: int, bf16: bool) -> list[tuple[float, float]]:
    """Return momentfm's loop: seconds and validation loss at each evaluation."""
    device = module_device(model)
    loader = DataLoader(case.train, batch_size=BATCH, shuffle=True, collate_fn=identity_collate)
    steps = epochs * len(loader)
    optimizer = torch.optim.AdamW([p for p in model.parameters() if p.requires_grad], lr=1e-3)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimizer, max_lr=1e-3, total_steps=steps, pct_start=0.3)
    every = max(1, steps // evaluations)
    curve, started, step = [], time.perf_counter(), 0
    for _ in range(epochs):
        for windows in loader:
            batch = {name: tensor.to(device) for name, tensor in windows.items()}
            model.train()
            optimizer.zero_grad(set_to_none=True)
            with torch.autocast(device.type, torch.bfloat16, enabled=bf16):
                loss = model(**batch)["loss"]
            loss.backward()
            torch.nn.utils.clip_grad_norm_(model.parameters(), 5.0)
            optimizer.step()
            schedule.step()
            step += 1
            if step % every == 0:
                curve.append((time.perf_counter() - started, peer_loss(model, case)))
    return curve


@torch.inference_mode()
def peer_loss(model: nn.Module, case: Case) -> float:
    """Return the mean validation loss."""
    model.eval()
    device = module_device(model)
    losses = [model(**batch)["sample_losses"] for batch in batches(case.validation, 4 * BATCH, device)]
    return float(torch.cat(losses).mean())


def train_ours(
    name: str, case: Case, backbone: nn.Module, epochs: int, evaluations: int, bf16: bool, device: str
) -> tuple[list[Any], dict[str, Any]]:
    """Return a fit of the package: seconds and validation losses, and what it says about itself."""
    training = TrainingConfig(num_train_epochs=epochs, batch_size=BATCH, evaluations=evaluations, bf16=bf16)
    head_training = TrainingConfig(num_train_epochs=epochs, batch_size=BATCH, evaluations=evaluations)
    config = FitConfig(training=training, head_training=head_training, **OURS[name])
    clock = Clock()
    record = fit_case(case, backbone, config, [clock], device).record
    final = min(candidate["validation_loss"] for candidate in record.candidates)
    clock.curve.append((time.perf_counter() - clock.started, final))
    return clock.curve, {
        "winner": record.winner,
        "phases": record.seconds,
        "kept": record.method_report["selection"]["kept"] if "selection" in record.method_report else None,
        "prefix_blocks": record.prefix_blocks,
    }


def run_one(arguments: argparse.Namespace) -> dict[str, Any]:
    """Return one method in this process."""
    torch.set_num_threads(arguments.threads)
    case = load_case(DATASET, HORIZON, arguments.train_windows, arguments.validation_windows)
    backbone = backbone_of(arguments)
    seed_everything(arguments.seed)
    unit = forward_seconds(
        ForecastModel.from_backbone(backbone, HORIZON, None, case.context).to(arguments.device), case
    )
    how = (arguments.epochs, arguments.evaluations, arguments.precision == "bfloat16")
    details: dict[str, Any] = {}
    if arguments.method in OURS:
        curve, details = train_ours(arguments.method, case, backbone, *how, arguments.device)
    else:
        targets, rank = (ALL_LINEAR, 2) if arguments.method == PEER else (("q", "v"), 64)
        curve = train_peer(momentfm_lora(backbone, HORIZON, targets, rank).to(arguments.device), case, *how)
    return {
        "curve": curve,
        "unit_seconds": unit,
        "peak_bytes": peak_memory_bytes(arguments.device),
        "fingerprint": fingerprint(case, arguments.seed).to_dict(),
        **details,
    }


def backbone_of(arguments: argparse.Namespace) -> Moment:
    """Return the model, or random weights in one of MOMENT's geometries."""
    return random_moment(arguments.geometry) if arguments.geometry else load_backbone(arguments.model)


def forward_seconds(model: ForecastModel, case: Case, windows: int = 1024) -> float:
    """Return seconds of one frozen forward pass over all training windows, from some of them."""
    model.eval()
    windows = min(windows, len(case.train))
    few = list(batches(Subset(case.train, range(windows)), 256, module_device(model)))
    times = []
    for _ in range(3):
        started = time.perf_counter()
        with torch.inference_mode():
            for batch in few:
                loss = model(**batch).loss
            loss.item()  # a GPU's work is only queued until then
        times.append(time.perf_counter() - started)
    return float(np.median(times)) / windows * len(case.train)


def seconds_to(curve: list[list[float]], loss: float) -> float | None:
    """Return when a curve of (seconds, loss) is first at or below a loss; None where never."""
    return next((seconds for seconds, value in curve if value <= loss), None)


def markdown(rows: list[Row]) -> str:
    """Return one table a precision, each beside the peer in float32 and the same precision."""
    parts = []
    for precision in dict.fromkeys(row["precision"] for row in rows):
        group = [row for row in rows if row["precision"] == precision]
        peer = [row for row in group if row["method"] == PEER]
        goal = min(loss for row in peer for _, loss in row["curve"]) if peer else None
        reference = float(np.median([row["curve"][-1][0] for row in peer])) if peer else None
        lines = [_line(name, [r for r in group if r["method"] == name], goal, reference) for name in METHODS]
        parts.append(f"## {precision}\n\n{markdown_table([line for line in lines if line])}")
    return (
        f"{DATASET}, H = {HORIZON}, batches of {BATCH}; medians over repeats. The loss to reach is "
        "the best that the peer reaches on the validation windows; peak memory includes Python and libraries.\n\n"
        + "\n\n".join(parts)
    )


def _line(name: str, runs: list[Row], goal: float | None, reference: float | None) -> dict[str, Any]:
    if not runs or goal is None or reference is None:
        return {}
    seconds = float(np.median([run["curve"][-1][0] for run in runs]))
    reached = [seconds_to(run["curve"], goal) for run in runs]
    return {
        "method": name,
        "seconds": seconds,
        "x peer": seconds / reference,
        "forward passes over the training windows": float(
            np.median([run["curve"][-1][0] / run["unit_seconds"] for run in runs])
        ),
        "best validation MSE": float(np.median([min(loss for _, loss in run["curve"]) for run in runs])),
        "seconds to the peer's best": None if None in reached else float(np.median([r for r in reached if r])),
        "selection, share of seconds": float(
            np.median([run.get("phases", {}).get("selection", 0.0) / run["curve"][-1][0] for run in runs])
        ),
        "peak memory, MB": float(np.median([run["peak_bytes"] for run in runs])) / 1e6,
    }


def main() -> None:
    """Run all methods in processes of their own, one repeat of all after the other."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--model", default="tracetune/tiny")
    parser.add_argument("--geometry", choices=list(GEOMETRIES), help="random weights of this size in place of --model")
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--train-windows", type=int, default=8000)
    parser.add_argument("--validation-windows", type=int, default=1024)
    parser.add_argument("--epochs", type=int, default=4)
    parser.add_argument("--evaluations", type=int, default=8)
    parser.add_argument("--threads", type=int, default=torch.get_num_threads())
    parser.add_argument("--repeats", type=int, default=1)
    parser.add_argument("--precisions", nargs="+", default=["float32", "bfloat16"])
    parser.add_argument("--methods", nargs="+", default=list(METHODS))
    parser.add_argument("--output", default="docs/results/finetune_time")
    parser.add_argument("--method", help="run this one alone, here, and print its result as JSON")
    parser.add_argument("--precision", default="float32")
    parser.add_argument("--seed", type=int, default=0)
    arguments = parser.parse_args()
    if arguments.method:
        print(json.dumps(run_one(arguments)))
        return
    results = Results(
        "finetune_time", arguments, backbone_of(arguments), markdown, ("method", "precision", "repeat"),
        cases=("precisions", "methods", "method", "precision", "seed", "repeats", "output"),
        device=arguments.device,
    )  # fmt: skip
    for repeat in range(arguments.repeats):
        for precision in arguments.precisions:
            for method in arguments.methods:
                if results.find(method=method, precision=precision, repeat=repeat) is None:
                    results.add(child(arguments, method, precision, repeat))


def child(arguments: argparse.Namespace, method: str, precision: str, repeat: int) -> Row:
    """Return the result of one method in a process of its own."""
    passed = ("model", "device", "train_windows", "validation_windows", "epochs", "evaluations", "threads")
    flags = [text for name in passed for text in (f"--{name.replace('_', '-')}", str(getattr(arguments, name)))]
    flags += ["--geometry", arguments.geometry] if arguments.geometry else []
    command = [sys.executable, "-m", "benchmarks.finetune_time", *flags]
    command += ["--method", method, "--precision", precision, "--seed", str(repeat)]
    finished = subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True)
    return {
        "method": method, "precision": precision, "repeat": repeat, **json.loads(finished.stdout.splitlines()[-1]),
    }  # fmt: skip


if __name__ == "__main__":
    main()
