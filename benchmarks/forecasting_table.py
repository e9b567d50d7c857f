"""Long-horizon forecasting: heads and LoRA on a frozen backbone beside naive forecasts and DLinear.

Protocol: context 512, standard splits, scaler fitted on train, every test window (stride 1, none dropped),
MSE and MAE on scaled values, mean over seeds. Everything is chosen on validation; test is read once.

    python -m benchmarks.forecasting_table --datasets ETTh1 ETTm1 --horizon 96 --seeds 0 1 2

Rows that are there already are kept, and the parts that are missing are made.
"""

import argparse
import copy
import time
from collections.abc import Iterator
from typing import Any

import numpy as np
from torch import Tensor, nn

from benchmarks.common import (
    Case,
    Results,
    cached_features,
    fingerprint,
    grouped,
    load_case,
    test_errors,
    train_head,
)
from tracetune.backbones.backbone import load_backbone
from tracetune.base.seeds import seed_everything
from tracetune.estimators.fitting import FitConfig, fit_forecaster
from tracetune.evaluation.dlinear import fit_dlinear
from tracetune.heads.head import HeadConfig, build_head
from tracetune.report.tables import markdown_table
from tracetune.selection.schedule import SelectionConfig
from tracetune.tasks.forecast_data import ForecastData, batches
from tracetune.tasks.forecast_evaluation import naive_forecasters
from tracetune.tasks.forecasting import ForecastModel
from tracetune.training.trainer import TrainingConfig

TRACE, TRACE_RATES = "trace, native start, after the guard", (5e-4, 2e-3)
HEADS = {
    "linear probe": HeadConfig("flatten"),
    "compact, beta 4": HeadConfig("projection", beta=4),
    "compact, beta 8": HeadConfig("projection", beta=8),
}
# Parts of the table, each with the last row that it makes: rows that are there already are kept.
PARTS = {
    "naive": "repeat last",
    "zero-shot": "zero-shot",
    "heads": "compact, beta 8",
    "DLinear": "DLinear",
    "lora": "lora, after the guard",
    "trace": TRACE,
}


def naive_rows(case: Case) -> Iterator[dict[str, Any]]:
    """Repeat-last and the seasonal naive forecast."""
    for name, forecast in naive_forecasters(case.horizon, case.known.info.seasonality).items():
        yield {"method": name, "seed": None, "parameters": 0, **test_errors(forecast, batches(case.test, 4096))}


def dlinear_row(case: Case, seed: int) -> dict[str, Any]:
    """DLinear, trained in full on the same windows."""
    started = time.perf_counter()
    seed_everything(seed)
    model = fit_dlinear(case.train, case.validation, case.context, case.horizon)
    seconds = time.perf_counter() - started
    model.eval()
    scores = test_errors(lambda batch: model(batch["past_values"]), batches(case.test, 4096))
    return {"method": "DLinear", "seed": seed, "parameters": _count(model), "seconds": seconds, **scores}


def zero_shot_row(case: Case, backbone: nn.Module) -> dict[str, Any]:
    """The backbone's own forecast."""
    model = ForecastModel.from_backbone(backbone, case.horizon, None, case.context).eval()
    return {"method": "zero-shot", "seed": None, "parameters": 0, **_model_errors(case, model)}


def head_rows(case: Case, backbone: nn.Module, seeds: list[int], epochs: float) -> Iterator[dict[str, Any]]:
    """Every head on features that are computed once."""
    model = ForecastModel.from_backbone(backbone, case.horizon, HeadConfig("flatten"), case.context).eval()
    started = time.perf_counter()
    train, validation, test = (cached_features(model, windows) for windows in (case.train, case.validation, case.test))
    print(f"features of {len(train) + len(validation) + len(test):,} windows: {time.perf_counter() - started:.0f} s")
    patches = backbone.num_patches(case.context)
    for name, config in HEADS.items():
        for seed in seeds:
            seed_everything(seed)
            head = build_head(config, patches, backbone.width, case.horizon)
            started = time.perf_counter()
            loss = train_head(head, train, validation, TrainingConfig(num_train_epochs=epochs, seed=seed))
            seconds = time.perf_counter() - started
            scores = test_errors(lambda rows, head=head: _decode(head, rows), batches(test, 1024))
            yield {
                "method": name,
                "seed": seed,
                "parameters": _count(head),
                "validation": loss,
                "seconds": seconds,
                **scores,
            }


def lora_rows(case: Case, backbone: nn.Module, seed: int, steps: int) -> Iterator[dict[str, Any]]:
    """LoRA on every linear layer with the compact head, from the head trained on frozen features; and the guard's."""
    base = ForecastModel.from_backbone(copy.deepcopy(backbone), case.horizon, None, case.context)
    config = FitConfig(
        method="lora",
        head=HeadConfig("projection", beta=8),
        head_training=TrainingConfig(num_train_epochs=5, seed=seed),
        training=TrainingConfig(max_steps=steps, head_learning_rate=2e-4, learning_rate=1e-3, evaluations=6, seed=seed),
        start="head",
    )
    result = fit_forecaster(base, ForecastData(case.train, case.validation), config)
    losses = {candidate.name: candidate.validation_loss for candidate in result.candidates}
    seconds = sum(result.seconds.values())
    assert result.fine_tuned is not None
    lora = {"seed": seed, "parameters": _count(result.fine_tuned, trained=True), "validation": losses["lora"]}
    errors = _model_errors(case, result.fine_tuned)
    yield {"method": "lora, compact beta 8", **lora, "seconds": seconds, **errors}
    trained = result.parameters["head"] + result.parameters["adapters"]
    guard = {"seed": seed, "parameters": trained, "validation": losses[result.winner], "winner": result.winner}
    errors = errors if result.winner == "lora" else _model_errors(case, result.model)
    yield {"method": "lora, after the guard", **guard, "seconds": seconds, **errors}


def trace_rows(case: Case, backbone: nn.Module, seed: int, steps: int) -> Iterator[dict[str, Any]]:
    """TRACE on half of the modules, from the backbone's own forecast, at the rate that validation chooses."""
    base = ForecastModel.from_backbone(copy.deepcopy(backbone), case.horizon, None, case.context)
    results = []
    for rate in TRACE_RATES:
        training = TrainingConfig(
            max_steps=steps, batch_size=32, head_learning_rate=2e-4, learning_rate=rate, evaluations=5, seed=seed
        )
        config = FitConfig(training=training, selection=SelectionConfig(interval=0.1, seed=seed), start="native")
        results.append(fit_forecaster(base, ForecastData(case.train, case.validation), config))
    losses = [min(candidate.validation_loss for candidate in result.candidates) for result in results]
    best = results[int(np.argmin(losses))]
    yield {
        "method": TRACE, "seed": seed, "parameters": best.parameters["head"] + best.parameters["adapters"],
        "validation": min(losses), "winner": best.winner, "seconds": sum(best.seconds.values()),
        **_model_errors(case, best.model),
    }  # fmt: skip


def _model_errors(case: Case, model: nn.Module) -> dict[str, float]:
    model.eval()
    return test_errors(lambda batch: model(batch["past_values"], batch["input_mask"]).forecast, batches(case.test, 512))


def _decode(head: nn.Module, rows: dict[str, Tensor]) -> Tensor:
    return head(rows["tokens"]) * rows["scale"] + rows["location"]


def _count(module: nn.Module, trained: bool = False) -> int:
    return sum(weight.numel() for weight in module.parameters() if weight.requires_grad or not trained)


def summarise(rows: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Mean and deviation over seeds, one row a data set and method."""
    return [
        {
            "data set": dataset,
            "method": method,
            "trained parameters": group[0]["parameters"],
            "seeds": len(group),
            "MSE": float(np.mean([row["mse"] for row in group])),
            "MAE": float(np.mean([row["mae"] for row in group])),
            "MSE deviation": float(np.std([row["mse"] for row in group])) if len(group) > 1 else None,
            "chosen": " ".join(dict.fromkeys(row["winner"] for row in group if "winner" in row)) or None,
            "train seconds": float(np.mean([row["seconds"] for row in group])) if "seconds" in group[0] else None,
        }
        for (dataset, method), group in grouped(rows, "dataset", "method")
    ]


def main() -> None:
    """Run all rows, writing them as they come."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--datasets", nargs="+", default=["ETTh1", "ETTm1"])
    parser.add_argument("--model", default="tracetune/tiny")
    parser.add_argument("--horizon", type=int, default=96)
    parser.add_argument("--seeds", nargs="+", type=int, default=[0, 1, 2])
    parser.add_argument("--train-windows", type=int, default=30_000, help="about how many, evenly spread")
    parser.add_argument("--validation-windows", type=int, default=4096, help="about how many, evenly spread")
    parser.add_argument("--epochs", type=float, default=5)
    parser.add_argument("--lora-seeds", nargs="*", type=int, default=[0])
    parser.add_argument("--lora-steps", type=int, default=300)
    parser.add_argument("--parts", nargs="+", choices=list(PARTS), default=list(PARTS), help="of the table")
    parser.add_argument("--output", default="docs/results/forecasting")
    arguments = parser.parse_args()

    backbone = load_backbone(arguments.model)
    results = Results(
        "forecasting_table", arguments, backbone, lambda rows: markdown_table(summarise(rows)),
        identity=("dataset", "method"), cases=("datasets", "seeds", "output", "parts"),
    )  # fmt: skip
    for name in arguments.datasets:
        case = load_case(name, arguments.horizon, arguments.train_windows, arguments.validation_windows)
        for part in arguments.parts:
            if results.find(dataset=name, method=PARTS[part]) is None:
                for row in _rows(case, backbone, part, arguments):
                    results.add({"dataset": name, **row, "fingerprint": fingerprint(case, row["seed"] or 0).to_dict()})
    results.write()


def _rows(case: Case, backbone: nn.Module, part: str, arguments: argparse.Namespace) -> Iterator[dict[str, Any]]:
    """The rows of one part of the table."""
    if part == "naive":
        yield from naive_rows(case)
    elif part == "zero-shot":
        yield zero_shot_row(case, backbone)
    elif part == "heads":
        yield from head_rows(case, backbone, arguments.seeds, arguments.epochs)
    elif part == "DLinear":
        yield from (dlinear_row(case, seed) for seed in arguments.seeds)
    else:
        adapted = lora_rows if part == "lora" else trace_rows
        for seed in arguments.lora_seeds:
            yield from adapted(case, backbone, seed, arguments.lora_steps)


if __name__ == "__main__":
    main()
