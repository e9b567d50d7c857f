"""How many windows of a long table a fit has to see: whole fits with default TRACE, and heads alone.

Whole fits differ in the windows that count as one epoch, ``epoch_windows``; heads alone (``linear_probe``) in how many
windows their features are of. A set is one of the long ones with its published borders, all channels or one of them
(``ETTm1:OT``), or ``simulated``: 300,000 steps of 15 minutes with a day, a week, a year, noise that lasts and a drift.
Or ``panel``: 30,000 quarterly series of 20 to 60 steps, whose last horizon is the test part.
Validation is what a fit makes of the validation part: up to 2,048 windows in several periods. The test part is measured
with the model that comes out. Cells run in processes of their own, as many at once as ``--jobs`` says.

    python -m benchmarks.long_series --sets ETTm1 ETTm2 weather simulated --epoch-windows 2000 5000 10000 20000
    python -m benchmarks.long_series --sets panel --horizon 8 --context 64 --epoch-windows 20000 --output FILE
"""

import argparse
import time
from concurrent.futures import ProcessPoolExecutor, as_completed
from dataclasses import replace
from multiprocessing import get_context
from typing import Any

import numpy as np
import torch

from benchmarks.common import CONTEXT, Batch, Results, Row, grouped, test_errors
from tracetune.backbones.loading import load_backbone
from tracetune.base.device import resolve_device
from tracetune.data.batch_source import BatchSource, chosen_rows, spread_rows, spread_sample
from tracetune.data.datasets import load_dataset
from tracetune.data.panels import Panel, Series
from tracetune.data.splits import Borders, split_panel
from tracetune.data.windows import Windows, batches
from tracetune.estimators.forecasting.fit_data import split_frames
from tracetune.evaluation.cost import peak_memory_bytes
from tracetune.fitting.config import FitConfig
from tracetune.fitting.fit import fit
from tracetune.report.tables import markdown_table
from tracetune.tasks.forecasting.data import ForecastData, forecast_data, scale_panel
from tracetune.tasks.forecasting.model import Forecasting
from tracetune.training.config import ALL
from tracetune.training.run import Run

SIMULATED, STEPS = "simulated", 300_000
PANEL, SERIES, SHORTEST, LONGEST = "panel", 30_000, 20, 60
_TEST_WINDOWS = 4096


def simulated_load(steps: int, seed: int = 0) -> np.ndarray:
    """Return a simulated series [1, steps] of quarters of an hour: a day, a week, a year, noise that lasts, a drift."""
    random = np.random.default_rng(seed)
    time_of = 2 * np.pi * np.arange(steps)
    day, week, year = time_of / 96, time_of / 672, time_of / 35_040
    season = (2 + 0.5 * np.sin(year)) * np.sin(day) + np.sin(2 * day + 1) + np.sin(week) + 0.5 * np.sin(3 * week)
    shocks = random.normal(size=steps)
    noise = np.empty(steps)
    last = 0.0
    for step, shock in enumerate(shocks):
        last = 0.95 * last + 0.3 * shock
        noise[step] = last
    return (10 + season + noise + np.cumsum(0.005 * random.normal(size=steps)))[None]


def long_panel(name: str) -> tuple[Panel, Borders]:
    """Return a panel of one long series, and its borders."""
    if name == SIMULATED:
        stamps = np.datetime64("2015-01-01", "ns") + np.arange(STEPS) * np.timedelta64(15, "m")
        borders = Borders(int(0.7 * STEPS), int(0.8 * STEPS), STEPS)
        return Panel((Series("load", stamps, simulated_load(STEPS)),), ("load",), "15min"), borders
    name, _, channel = name.partition(":")
    known = load_dataset(name)
    assert known.borders is not None, "long sets have published borders"
    if not channel:
        return known.panel, known.borders
    (series,) = known.panel.series
    values = series.values[[list(known.panel.channels).index(channel)]]
    return replace(known.panel, series=(replace(series, values=values),), channels=(channel,)), known.borders


def many_short_series(seed: int = 0) -> Panel:
    """Return simulated quarterly series: growth, noise that stays and noise that goes, on two of three a season."""
    random = np.random.default_rng(seed)
    ends = np.datetime64("2005-01", "M") + 3 * np.arange(LONGEST)
    series = []
    for number in range(SERIES):
        steps = int(random.integers(SHORTEST, LONGEST + 1))
        season = random.normal(size=4) * random.choice([0, 0.05, 0.15])
        growth = random.normal(0.005, 0.015) + random.choice([0.005, 0.015, 0.04]) * random.normal(size=steps)
        logs = random.normal(7) + growth.cumsum() + np.resize(season, steps) + 0.01 * random.normal(size=steps)
        series.append(Series(f"Q{number}", ends[-steps:].astype("datetime64[ns]"), np.exp(logs)[None]))
    return Panel(tuple(series), ("value",), "QS-OCT")


def long_case(name: str, context: int, horizon: int) -> tuple[ForecastData, BatchSource]:
    """Return training and validation windows as a fit makes them, and evenly drawn test windows."""
    most = FitConfig.validation_windows
    if name == PANEL:
        panel = many_short_series()
        parts = split_frames(panel.cut(None, -horizon), None, context, horizon)
        data = forecast_data(parts.panel, parts.split, context, horizon, 1, parts.min_context, most)
        train, tested = parts.split.train, [(length - horizon, length) for length in panel.lengths]
    else:
        panel, borders = long_panel(name)
        split = split_panel(panel, borders)
        data = forecast_data(panel, split, context, horizon, validation_windows=most)
        train, tested = split.train, list(split.test)
    test = Windows(scale_panel(panel, train).values, context, horizon, tested)
    return data, chosen_rows(test, spread_rows(len(test), _TEST_WINDOWS, seed=0).tolist())


class Reads:
    """Training windows that note from how many series some were read: for the head first, then for the adapters."""

    def __init__(self, windows: Windows) -> None:
        self.windows = windows
        self.seen = np.zeros(len(windows.values), dtype=bool)

    def __len__(self) -> int:
        return len(self.windows)

    def __getitems__(self, indices: list[int]) -> Batch:
        """Return rows ``indices`` as one batch."""
        self.seen[self.windows.locate_rows(np.asarray(indices))[0]] = True
        return self.windows.__getitems__(indices)


def cell(case: tuple[str, int, float, int, int], options: argparse.Namespace) -> Row:
    """Return the losses, seconds and winner of one fit."""
    name, seed, rate, epoch_windows, head_windows = case
    torch.set_num_threads(options.threads)
    data, test = long_case(name, options.context, options.horizon)
    windows = len(data.train)
    reads = Reads(data.train) if isinstance(data.train, Windows) else None
    data = data if reads is None else replace(data, train=reads)
    if head_windows:
        data = replace(data, train=spread_sample(data.train, head_windows, seed))
    config = _config(seed, rate, epoch_windows or ALL, alone=head_windows > 0)
    device = str(resolve_device(options.device))
    backbone = load_backbone(options.model).to(device)
    began, worked = time.perf_counter(), time.process_time()
    with Run.at(None, device, ()) as run:
        fitted = fit(Forecasting(options.horizon, options.context), backbone, data, config, run)
    seconds, processor = time.perf_counter() - began, time.process_time() - worked
    record = fitted.record

    def forecast(batch: Batch) -> torch.Tensor:
        known = {key: batch[key].to(device) for key in ("past_values", "input_mask")}
        return fitted.model(**known).forecast.cpu()

    return {
        "set": name, "seed": seed, "learning_rate": rate, "epoch_windows": epoch_windows, "head_windows": head_windows,
        "windows": windows, "winner": record.winner,
        "losses": {each["name"]: each["validation_loss"] for each in record.candidates},
        "gains": {each["name"]: (each["gain"], each["error"]) for each in record.candidates},
        "factors": {each["name"]: each["factor"] for each in record.candidates},
        "series_seen": None if reads is None else int(reads.seen.sum()),
        "seconds": seconds, "processor_seconds": processor, "phases": record.seconds, "steps": [
            max((entry.get("step", 0) for entry in log), default=0) for log in record.history.values()],
        "peak_memory": peak_memory_bytes(), "test": test_errors(forecast, batches(test, 256)),
    }  # fmt: skip


def _config(seed: int, rate: float, epoch_windows: Any, alone: bool) -> FitConfig:
    """Return a whole fit with default TRACE, or a head ``alone``, whose windows are counted before."""
    defaults = FitConfig()
    return replace(
        defaults,
        method="linear_probe" if alone else "trace",
        training=replace(defaults.training, seed=seed, learning_rate=rate, epoch_windows=epoch_windows),
        head_training=replace(defaults.head_training, seed=seed, epoch_windows=epoch_windows),
    )


def summary(rows: list[Row]) -> str:
    """Return whole fits by set, then heads alone."""
    fits = sorted(
        (row for row in rows if not row["head_windows"]), key=lambda row: row["epoch_windows"] or row["windows"]
    )
    heads = sorted((row for row in rows if row["head_windows"]), key=lambda row: row["head_windows"])
    parts = []
    for (name,), group in grouped(sorted(fits, key=lambda row: row["set"]), "set"):
        parts.append(
            f"## {name}, {group[0]['windows']:,} windows\n\n" + markdown_table([_of_fit(row) for row in group])
        )
    if heads:
        parts.append("## Heads alone\n\n" + markdown_table([_of_head(row) for row in heads]))
    return "\n\n".join(parts)


def _of_fit(row: Row) -> Row:
    losses = row["losses"]
    return {
        "windows an epoch": f"{row['epoch_windows']:,}" if row["epoch_windows"] else "all", "seed": row["seed"],
        "zero-shot": losses["zero-shot"], "head": losses["head"],
        "trace": losses["trace"], "trace to zero-shot": f"{losses['trace'] / losses['zero-shot'] - 1:.1%}",
        "comes out": row["winner"], "steps": sum(row["steps"][1:]),
        "test MSE": row["test"]["mse"], "series seen": row.get("series_seen"),
        "processor seconds": row.get("processor_seconds"),
    }  # fmt: skip


def _of_head(row: Row) -> Row:
    return {
        "set": row["set"], "windows": f"{row['head_windows']:,}", "zero-shot": row["losses"]["zero-shot"],
        "head": row["losses"]["head"],
    }  # fmt: skip


def main() -> None:
    """Run the cells that are not there yet, the longest first."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--sets", nargs="+", default=["ETTm1", "ETTm2", "weather", SIMULATED])
    parser.add_argument("--epoch-windows", nargs="*", type=int, default=[2000, 5000, 10_000, 20_000])
    parser.add_argument("--head-windows", nargs="*", type=int, default=[])
    parser.add_argument("--seeds", nargs="+", type=int, default=[0])
    parser.add_argument("--learning-rates", nargs="+", type=float, default=[5e-4])
    parser.add_argument("--model", default="tracetune/tiny")
    parser.add_argument("--horizon", type=int, default=96)
    parser.add_argument("--context", type=int, default=CONTEXT)
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--jobs", type=int, default=1)
    parser.add_argument("--output", default="docs/results/long_series")
    options = parser.parse_args()
    identity = ("set", "seed", "learning_rate", "epoch_windows", "head_windows")
    cases = ("sets", "epoch_windows", "head_windows", "seeds", "learning_rates", "jobs", "output")
    backbone = load_backbone(options.model)
    results = Results("long_series", options, backbone, summary, identity, cases, device=options.device)
    sizes = [(size, 0) for size in options.epoch_windows] + [(0, size) for size in options.head_windows]
    wanted = [
        (name, seed, rate, *size)
        for name in options.sets
        for seed in options.seeds
        for rate in options.learning_rates
        for size in sizes
    ]
    missing = [each for each in wanted if results.find(**dict(zip(identity, each, strict=True))) is None]
    missing.sort(key=lambda each: -(each[3] or (10**9 if not each[4] else each[4] / 100)))
    with ProcessPoolExecutor(options.jobs, mp_context=get_context("spawn")) as pool:
        for done in as_completed(pool.submit(cell, each, options) for each in missing):
            results.add(done.result())


if __name__ == "__main__":
    main()
