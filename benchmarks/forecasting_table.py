"""Long-horizon forecasting: heads and LoRA on a frozen backbone beside naive forecasts and DLinear.

Protocol: context 512, standard splits, scaler fitted on train, every test window (stride 1, none dropped),
MSE and MAE on scaled values, mean over seeds. Everything is chosen on validation; test is read once.

    python -m benchmarks.forecasting_table --datasets ETTh1 ETTm1 --horizon 96 --seeds 0 1 2
"""

import argparse
import copy
import subprocess
import tempfile
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from tracetune.backbones.backbone import load_backbone, weights_digest
from tracetune.base.files import write_json
from tracetune.base.seeds import seed_everything
from tracetune.data.datasets import LoadedDataset, load_dataset
from tracetune.data.splits import split_panel
from tracetune.data.windows import Windows
from tracetune.estimators.fitting import FitConfig, fit_forecaster
from tracetune.evaluation.dlinear import fit_dlinear
from tracetune.evaluation.metrics import MetricAccumulator
from tracetune.evaluation.protocol import ProtocolFingerprint
from tracetune.heads.head import HeadConfig, build_head
from tracetune.report.tables import markdown_table
from tracetune.tasks.forecast_data import ForecastData, batches, scale_panel
from tracetune.tasks.forecast_evaluation import naive_forecasters
from tracetune.tasks.forecasting import ForecastModel, HeadOnFeatures, frozen_features
from tracetune.training.prefix_cache import CachedBatches, cache_batches
from tracetune.training.trainer import TrainingConfig, build_trainer

CONTEXT = 512
HEADS = {
    "linear probe": HeadConfig("flatten"),
    "compact, beta 4": HeadConfig("projection", beta=4),
    "compact, beta 8": HeadConfig("projection", beta=8),
}


@dataclass(frozen=True)
class Case:
    """One data set at one horizon, as windows."""

    known: LoadedDataset
    horizon: int
    train: Windows
    validation: Windows
    test: Windows


def load_case(name: str, horizon: int, train_stride: int, validation_windows: int) -> Case:
    """Windows of the standard parts, scaled by the training part."""
    known = load_dataset(name)
    split = split_panel(known.panel, known.borders)
    values = scale_panel(known.panel, split.train).values
    validation = Windows(values, CONTEXT, horizon, split.validation)
    step = -(-len(validation) // validation_windows)
    return Case(
        known,
        horizon,
        Windows(values, CONTEXT, horizon, split.train, train_stride),
        Windows(values, CONTEXT, horizon, split.validation, step),
        Windows(values, CONTEXT, horizon, split.test),
    )


def score(forecast: Callable[[dict[str, Tensor]], Tensor], test: Iterator[dict[str, Tensor]]) -> dict[str, float]:
    """Exact MSE and MAE over all test windows."""
    metrics = MetricAccumulator(("mse", "mae"))
    with torch.inference_mode():
        for batch in test:
            metrics.update(batch["future_values"].numpy(), forecast(batch).numpy(), batch["future_mask"].numpy())
    return metrics.compute()


def naive_rows(case: Case) -> Iterator[dict[str, Any]]:
    """Repeat-last and the seasonal naive forecast."""
    for name, forecast in naive_forecasters(case.horizon, case.known.info.seasonality).items():
        yield {"method": name, "seed": None, "parameters": 0, **score(forecast, batches(case.test, 4096))}


def dlinear_row(case: Case, seed: int) -> dict[str, Any]:
    """DLinear, trained in full on the same windows."""
    started = time.perf_counter()
    seed_everything(seed)
    model = fit_dlinear(case.train, case.validation, CONTEXT, case.horizon)
    seconds = time.perf_counter() - started
    model.eval()
    scores = score(lambda batch: model(batch["past_values"]), batches(case.test, 4096))
    return {"method": "DLinear", "seed": seed, "parameters": _count(model), "seconds": seconds, **scores}


def zero_shot_row(case: Case, backbone: nn.Module) -> dict[str, Any]:
    """The backbone's own forecast."""
    model = ForecastModel.from_backbone(backbone, case.horizon, None, CONTEXT).eval()
    forecast = score(lambda batch: model(batch["past_values"], batch["input_mask"]).forecast, batches(case.test, 512))
    return {"method": "zero-shot", "seed": None, "parameters": 0, **forecast}


def head_rows(case: Case, backbone: nn.Module, seeds: list[int], epochs: float) -> Iterator[dict[str, Any]]:
    """Every head on features that are computed once."""
    model = ForecastModel.from_backbone(backbone, case.horizon, HeadConfig("flatten"), CONTEXT).eval()
    started = time.perf_counter()
    train, validation, test = (_cached(model, windows) for windows in (case.train, case.validation, case.test))
    print(f"features of {len(train) + len(validation) + len(test):,} windows: {time.perf_counter() - started:.0f} s")
    patches = backbone.num_patches(CONTEXT)
    for name, config in HEADS.items():
        for seed in seeds:
            seed_everything(seed)
            head = build_head(config, patches, backbone.width, case.horizon)
            started = time.perf_counter()
            loss = _train_head(head, train, validation, TrainingConfig(num_train_epochs=epochs, seed=seed))
            seconds = time.perf_counter() - started
            scores = score(lambda rows, head=head: _decode(head, rows), batches(test, 1024))
            yield {
                "method": name,
                "seed": seed,
                "parameters": _count(head),
                "validation": loss,
                "seconds": seconds,
                **scores,
            }


def lora_row(case: Case, backbone: nn.Module, seed: int, steps: int) -> dict[str, Any]:
    """LoRA on every linear layer with the compact head, from the head trained on frozen features."""
    base = ForecastModel.from_backbone(copy.deepcopy(backbone), case.horizon, None, CONTEXT)
    config = FitConfig(
        method="lora",
        head=HeadConfig("projection", beta=8),
        head_training=TrainingConfig(num_train_epochs=5, seed=seed),
        training=TrainingConfig(max_steps=steps, head_learning_rate=2e-4, learning_rate=1e-3, evaluations=6, seed=seed),
    )
    result = fit_forecaster(base, ForecastData(case.train, case.validation), config)
    scores = score(
        lambda batch: result.model(batch["past_values"], batch["input_mask"]).forecast, batches(case.test, 512)
    )
    chosen = {candidate.name: candidate.validation_loss for candidate in result.candidates}
    return {
        "method": "lora, compact beta 8", "seed": seed, "parameters": sum(result.parameters.values()),
        "validation": chosen[result.winner], "winner": result.winner, "seconds": sum(result.seconds.values()), **scores,
    }  # fmt: skip


def _cached(model: ForecastModel, windows: Windows) -> CachedBatches:
    cached = cache_batches(lambda batch: frozen_features(model, batch), windows, batch_size=512)
    assert cached is not None, "features do not fit in memory: raise --train-stride"
    return cached


def _train_head(head: nn.Module, train: CachedBatches, validation: CachedBatches, config: TrainingConfig) -> float:
    with tempfile.TemporaryDirectory() as folder:
        trainer = build_trainer(HeadOnFeatures(head), config, train, validation, folder, head=head)
        trainer.train()
        head.eval()
        return float(trainer.state.best_metric)


def _decode(head: nn.Module, rows: dict[str, Tensor]) -> Tensor:
    return head(rows["tokens"]) * rows["scale"] + rows["location"]


def _count(module: nn.Module) -> int:
    return sum(parameter.numel() for parameter in module.parameters())


def summarise(rows: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Mean and deviation over seeds, one row a data set and method."""
    groups: dict[tuple[str, str], list[dict[str, Any]]] = {}
    for row in rows:
        groups.setdefault((row["dataset"], row["method"]), []).append(row)
    return [
        {
            "data set": dataset,
            "method": method,
            "trained parameters": group[0]["parameters"],
            "seeds": len(group),
            "MSE": float(np.mean([row["mse"] for row in group])),
            "MAE": float(np.mean([row["mae"] for row in group])),
            "MSE deviation": float(np.std([row["mse"] for row in group])) if len(group) > 1 else None,
            "train seconds": float(np.mean([row["seconds"] for row in group])) if "seconds" in group[0] else None,
        }
        for (dataset, method), group in groups.items()
    ]


def main() -> None:
    """Run all rows, writing them as they come."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--datasets", nargs="+", default=["ETTh1", "ETTm1"])
    parser.add_argument("--model", default="tracetune/tiny")
    parser.add_argument("--horizon", type=int, default=96)
    parser.add_argument("--seeds", nargs="+", type=int, default=[0, 1, 2])
    parser.add_argument("--train-windows", type=int, default=60_000, help="about how many, evenly spread")
    parser.add_argument("--validation-windows", type=int, default=8192, help="about how many, evenly spread")
    parser.add_argument("--epochs", type=float, default=5)
    parser.add_argument("--lora-seeds", nargs="*", type=int, default=[0])
    parser.add_argument("--lora-steps", type=int, default=300)
    parser.add_argument("--output", default="docs/results/forecasting")
    arguments = parser.parse_args()

    backbone = load_backbone(arguments.model)
    rows: list[dict[str, Any]] = []
    for name in arguments.datasets:
        whole = len(load_case(name, arguments.horizon, 1, 1).train)
        stride = max(1, round(whole / arguments.train_windows))
        case = load_case(name, arguments.horizon, stride, arguments.validation_windows)
        for row in _rows(case, backbone, arguments):
            fingerprint = _fingerprint(case, row["seed"] or 0, len(case.train))
            rows.append({"dataset": name, **row, "fingerprint": fingerprint.to_dict()})
            print({key: value for key, value in rows[-1].items() if key != "fingerprint"}, flush=True)
            _write(arguments, backbone, rows)


def _rows(case: Case, backbone: nn.Module, arguments: argparse.Namespace) -> Iterator[dict[str, Any]]:
    yield from naive_rows(case)
    yield zero_shot_row(case, backbone)
    yield from head_rows(case, backbone, arguments.seeds, arguments.epochs)
    yield from (dlinear_row(case, seed) for seed in arguments.seeds)
    yield from (lora_row(case, backbone, seed, arguments.lora_steps) for seed in arguments.lora_seeds)


def _fingerprint(case: Case, seed: int, train_windows: int) -> ProtocolFingerprint:
    borders = case.known.borders
    assert borders is not None
    return ProtocolFingerprint(
        dataset=case.known.info.name,
        data_sha256=case.known.info.files[0].content_sha256,
        borders=(borders.train_end, borders.validation_end, borders.test_end),
        context_length=CONTEXT,
        prediction_length=case.horizon,
        seed=seed,
        train_windows=train_windows,
    )


def _write(arguments: argparse.Namespace, backbone: nn.Module, rows: list[dict[str, Any]]) -> None:
    commit = subprocess.run(["git", "rev-parse", "--short", "HEAD"], capture_output=True, text=True, check=False)
    header = {
        "command": "python -m benchmarks.forecasting_table " + _flags(arguments),
        "commit": commit.stdout.strip(),
        "model": arguments.model,
        "weights_sha256": weights_digest(backbone),
    }
    output = Path(arguments.output)
    write_json(output.with_suffix(".json"), {**header, "rows": rows})
    lines = [f"`{header['command']}` at commit {header['commit']}, weights {header['weights_sha256'][:12]}", ""]
    output.with_suffix(".md").write_text("\n".join([*lines, markdown_table(summarise(rows)), ""]), encoding="utf-8")


def _flags(arguments: argparse.Namespace) -> str:
    values = {name: value if isinstance(value, list) else [value] for name, value in vars(arguments).items()}
    return " ".join(f"--{name.replace('_', '-')} {' '.join(map(str, value))}" for name, value in values.items())


if __name__ == "__main__":
    main()
