"""Forecasts of short series: M1, M3, M4 weekly and hourly by sMAPE, MASE and OWA, beside the classic methods.

Errors are those of the competitions: sMAPE and MASE of each series over its one horizon, then their mean over series;
OWA is the mean of both, each relative to that of Naive2 on the same series (Makridakis et al. 2020). M4 weekly and
"other" have season 1. Whoever learns or chooses anything does so on the past of the series; the horizon is read once.

Every cell (a data set, a method, and a training seed of those that train) is a file in the folder of cells, so that a
run which is cut off goes on.

    python -m benchmarks.short_horizon_table --cells FOLDER
"""

import argparse
import time
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.common import commit, grouped, processor_name
from tracetune.base.files import read_json, staged_file, write_json
from tracetune.data.datasets import DatasetInfo, load_dataset
from tracetune.data.panels import Panel
from tracetune.evaluation.baselines import auto_ets, auto_theta, naive2, seasonal_naive
from tracetune.evaluation.metrics import mase, naive_scale, owa, smape
from tracetune.evaluation.protocol import ProtocolFingerprint
from tracetune.report.tables import markdown_table

DATASETS = (
    "m1_yearly", "m1_quarterly", "m1_monthly", "m3_yearly", "m3_quarterly", "m3_monthly", "m3_other", "m4_weekly",
    "m4_hourly",
)  # fmt: skip
REFERENCE = "naive2"
TRAINING_WINDOWS, TRAINING_STEPS = 1500, 30


@dataclass(frozen=True)
class Case:
    """The series of one data set that are forecast.

    Attributes:
        info: what is known of the data set.
        panel: pasts.
        truth: [S, H], what came after them.
        horizon: H.
        season: steps of one season.
    """

    info: DatasetInfo
    panel: Panel
    truth: np.ndarray
    horizon: int
    season: int

    @property
    def pasts(self) -> list[np.ndarray]:
        """Return the past [T] of each series."""
        return [series.values[0] for series in self.panel]


@dataclass(frozen=True)
class Settings:
    """Settings of all cells of a folder.

    Attributes:
        model: the foundation model.
        series: how many of a data set, drawn by the seed; None for all.
        seed: see there.
    """

    model: str
    series: int | None
    seed: int


def load_case(name: str, settings: Settings) -> Case:
    """Return the series of a data set, or a random part of them, the same for every method."""
    known = load_dataset(name)
    assert known.test_panel is not None, "short data sets come with their horizon"
    count = len(known.panel) if settings.series is None else min(settings.series, len(known.panel))
    chosen = np.sort(np.random.default_rng(settings.seed).permutation(len(known.panel))[:count])
    truth = np.concatenate([known.test_panel.series[item].values for item in chosen])
    panel = replace(known.panel, series=tuple(known.panel.series[item] for item in chosen))
    return Case(known.info, panel, truth, known.info.horizons[0], known.info.seasonality)


def forecast_naive2(case: Case, settings: Settings) -> np.ndarray:
    """Return forecasts [S, H] of Naive2."""
    return np.stack([naive2(past, case.season, case.horizon) for past in case.pasts])


def forecast_seasonal_naive(case: Case, settings: Settings) -> np.ndarray:
    """Return forecasts [S, H] of the last season."""
    return np.stack([seasonal_naive(past, case.season, case.horizon) for past in case.pasts])


def forecast_auto_ets(case: Case, settings: Settings) -> np.ndarray:
    """Return forecasts [S, H] of AutoETS."""
    return auto_ets(case.pasts, case.season, case.horizon)


def forecast_auto_theta(case: Case, settings: Settings) -> np.ndarray:
    """Return forecasts [S, H] of AutoTheta."""
    return auto_theta(case.pasts, case.season, case.horizon)


def zero_shot(case: Case, settings: Settings) -> Any:
    """Return the foundation model as it is."""
    return _foundation(case, settings)


def at_resolution(case: Case, settings: Settings) -> Any:
    """Return the foundation model as a backtest of the pasts chooses to read series."""
    return _foundation(case, settings).choose_resolution(case.panel, season=case.season)


def _foundation(case: Case, settings: Settings) -> Any:
    from tracetune.estimators.forecasting.forecaster import Forecaster

    return Forecaster.from_pretrained(settings.model, case.horizon)


def fitted(base: Any, case: Case, method: str, training_seed: int) -> Any:
    """Return the winner among zero-shot, head and method on the end of the pasts.

    About ``TRAINING_WINDOWS`` train, evenly spaced.
    """
    from tracetune.fitting.config import FitConfig
    from tracetune.training.config import TrainingConfig

    stride = max(1, sum(case.panel.lengths) // TRAINING_WINDOWS)
    head = TrainingConfig(num_train_epochs=3, seed=training_seed)
    training = TrainingConfig(max_steps=TRAINING_STEPS, batch_size=32, evaluations=3, seed=training_seed)
    config = FitConfig(
        method=method, head_training=head, training=training, train_stride=stride, validation_windows=400
    )  # type: ignore[arg-type]  # methods go by name too
    return base.fit(case.panel, config=config)


def read_as(case: Case, settings: Settings, known: dict[str, Any] | None) -> Any:
    """Return the foundation model that reads series as a cell of `at_resolution` says; without one it is chosen."""
    from tracetune import Adjustment, Forecaster

    if known is None:
        return at_resolution(case, settings)
    how = {"resolution": known["resolutions"], "adjustment": Adjustment(known["trend"], known["season"])}
    return Forecaster.from_pretrained(settings.model, case.horizon, **how)


def _points(model: Any, case: Case) -> np.ndarray:
    """Return point forecasts [S, H] of a forecaster, series of like length in one batch."""
    order = sorted(range(len(case.panel)), key=lambda item: case.panel.lengths[item])
    panel = replace(case.panel, series=tuple(case.panel.series[item] for item in order))
    found = next(model.predict_frames([panel], batch_size=64))["predictions"].to_numpy().reshape(len(order), -1)
    return found[np.argsort(order)]


METHODS: dict[str, Callable[[Case, Settings], Any]] = {
    REFERENCE: forecast_naive2,
    "seasonal naive": forecast_seasonal_naive,
    "AutoETS": forecast_auto_ets,
    "AutoTheta": forecast_auto_theta,
    "zero-shot": zero_shot,
    "zero-shot, resolution": at_resolution,
}
"""Functions that return forecasts [S, H], or a forecaster that makes them."""
TRAINED = {"linear probe": "linear_probe", "full": "full", "LoRA": "lora", "AdaLoRA": "adalora", "TRACE": "trace"}
"""Columns of what is trained, and their names as methods."""
CLASSIC = ("AutoETS", "AutoTheta")


def make_cell(
    dataset: str, method: str, settings: Settings, training_seed: int = 0, chosen: dict[str, Any] | None = None
) -> dict[str, Any]:
    """Return the errors of a method on a data set, with what they depend on.

    What is trained starts at the resolution that was ``chosen`` in the cell of `at_resolution`, if that is there.
    """
    case = load_case(dataset, settings)
    started, processor = time.perf_counter(), time.process_time()
    if method in TRAINED:
        made = fitted(read_as(case, settings, chosen), case, TRAINED[method], training_seed)
    else:
        made = METHODS[method](case, settings)
    forecast = made if isinstance(made, np.ndarray) else _points(made, case)
    seconds, processor = time.perf_counter() - started, time.process_time() - processor
    mark = ProtocolFingerprint(
        dataset=dataset, data_sha256=case.info.files[0].content_sha256, borders=(0, 0, case.horizon),
        context_length=0, prediction_length=case.horizon, seed=settings.seed, scaler="none", metric_space="original",
        train_windows=0,
    )  # fmt: skip
    return {
        "dataset": dataset,
        "method": method,
        "series": len(case.panel),
        "shortest": min(case.panel.lengths),
        "longest": max(case.panel.lengths),
        **errors(case.pasts, case.truth, forecast, case.season),
        "training_seed": training_seed,
        "seconds": seconds,
        "processor_seconds": processor,
        **({} if isinstance(made, np.ndarray) else _notes(made)),
        "settings": asdict(settings),
        "fingerprint": mark.to_dict(),
        "commit": commit(),
        "processor": processor_name("auto"),
    }


def errors(pasts: Sequence[np.ndarray], truth: np.ndarray, forecast: np.ndarray, season: int) -> dict[str, float]:
    """Return sMAPE and MASE, means over series; constant pasts have no MASE and are left out of its mean."""
    scale = np.stack([naive_scale(past, season) for past in pasts])
    return {
        "smape": float(np.mean(smape(truth, forecast, axis=-1))),
        "mase": float(np.nanmean(mase(truth, forecast, axis=-1, scale=scale))),
    }


def _notes(model: Any) -> dict[str, Any]:
    """Return how a forecaster reads series, and what came out of its fit: the candidate, and how much it trained."""
    found = {"resolutions": list(model.resolutions), **asdict(model.adjustment)}
    if model.trace is None:
        return found
    trained = sum(model.trace["parameters"].get(part, 0) for part in ("head", "adapters", "backbone"))
    return {**found, "winner": model.trace["winner"], "trained_parameters": trained}


def cell_path(folder: Path, dataset: str, method: str, training_seed: int = 0) -> Path:
    """Return where a cell is kept."""
    seed = f"--{training_seed}" if training_seed else ""
    return folder / f"{dataset}--{method.replace(',', '').replace(' ', '_')}{seed}.json"


def read_cells(folder: Path, settings: Settings) -> list[dict[str, Any]]:
    """Return the cells of a folder that were made with these settings."""
    cells = [read_json(path) for path in sorted(folder.glob("*.json"))]
    return [cell for cell in cells if cell["settings"] == asdict(settings)]


def table(cells: Sequence[dict[str, Any]], metric: str) -> list[dict[str, Any]]:
    """Return a row a data set and a column a method: means over training seeds."""
    return [
        {name: value if isinstance(value, str) else float(np.mean(value)) for name, value in row.items()}
        for row in by_seed(cells, metric)
    ]


def with_deviations(cells: Sequence[dict[str, Any]], metric: str) -> list[dict[str, Any]]:
    """Return the rows of `table` as text, with the deviation between training seeds where they differ."""
    return [{name: _spread(value) for name, value in row.items()} for row in by_seed(cells, metric)]


def _spread(value: str | list[float]) -> str:
    if isinstance(value, str):
        return value
    mean = f"{np.mean(value):#.4g}"
    return f"{mean} ± {np.std(value, ddof=1):.2g}" if np.ptp(value) > 0 else mean


def by_seed(cells: Sequence[dict[str, Any]], metric: str) -> list[dict[str, Any]]:
    """Return a row a data set and a column a method, with a list of the values of all its training seeds."""
    found: dict[tuple[str, str], list[float]] = {}
    for cell in with_owa(cells):
        found.setdefault((cell["dataset"], cell["method"]), []).append(cell[metric])
    methods = [method for method in (*METHODS, *TRAINED) if any(other == method for _, other in found)]
    datasets = [name for name in DATASETS if any(other == name for other, _ in found)]
    return [
        {"data set": name, **{method: found[name, method] for method in methods if (name, method) in found}}
        for name in datasets
    ]


def beside_the_better_classic(rows: Sequence[dict[str, Any]]) -> list[dict[str, Any]]:
    """Return a row a method: its mean error relative to the better of AutoETS and AutoTheta on each data set.

    Over data sets where both of these were made; how many of these a method has, and on how many it is ahead, too.

    Args:
        rows: those of `table`.
    """
    both = [row for row in rows if all(name in row for name in CLASSIC)]
    found = []
    for method in (*METHODS, *TRAINED):
        ratios = [row[method] / min(row[name] for name in CLASSIC) for row in both if method in row]
        if ratios:
            mean, ahead = float(np.mean(ratios)), sum(ratio < 1 for ratio in ratios)
            found.append({"method": method, "relative OWA": mean, "data sets": len(ratios), "ahead": ahead})
    return found


def with_owa(cells: Sequence[dict[str, Any]]) -> list[dict[str, Any]]:
    """Return the cells with their OWA, where Naive2 of the same series is there."""
    reference = {cell["dataset"]: cell for cell in cells if cell["method"] == REFERENCE}
    return [
        {
            **cell,
            "owa": owa(
                cell["smape"], cell["mase"], reference[cell["dataset"]]["smape"], reference[cell["dataset"]]["mase"]
            ),
        }
        for cell in cells
        if cell["dataset"] in reference
    ]


def summarise(cells: Sequence[dict[str, Any]], settings: Settings) -> str:
    """Return the tables in Markdown."""
    commits, processors = ({cell[name] for cell in cells} for name in ("commit", "processor"))
    found = [row["data set"] for row in table(cells, "seconds")]
    seeds = " ".join(str(seed) for seed in sorted({cell["training_seed"] for cell in cells}))
    made = f"python -m benchmarks.short_horizon_table --cells FOLDER --training-seeds {seeds}"
    counts = {name: next(cell["series"] for cell in cells if cell["dataset"] == name) for name in found}
    drawn = "" if settings.series is None else f", at most {settings.series} series a data set, seed {settings.seed}"
    parts = [
        f"`{made}` with `{settings.model}`{drawn}, at commits {', '.join(sorted(commits))}, "
        f"on {' and '.join(sorted(processors))}",
        "# Short series",
        (__doc__ or "").partition("\n\n")[2].partition("\n\nEvery cell")[0],
        f"Series: {', '.join(f'{name} {count}' for name, count in counts.items())}. An empty cell was not made; the "
        "same command goes on with it. Means over training seeds, and the deviation between these where they differ. "
        f"Fine-tuning saw at most about {TRAINING_WINDOWS:,} windows of the pasts of the "
        f"same series; adapters took {TRAINING_STEPS} steps; what came out is the best on the last part of the pasts. "
        "How series are read, resolution, trend and season, is chosen by backtests on the pasts, and is the same for "
        "zero-shot with resolution and for all that is trained.",
    ]
    beside = beside_the_better_classic(table(cells, "owa"))
    parts.append(
        "## Beside the better classic method\n\nMean OWA relative to the better of AutoETS and AutoTheta on each data "
        "set; over how many data sets that is, and on how many of them the method is ahead.\n\n"
        f"{markdown_table(beside)}"
    )
    for metric, title in (("owa", "OWA"), ("smape", "sMAPE"), ("mase", "MASE")):
        parts.append(f"## {title}\n\n{markdown_table(with_deviations(cells, metric))}")
    parts.append(f"## Processor seconds\n\n{markdown_table(table(cells, 'processor_seconds'))}")
    parts.append(f"## What was chosen\n\n{markdown_table(chosen(cells))}")
    return "\n\n".join(parts)


def chosen(cells: Sequence[dict[str, Any]]) -> list[dict[str, Any]]:
    """Return a row a data set and a method that reads series as was chosen: how, and what came out of its fits."""
    reading = [cell for cell in cells if cell.get("resolutions", [1]) != [1] or cell.get("trend", 0)]
    return [
        {
            "data set": dataset,
            "method": method,
            **{name: made[0][name] for name in ("resolutions", "trend", "season")},
            "winners": ", ".join(cell["winner"] for cell in made if "winner" in cell),
            "trained parameters": ", ".join(
                f"{cell['trained_parameters']:,}" for cell in made if "trained_parameters" in cell
            ),
        }
        for (dataset, method), made in grouped(reading, "dataset", "method")
    ]


def main() -> None:
    """Make the cells that are not there yet, and write the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--datasets", nargs="+", choices=DATASETS, default=list(DATASETS))
    parser.add_argument("--methods", nargs="*", choices=[*METHODS, *TRAINED], default=[*METHODS, *TRAINED])
    parser.add_argument("--model", default="tracetune/tiny")
    parser.add_argument("--series", type=int, help="of each data set, drawn by the seed; without it all")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument(
        "--training-seeds", type=int, nargs="+", default=[0], help="of what is trained; means are shown"
    )
    parser.add_argument("--cells", required=True, help="folder of cells; those that are there are kept")
    parser.add_argument("--output", help="Markdown file for the table; without it it is printed")
    arguments = parser.parse_args()
    settings, folder = Settings(arguments.model, arguments.series, arguments.seed), Path(arguments.cells)
    folder.mkdir(parents=True, exist_ok=True)
    for dataset in arguments.datasets:
        for method in arguments.methods:
            for seed in arguments.training_seeds if method in TRAINED else [0]:
                path = cell_path(folder, dataset, method, seed)
                if path.is_file():
                    continue
                chosen = cell_path(folder, dataset, "zero-shot, resolution")
                known = read_json(chosen) if chosen.is_file() else None
                cell = make_cell(dataset, method, settings, seed, known)
                write_json(path, cell)
                print({name: cell[name] for name in ("dataset", "method", "smape", "mase", "seconds")}, flush=True)
    cells = read_cells(folder, settings)
    text = summarise(cells, settings)
    if arguments.output is None:
        print(text)
        return
    write_json(Path(arguments.output).with_suffix(".json"), {"cells": cells})
    with staged_file(Path(arguments.output)) as temporary:
        temporary.write_text(text + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
