"""Speed of data loading: windows a second of the Trainer's DataLoader beside those of the model.

Windows are read in random order and in the training process (num_workers=0), from ETTh1 and from 862 channels of
17,000 steps (random walks of the size of the traffic data set). Beside it stand a training step of LoRA on all layers
(forward, backward, AdamW) and a forward pass of the frozen backbone, on batches of the same size. Time is that of the
processor, since nothing here waits, and the median of rounds that go through all three in turn.

    OMP_NUM_THREADS=1 python -m benchmarks.data_loading
"""

import argparse
import copy
import tempfile
import time
from collections.abc import Callable
from itertools import islice
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from benchmarks.common import CONTEXT, Results, Row, load_case
from benchmarks.step_time import training_step
from tracetune.adapters.fused_lora import fuse_lora
from tracetune.adapters.lora import LoraOptions, add_lora
from tracetune.backbones.loading import load_backbone
from tracetune.data.windows import Windows
from tracetune.heads.config import HeadConfig
from tracetune.report.tables import markdown_table
from tracetune.tasks.forecasting.model import ForecastModel
from tracetune.tasks.task import LearningRates
from tracetune.training.config import TrainingConfig
from tracetune.training.run import Run
from tracetune.training.trainer import TrainedModule, build_trainer

HORIZON = 96
MANY = "862-channels"
DATASETS = ("ETTh1", MANY)
_SHAPE = (862, 17_000)
_BATCHES = 20  # that are loaded in a round

Batch = dict[str, Tensor]


def training_windows(dataset: str) -> Windows:
    """Return all training windows of a data set, stride 1."""
    if dataset == MANY:
        return Windows([random_walks(*_SHAPE)], CONTEXT, HORIZON)
    return load_case(dataset, HORIZON, train_windows=10**9, validation_windows=1).train


def random_walks(channels: int, steps: int) -> np.ndarray:
    """Return random walks [channels, steps], float32."""
    noise = np.random.default_rng(0).standard_normal((channels, steps), dtype=np.float32)
    return np.cumsum(noise, axis=1, out=noise)


def loading_row(windows: Windows, backbone: Any, batch_size: int, rounds: int) -> Row:
    """Return microseconds a window of loading, of a training step and of a frozen forward pass."""
    frozen = ForecastModel.from_backbone(backbone, HORIZON, HeadConfig("projection", beta=8), windows.context_length)
    frozen.eval().requires_grad_(False)
    adapted = add_lora(copy.deepcopy(frozen), LoraOptions()).train()
    with tempfile.TemporaryDirectory() as folder:
        config = TrainingConfig(LearningRates.adapters, max_steps=1, batch_size=batch_size)
        loader = build_trainer(
            TrainedModule(adapted), config, windows, windows, Run(Path(folder))
        ).get_train_dataloader()
    started = time.process_time()
    batches = iter(loader)
    batch = next(batches)
    first = time.process_time() - started
    with fuse_lora(adapted):
        seconds = interleaved(
            {
                "load": lambda: list(islice(batches, _BATCHES)),
                "training_step": training_step(adapted, batch),
                "frozen_forward": torch.inference_mode()(lambda: frozen.features(batch)),
            },
            rounds,
        )
    median = {name: value / batch_size for name, value in seconds.items()}
    median["load"] /= _BATCHES
    return {
        "channels": sum(len(array) for array in windows.values),
        "windows": len(windows),
        "order_seconds": first,
        **{f"{name}_us": 1e6 * value for name, value in median.items()},
        "share_of_step": median["load"] / median["training_step"],
        "share_of_forward": median["load"] / median["frozen_forward"],
        "threads": torch.get_num_threads(),
    }


def interleaved(actions: dict[str, Callable[[], Any]], rounds: int) -> dict[str, float]:
    """Return the median processor seconds of every action, over rounds that go through all after one that warms up."""
    seconds: dict[str, list[float]] = {name: [] for name in actions}
    for _ in range(rounds + 1):
        for name, action in actions.items():
            started = time.process_time()
            action()
            seconds[name].append(time.process_time() - started)
    return {name: float(np.median(values[1:])) for name, values in seconds.items()}


def markdown(rows: list[Row]) -> str:
    """Return one line a data set."""
    lines = [
        {
            "data set": row["dataset"],
            "channels": row["channels"],
            "windows": row["windows"],
            "loaded windows a second": round(1e6 / row["load_us"]),
            "trained": round(1e6 / row["training_step_us"]),
            "through the frozen backbone": round(1e6 / row["frozen_forward_us"]),
            "loading, share of a training step": f"{row['share_of_step']:.2%}",
            "of a frozen forward pass": f"{row['share_of_forward']:.2%}",
            "seconds to the first batch": row["order_seconds"],
        }
        for row in rows
    ]
    threads = ", ".join(sorted({str(row["threads"]) for row in rows}))
    return (
        f"Windows a second of processor time, {threads} thread(s) of PyTorch, context {CONTEXT}, H = {HORIZON}, "
        "stride 1, random order. Before the first batch of an epoch the order of all windows is drawn.\n\n"
        f"{markdown_table(lines)}"
    )


def main() -> None:
    """Run all data sets; rows that are there already are kept."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--model", default="tracetune/tiny")
    parser.add_argument("--datasets", nargs="+", default=list(DATASETS))
    parser.add_argument("--batch-size", type=int, default=64)
    parser.add_argument("--rounds", type=int, default=15)
    parser.add_argument("--output", default="docs/results/data_loading")
    arguments = parser.parse_args()
    backbone = load_backbone(arguments.model)
    results = Results("data_loading", arguments, backbone, markdown, ("dataset",))
    for dataset in arguments.datasets:
        if results.find(dataset=dataset) is None:
            row = loading_row(training_windows(dataset), backbone, arguments.batch_size, arguments.rounds)
            results.add({"dataset": dataset, **row})


if __name__ == "__main__":
    main()
