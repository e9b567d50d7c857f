"""Cost of an adapter at prediction time, and memory by the number of series.

Adapter: one batch through the same backbone and compact head, bare, with LoRA (r = 2) on every linear layer, and with
the adapter merged into the weights. The three take turns; a round gives the median time of each, ratios are taken
within rounds; seconds of the processor stand beside, which other work on the machine disturbs less.

Series: ``Forecaster.predict_arrays`` over univariate series of 512 steps that are made as they are asked for, each
number of series in a process of its own; memory is the peak after one whole batch, and at the end.

    python -m benchmarks.prediction --model tracetune/tiny
"""

import argparse
import copy
import multiprocessing
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ProcessPoolExecutor
from statistics import median
from typing import Any

import numpy as np
import torch
from peft import PeftModel
from torch import Tensor, nn

from benchmarks.common import CONTEXT, Results, Row, grouped
from tracetune.adapters.checkpoint import merged
from tracetune.adapters.lora import LoraOptions, add_lora
from tracetune.backbones.loading import load_backbone
from tracetune.base.seeds import seed_everything
from tracetune.estimators.forecasting.forecaster import Forecaster
from tracetune.evaluation.cost import Stopwatch, peak_memory_bytes
from tracetune.heads.config import HeadConfig
from tracetune.report.tables import markdown_table
from tracetune.tasks.forecasting.model import ForecastModel

HORIZON = 96
HEAD = HeadConfig("projection", beta=8)
LORA = LoraOptions(r=2)
_BANK = 8192  # steps of noise that the series are cut from: making them must not cost what is measured
_MEBIBYTE = 1 << 20

Seconds = tuple[float, float]
"""On the clock, and of the processor (all threads of this process)."""


def variants(backbone: nn.Module) -> dict[str, ForecastModel | PeftModel]:
    """Return the same forecast model bare, with an adapter whose weights are not zero, and with that adapter merged."""
    seed_everything(0)
    bare = ForecastModel.from_backbone(backbone, HORIZON, HEAD, CONTEXT).eval()
    unmerged = add_lora(copy.deepcopy(bare), LORA).eval()
    with torch.no_grad():
        for name, weight in unmerged.named_parameters():
            if ".lora_B." in name:
                weight.normal_(std=0.02)
    return {"bare": bare, "adapter": unmerged, "adapter merged": merged(unmerged).eval()}


def adapter_rows(backbone: nn.Module, batch_size: int, rounds: int, repeats: int) -> Iterator[Row]:
    """Yield milliseconds of a batch for each variant, and its ratio to bare in the same round."""
    models = variants(backbone)
    batch = torch.from_numpy(np.stack(list(series(batch_size))).astype(np.float32))  # [B, 1, T]
    with torch.inference_mode():
        forecasts = {name: model(batch).forecast for name, model in models.items()}
        times = interleaved({name: _call(model, batch) for name, model in models.items()}, rounds, repeats)
    for name in models:
        wall, processor = (_ratios(times[name], times["bare"], clock) for clock in (0, 1))
        yield {
            "task": "adapter",
            "case": name,
            "batch_size": batch_size,
            "milliseconds": 1000 * median(seconds for seconds, _ in times[name]),
            "ratio": median(wall),
            "lowest_ratio": min(wall),
            "highest_ratio": max(wall),
            "processor_ratio": median(processor),
            "rounds": times[name],
            "difference_to_adapter": float((forecasts[name] - forecasts["adapter"]).abs().max()),
            "threads": torch.get_num_threads(),
        }


def interleaved(calls: dict[str, Callable[[], object]], rounds: int, repeats: int) -> dict[str, list[Seconds]]:
    """Return the median seconds of each call in each round; the calls take turns to begin."""
    names = list(calls)
    times: dict[str, list[Seconds]] = {name: [] for name in names}
    for name in names:
        calls[name]()  # first calls allocate
    for _ in range(rounds):
        seconds: dict[str, list[Seconds]] = {name: [] for name in names}
        for repeat in range(repeats):
            for name in names[repeat % len(names) :] + names[: repeat % len(names)]:
                seconds[name].append(_timed(calls[name]))
        for name in names:
            wall, processor = zip(*seconds[name], strict=True)
            times[name].append((median(wall), median(processor)))
    return times


def series(count: int, length: int = CONTEXT) -> Iterator[np.ndarray]:
    """Yield series [1, L], each with another level, scale and stretch of seasonal noise."""
    rng = np.random.default_rng(0)
    bank = np.sin(2 * np.pi * np.arange(_BANK + length) / 24) + rng.normal(size=_BANK + length)
    for number in range(count):
        start = number * 2_654_435_761 % _BANK
        yield (number % 97 + (1 + number % 7) * bank[start : start + length])[None]


def series_row(model: str, count: int, batch_size: int, threads: int | None) -> Row:
    """Return speed and peak memory of forecasting ``count`` series in this process, which should be a new one."""
    if threads is not None:
        torch.set_num_threads(threads)
    seed_everything(0)
    head = ForecastModel.from_pretrained(model, HORIZON, HEAD, CONTEXT)
    forecaster = Forecaster(head, model, device="cpu")
    for _ in forecaster.predict_arrays(series(batch_size), batch_size=batch_size):
        pass
    floor, seen, watch = peak_memory_bytes(), 0, Stopwatch()
    with watch:
        for forecast in forecaster.predict_arrays(series(count), batch_size=batch_size):
            seen += len(forecast)
    return {
        "task": "series",
        "case": str(count),
        "series": seen,
        "seconds": watch.seconds,
        "series_per_second": seen / watch.seconds,
        "memory_after_one_batch": floor,
        "memory": peak_memory_bytes(),
        "threads": torch.get_num_threads(),
    }


def in_new_process(function: Callable[..., Row], *arguments: Any) -> Row:
    """Return the result of a call in a new process: peaks of memory never go down again."""
    with ProcessPoolExecutor(1, mp_context=multiprocessing.get_context("spawn")) as pool:
        return pool.submit(function, *arguments).result()


def markdown(rows: list[Row]) -> str:
    """Return a table per task."""
    parts = []
    for (task,), group in grouped(rows, "task"):
        title, text, line = _TASKS[task]
        ordered = sorted(group, key=lambda row: row["series"]) if task == "series" else group
        threads = ", ".join(map(str, sorted({row["threads"] for row in group})))
        lines = markdown_table([line(row) for row in ordered])
        parts.append(f"## {title}\n\n{text} Threads: {threads}.\n\n{lines}")
    return "\n\n".join(parts)


def _adapter_line(row: Row) -> dict[str, Any]:
    return {
        "model": row["case"],
        "series in the batch": row["batch_size"],
        "ms a batch": f"{row['milliseconds']:.1f}",
        "ratio to bare": f"{row['ratio']:.3f}",
        "over rounds": f"{row['lowest_ratio']:.3f} to {row['highest_ratio']:.3f}",
        "ratio of processor time": f"{row['processor_ratio']:.3f}",
        "largest difference to adapter": f"{row['difference_to_adapter']:.1e}",
    }


def _series_line(row: Row) -> dict[str, Any]:
    floor, peak = row["memory_after_one_batch"] / _MEBIBYTE, row["memory"] / _MEBIBYTE
    return {
        "series": row["series"],
        "seconds": f"{row['seconds']:.1f}",
        "series a second": round(row["series_per_second"]),
        "MiB after one batch": round(floor),
        "MiB at the end": round(peak),
        "growth, MiB": f"{peak - floor:.1f}",
    }


_TASKS: dict[str, tuple[str, str, Callable[[Row], dict[str, Any]]]] = {
    "adapter": (
        "Cost of an adapter",
        f"One batch, context {CONTEXT}, H = {HORIZON}, compact head (projection, beta 8), LoRA r = 2 on every linear "
        "layer of the encoder. The three take turns; median over rounds, ratios within rounds.",
        _adapter_line,
    ),
    "series": (
        "Number of series",
        f"`Forecaster.predict_arrays` over univariate series of {CONTEXT} steps made as they are asked for, bare "
        "model, each line in a process of its own. Memory is the peak resident set.",
        _series_line,
    ),
}


def _timed(call: Callable[[], object]) -> Seconds:
    wall, processor = time.perf_counter(), time.process_time()
    call()
    return time.perf_counter() - wall, time.process_time() - processor


def _ratios(times: list[Seconds], reference: list[Seconds], clock: int) -> list[float]:
    return [first[clock] / other[clock] for first, other in zip(times, reference, strict=True)]


def _call(model: nn.Module, batch: Tensor) -> Callable[[], object]:
    return lambda: model(batch)


def main() -> None:
    """Run all rows; those that are there already are kept."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--model", default="tracetune/tiny")
    parser.add_argument("--batch-size", type=int, default=256)
    parser.add_argument("--rounds", type=int, default=9)
    parser.add_argument("--repeats", type=int, default=5, help="calls of each model in a round")
    parser.add_argument("--sizes", type=int, nargs="*", default=[10**power for power in range(2, 7)])
    parser.add_argument("--threads", type=int, help="of PyTorch; its own choice if not given")
    parser.add_argument("--output", default="docs/results/prediction")
    arguments = parser.parse_args()
    if arguments.threads is not None:
        torch.set_num_threads(arguments.threads)
    backbone = load_backbone(arguments.model)
    results = Results("prediction", arguments, backbone, markdown, ("task", "case"), cases=("sizes", "output"))
    if any(results.find(task="adapter", case=name) is None for name in ("bare", "adapter", "adapter merged")):
        results.rows = [row for row in results.rows if row["task"] != "adapter"]  # ratios are of one run
        for row in adapter_rows(backbone, arguments.batch_size, arguments.rounds, arguments.repeats):
            results.add(row)
    for size in arguments.sizes:
        if results.find(task="series", case=str(size)) is None:
            results.add(in_new_process(series_row, arguments.model, size, arguments.batch_size, arguments.threads))


if __name__ == "__main__":
    main()
