"""Peak memory by channels, windows and batch size: a few steps of LoRA on all layers.

Each case runs in a process of its own, whose peak is the operating system's account of it. From it is taken the peak of
an idle process that has imported and loaded the same. Series are random walks, windows have stride 1; validation is
left out, since it has no gradients to keep.

    OMP_NUM_THREADS=1 python -m benchmarks.memory
"""

import argparse
import json
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from transformers import EarlyStoppingCallback

from benchmarks.common import CONTEXT, Results, Row
from benchmarks.data_loading import HORIZON, random_walks
from tracetune.adapters.fused_lora import fuse_lora
from tracetune.adapters.lora import LoraOptions, add_lora
from tracetune.adapters.trained_head import trained_head
from tracetune.backbones.loading import load_backbone
from tracetune.data.windows import Windows
from tracetune.evaluation.cost import peak_memory_bytes
from tracetune.heads.config import HeadConfig
from tracetune.report.tables import markdown_table
from tracetune.tasks.forecasting.model import ForecastModel
from tracetune.tasks.task import LearningRates
from tracetune.training.config import TrainingConfig
from tracetune.training.run import Run
from tracetune.training.trainer import TrainedModule, build_trainer

_GIB = 2**30


@dataclass(frozen=True)
class Case:
    """What trains.

    Attributes:
        channels: C.
        steps: length of the series; 0 is the idle process.
        batch_size: windows of an optimizer step.
        max_tokens: most tokens in one forward pass; None for no limit.
    """

    channels: int
    steps: int
    batch_size: int = 64
    max_tokens: int | None = None

    @property
    def windows(self) -> int:
        """Return how many windows of stride 1 there are."""
        return self.channels * max(0, self.steps - CONTEXT - HORIZON + 1)


IDLE = Case(0, 0)


def cases() -> Iterator[tuple[str, Case]]:
    """Yield all cases, each under the question that it answers."""
    for channels in (1, 7, 100, 862):
        for max_tokens in (None, 512):
            yield "channels", Case(channels, 17_000, max_tokens=max_tokens)
    for windows in (10**3, 10**4, 10**5, 10**6):
        yield "windows", Case(1, windows + CONTEXT + HORIZON - 1)
    for batch_size in (64, 862):
        for max_tokens in (None, 2048, 512):
            yield "batch", Case(7, 17_000, batch_size, max_tokens)


def peak_after(case: Case, model: str, optimizer_steps: int) -> int:
    """Return the peak bytes of this process after a few steps of a case; it must have trained nothing before."""
    backbone = load_backbone(model)
    forecaster = ForecastModel.from_backbone(backbone, HORIZON, HeadConfig("projection", beta=8), CONTEXT)
    adapted = add_lora(forecaster, LoraOptions())
    if case == IDLE:
        return peak_memory_bytes()
    windows = Windows([random_walks(case.channels, case.steps)], CONTEXT, HORIZON)
    assert len(windows) == case.windows, "windows are counted as they are made"
    config = TrainingConfig(
        LearningRates.adapters, max_steps=optimizer_steps, batch_size=case.batch_size, max_tokens=case.max_tokens
    )
    with tempfile.TemporaryDirectory() as folder, fuse_lora(adapted):
        trainer = build_trainer(
            TrainedModule(adapted, trained_head(adapted), tokens_per_sample=backbone.num_patches(CONTEXT)),
            config,
            windows,
            windows,
            Run(Path(folder)),
        )
        trainer.remove_callback(EarlyStoppingCallback)
        trainer.args.load_best_model_at_end = False
        trainer.args.eval_strategy = trainer.args.save_strategy = "no"
        trainer.train()
    return peak_memory_bytes()


def peak_in_new_process(case: Case, model: str, optimizer_steps: int) -> int:
    """Return the peak bytes of a new process that runs a case."""
    arguments = ["--model", model, "--steps", str(optimizer_steps), "--case", json.dumps(asdict(case))]
    command = [sys.executable, "-m", "benchmarks.memory", *arguments]
    return int(subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True).stdout.splitlines()[-1])


def markdown(rows: list[Row]) -> str:
    """Return a table for each question."""
    titles = {
        "channels": "Channels, 17,000 steps each",
        "windows": "Training windows, one channel",
        "batch": "Batch size and limit of tokens, 7 channels",
    }
    parts = []
    for question, title in titles.items():
        lines = [
            {
                "channels": row["channels"],
                "windows": row["windows"],
                "batch size": row["batch_size"],
                "max_tokens": "none" if row["max_tokens"] is None else row["max_tokens"],
                "GiB above idle": row["above_idle_gib"],
                "of which the series": row["series_gib"],
            }
            for row in rows
            if row["question"] == question
        ]
        if lines:
            parts.append(f"## {title}\n\n{markdown_table(lines)}")
    idle = next((row["idle_gib"] for row in rows), float("nan"))
    return (
        f"Peak resident memory of a few LoRA steps, above the {idle:.2f} GiB of an idle process with the libraries and "
        f"the model; context {CONTEXT}, H = {HORIZON}. What grows with the number of windows is their random order: a "
        "list of numbers in PyTorch's sampler, a tensor where `max_tokens` cuts batches.\n\n" + "\n\n".join(parts)
    )


def main() -> None:
    """Run all cases; rows that are there already are kept."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--model", default="tracetune/tiny")
    parser.add_argument("--steps", type=int, default=3, help="optimizer steps")
    parser.add_argument("--output", default="docs/results/memory")
    parser.add_argument("--case", help="run this case (JSON) in this process and print its peak bytes")
    arguments = parser.parse_args()
    if arguments.case is not None:
        print(peak_after(Case(**json.loads(arguments.case)), arguments.model, arguments.steps))
        return
    del arguments.case
    results = Results("memory", arguments, load_backbone(arguments.model), markdown, ("question", *asdict(IDLE)))
    idle: int | None = None
    for question, case in cases():
        identity: dict[str, Any] = {"question": question, **asdict(case)}
        if results.find(**identity) is not None:
            continue
        if idle is None:
            idle = peak_in_new_process(IDLE, arguments.model, arguments.steps)
        peak = peak_in_new_process(case, arguments.model, arguments.steps)
        results.add(
            {
                **identity,
                "windows": case.windows,
                "above_idle_gib": (peak - idle) / _GIB,
                "series_gib": 4 * case.channels * case.steps / _GIB,
                "idle_gib": idle / _GIB,
            }
        )


if __name__ == "__main__":
    main()
