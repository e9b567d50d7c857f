"""Does what wins on validation win on the next period too, and what shrinking it does: rules beside one another.

Every long-horizon set is cut three times in time. A cut is a segment of at most ``--steps-per-cut`` steps and three
channels: 60 % train, 20 % validate in several periods, 20 % test. Each method trains once per cut and seed; then its
forecasts on validation and test are measured on the way from zero-shot (g = 0) to the trained model (g = 1). Rules read
the validation losses only, and are compared on test: see ``benchmarks/next_period_report.py``.

    python -m benchmarks.next_period --cells FOLDER

A cell (set, horizon, cut, seed, method) is one file in ``--cells``, named by a digest of all that decides its numbers;
a run that was cut off goes on with the cells that are missing.
"""

import argparse
import copy
import hashlib
import json
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn
from transformers import TrainerCallback

from benchmarks.common import train_to_the_end
from tracetune.adapters.lora import LoraOptions, add_lora, trained_head
from tracetune.backbones.loading import load_backbone, weights_digest
from tracetune.base.files import write_json
from tracetune.base.seeds import seed_everything
from tracetune.data.datasets import load_dataset
from tracetune.data.panels import Panel
from tracetune.data.splits import PanelSplit, Part
from tracetune.data.windows import BatchSource, Windows, batches, chosen_rows, spread_rows
from tracetune.evaluation.periods import SampleGroups
from tracetune.heads.config import HeadConfig
from tracetune.heads.ridge import fit_ridge
from tracetune.selection.gates import Gates
from tracetune.selection.schedule import SelectionConfig
from tracetune.selection.soft_gates import soft_gates
from tracetune.tasks.forecast_data import ForecastData, forecast_data, scale_panel
from tracetune.tasks.forecasting import ForecastModel, squared_error_per_sample
from tracetune.training.trace_callback import TraceCallback
from tracetune.training.trainer import TrainingConfig

SETS = ("ETTh1", "exchange_rate", "weather", "ETTh2", "national_illness", "ETTm1", "ETTm2")
SHORT = {"national_illness": 24}  # horizon of sets that are too short for the one asked for
ENDS = (0.5, 0.75, 1.0)  # of a set, where the segments of the cuts end
FACTORS = (0.0, 0.25, 0.5, 0.75, 1.0)
CONTEXT = 256
HEAD = HeadConfig("projection", beta=4, tokens="auto")
TEST_PERIODS = 4
KEEP = 0.25
HEAD_WINDOWS = 768  # that the closed form reads


@dataclass(frozen=True)
class Method:
    """What trains, and from where.

    Attributes:
        start: "zero-shot" or "head" (in closed form).
        rate: peak learning rate of the adapters; None trains the head only.
        rank: of LoRA.
        score: by which modules are kept; None keeps all.
        soft_gates: whether to measure the trained model with a factor on each module, too.
    """

    start: str
    rate: float | None
    rank: int = 2
    score: str | None = None
    soft_gates: bool = False


METHODS = {
    "head": Method("head", None),
    "trace": Method("zero-shot", 2e-3, score="gated_dsic"),
    "lora": Method("zero-shot", 2e-3, soft_gates=True),
    "random": Method("zero-shot", 2e-3, score="random"),
    "lora, rank 1": Method("zero-shot", 2e-3, rank=1),
    "trace after head": Method("head", 5e-4, score="gated_dsic"),
    "lora, rate 8e-3": Method("zero-shot", 8e-3),
}


@dataclass(frozen=True)
class Cut:
    """One segment of a set.

    Attributes:
        data: training and validation windows.
        test: test windows.
        test_groups: their periods and channels.
    """

    data: ForecastData
    test: BatchSource
    test_groups: SampleGroups


def load_cut(name: str, horizon: int, cut: int, options: argparse.Namespace) -> Cut:
    """Read the segment that ends at ``ENDS[cut]`` of a set, its channels thinned evenly to at most three."""
    known = load_dataset(name).panel
    length = max(known.lengths)
    stop = int(ENDS[cut] * length)
    segment = known.cut(max(0, stop - options.steps_per_cut), stop)
    chosen = np.unique(np.linspace(0, len(known.channels) - 1, 3).astype(int))
    (series,) = segment.series
    series = type(series)(series.item_id, series.timestamps, series.values[chosen])
    panel = Panel((series,), tuple(known.channels[index] for index in chosen), known.freq)
    steps = len(series)
    train_end, validation_end = int(0.6 * steps), int(0.8 * steps)
    split = PanelSplit((Part(0, train_end),), (Part(train_end, validation_end),), (Part(validation_end, steps),))
    least = min(CONTEXT, max(horizon, CONTEXT // 4))
    data = forecast_data(
        panel, split, CONTEXT, horizon, min_context=least, validation_windows=options.validation_windows
    )
    values = scale_panel(panel, split.train).values
    windows = Windows(values, CONTEXT, horizon, split.test)
    rows = spread_rows(len(windows), options.test_windows, 0)
    _, channel, origin = windows.locate_rows(rows)
    periods = (origin - validation_end) * TEST_PERIODS // (steps - horizon + 1 - validation_end)
    return Cut(data, chosen_rows(windows, rows.tolist()), SampleGroups(periods, channel))


def train_method(
    cut: Cut, backbone: Any, horizon: int, method: Method, seed: int, options: argparse.Namespace
) -> ForecastModel:
    """Train a method on a cut; returns the model, PEFT's wrapper around it included."""
    seed_everything(seed)
    base: Any = copy.deepcopy(backbone).requires_grad_(False)
    model: Any = ForecastModel.from_backbone(base, horizon, None if method.start == "zero-shot" else HEAD, CONTEXT)
    if model.head is not None:
        parts = [list(_features(model, part)) for part in (cut.data.train, cut.data.validation)]
        fit_ridge(model.head, *parts, kept_directions=model.kept_directions)
    if method.rate is None:
        return model.eval()
    config = TrainingConfig(
        max_steps=options.steps, batch_size=options.batch_size, learning_rate=method.rate, evaluations=1, seed=seed
    )
    adapted = add_lora(model, LoraOptions(r=method.rank))
    callbacks: list[TrainerCallback] = []
    if method.score is not None:
        selection = SelectionConfig(keep=KEEP, score=method.score, seed=seed, cost_share=1.0, interval=0.1)
        scoring: Any = list(batches(_drawn(cut.data.validation, 64, seed), 64))
        callbacks.append(TraceCallback(selection, scoring))
    head = None if model.head is None else trained_head(adapted)
    train_to_the_end(adapted, head, cut.data.train, config, callbacks)  # type: ignore[arg-type]
    return adapted.eval()  # type: ignore[return-value]


def _features(model: ForecastModel, part: BatchSource) -> Iterator[Mapping[str, Tensor]]:
    rows = spread_rows(len(part), HEAD_WINDOWS, 0).tolist()
    for batch in batches(chosen_rows(part, rows), 256):
        with torch.no_grad():
            yield model.features(batch)


def _drawn(part: BatchSource, count: int, seed: int) -> BatchSource:
    rows = np.random.default_rng(seed).permutation(spread_rows(len(part), count, seed))
    return chosen_rows(part, rows.tolist())


def losses_on_the_way(model: Any, own_head: nn.Module | None, part: BatchSource) -> np.ndarray:
    """Losses [adapter factors, head factors, windows] between zero-shot and trained; one head factor without a head.

    The forecast is linear in the head's factor, so both ends say it all; adapters are measured at every factor.
    """
    base = model.get_base_model() if hasattr(model, "get_base_model") else model
    gates = Gates(model) if base is not model else None
    found = []
    for factor in FACTORS if gates is not None else FACTORS[-1:]:
        rows = []
        for batch in batches(part, 128):
            with torch.inference_mode():
                if gates is None:
                    forecasts = _forecasts(base, own_head, batch)
                else:
                    with gates.apply(torch.full((gates.M,), factor)):
                        forecasts = _forecasts(base, own_head, batch)
                targets = batch["future_values"], batch["future_mask"]
                rows.append(torch.stack([squared_error_per_sample(forecast, *targets) for forecast in forecasts]))
        found.append(torch.cat(rows, dim=1).double().numpy())
    return np.stack(found)


def _forecasts(base: Any, own_head: nn.Module | None, batch: Mapping[str, Tensor]) -> list[Tensor]:
    """Forecasts [B, C, H] at every factor of the head."""
    if own_head is None:
        return [base(batch["past_values"], batch["input_mask"]).forecast]
    tokens, statistics = base.encode(batch["past_values"], batch["input_mask"])
    first = statistics.denormalise(own_head(tokens).float())
    last = base.decode(tokens, statistics)
    return [first + factor * (last - first) for factor in FACTORS]


def soft_gated(model: Any, cut: Cut) -> dict[str, Any]:
    """Losses [period, item] with a factor on each module, chosen on the validation periods."""
    periods = [
        list(batches(chosen_rows(cut.data.validation, np.flatnonzero(cut.data.groups.periods == period).tolist()), 64))
        for period in range(int(cut.data.groups.periods.max()) + 1)
    ]
    gates = Gates(model)
    found = soft_gates(gates, periods)
    losses = {}
    with gates.apply(torch.tensor([found.factors[name] for name in gates.names])), torch.inference_mode():
        for part, windows, groups in (
            ("validation", cut.data.validation, cut.data.groups),
            ("test", cut.test, cut.test_groups),
        ):
            rows = [model(**batch).sample_losses.double().numpy() for batch in batches(windows, 128)]
            losses[part] = in_groups(np.concatenate(rows), groups)
    return {**losses, "factors": [round(factor, 4) for factor in found.factors.values()]}


def in_groups(losses: np.ndarray, groups: SampleGroups) -> list[Any]:
    """Mean losses [..., periods, items] of windows [..., S]."""
    shape = int(groups.periods.max()) + 1, int(groups.items.max()) + 1
    place = groups.periods * shape[1] + groups.items
    counts = np.maximum(np.bincount(place, minlength=shape[0] * shape[1]), 1)
    flat = losses.reshape(-1, losses.shape[-1])
    sums = np.stack([np.bincount(place, weights=row, minlength=shape[0] * shape[1]) for row in flat])
    return np.round((sums / counts).reshape(*losses.shape[:-1], *shape), 6).tolist()


def run_cell(cell: dict[str, Any], cut: Cut, backbone: Any, options: argparse.Namespace) -> dict[str, Any]:
    """Train one method and measure it; ``validation`` and ``test`` are [adapter factor, head factor, period, item]."""
    started = time.process_time()
    method = METHODS[cell["method"]]
    model: Any = train_method(cut, backbone, cell["horizon"], method, cell["seed"], options)
    trained = time.process_time()
    own_head = None
    if method.start == "head":
        own_head = ForecastModel.from_backbone(backbone, cell["horizon"], HEAD, CONTEXT).head
        assert own_head is not None, "a start from the head has one"
        own_head.eval()
    losses = {
        "validation": in_groups(losses_on_the_way(model, own_head, cut.data.validation), cut.data.groups),
        "test": in_groups(losses_on_the_way(model, own_head, cut.test), cut.test_groups),
    }
    soft = soft_gated(model, cut) if method.soft_gates else None
    adapters = sum(p.numel() for name, p in model.named_parameters() if ".lora_" in name)
    if adapters:
        model.save_pretrained(Path(options.cells) / "adapters" / digest(cell))
    seconds = {"training": trained - started, "all": time.process_time() - started}
    return {**cell, "adapters": adapters, "cpu_seconds": seconds, **losses, "soft_gates": soft}


def planned(options: argparse.Namespace, weights: str) -> Iterator[dict[str, Any]]:
    """All cells, in an order in which a run that is cut off has seen every set."""
    settings = {
        name: getattr(options, name)
        for name in ("steps", "batch_size", "steps_per_cut", "validation_windows", "test_windows")
    }
    for seed in options.seeds:
        for horizon in options.horizons:
            for cut in options.cuts:
                for name in options.datasets:
                    for method in options.methods:
                        yield {
                            "dataset": name,
                            "horizon": SHORT.get(name, horizon),
                            "cut": cut,
                            "seed": seed,
                            "method": method,
                            "weights": weights,
                            "settings": {"context": CONTEXT, **settings},
                        }


def digest(cell: dict[str, Any]) -> str:
    """Name of a cell's file."""
    return hashlib.sha256(json.dumps(cell, sort_keys=True).encode()).hexdigest()[:16]


def main() -> None:
    """Make the cells that are missing."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--cells", required=True, help="folder of finished cells")
    parser.add_argument("--datasets", nargs="+", default=list(SETS))
    parser.add_argument("--horizons", nargs="+", type=int, default=[96])
    parser.add_argument("--cuts", nargs="+", type=int, default=[0, 1, 2])
    parser.add_argument("--seeds", nargs="+", type=int, default=[0])
    parser.add_argument("--methods", nargs="+", choices=list(METHODS), default=list(METHODS))
    parser.add_argument("--model", default="tracetune/tiny")
    parser.add_argument("--steps", type=int, default=60)
    parser.add_argument("--batch-size", type=int, default=8)
    parser.add_argument("--steps-per-cut", type=int, default=3600)
    parser.add_argument("--validation-windows", type=int, default=120)
    parser.add_argument("--test-windows", type=int, default=120)
    options = parser.parse_args()
    backbone = load_backbone(options.model).eval()
    weights = weights_digest(backbone)[:12]
    opened: Callable[..., Cut] = load_cut
    place: tuple[Any, ...] = ()
    for cell in planned(options, weights):
        target = Path(options.cells) / f"{digest(cell)}.json"
        if target.exists():
            continue
        target.parent.mkdir(parents=True, exist_ok=True)
        if place != (cell["dataset"], cell["horizon"], cell["cut"]):
            place = (cell["dataset"], cell["horizon"], cell["cut"])
            cut = opened(*place, options)
        write_json(target, row := run_cell(cell, cut, backbone, options))
        means = [np.mean(row[part][at][at]) for part in ("validation", "test") for at in (0, -1)]
        print(*place, cell["seed"], cell["method"], np.round(means, 4), row["cpu_seconds"], flush=True)


if __name__ == "__main__":
    main()
