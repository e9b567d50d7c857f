"""Long-horizon forecasting: heads, LoRA and TRACE beside naive forecasts and DLinear.

Protocol: context 512, standard splits, scaler fitted on train, every test window (stride 1, none dropped),
MSE and MAE on scaled values, mean over seeds. Everything is chosen on validation; test is read once.

    python -m benchmarks.forecasting_table --datasets ETTh1 ETTm1 --horizon 96 --seeds 0 1 2

Rows that are there already are kept, and those that are missing are made.
"""

import argparse
import time
from collections.abc import Callable, Iterator
from functools import partial

import numpy as np
from torch import Tensor, nn

from benchmarks.common import (
    Batch,
    Case,
    Results,
    Row,
    fingerprint,
    fit_case,
    grouped,
    head_start,
    load_case,
    test_errors,
)
from tracetune.backbones.loading import load_backbone
from tracetune.data.windows import batches
from tracetune.evaluation.dlinear import DLinearConfig, fit_dlinear
from tracetune.fitting.config import FitConfig
from tracetune.fitting.methods import Trace, method_named
from tracetune.heads.config import HeadConfig
from tracetune.report.tables import markdown_table
from tracetune.selection.config import SelectionConfig
from tracetune.tasks.forecasting.model import ForecastModel
from tracetune.tasks.forecasting.naive_forecasts import naive_forecasters
from tracetune.training.config import TrainingConfig

RATES = (5e-4, 2e-3)  # of adapters; validation chooses
HEADS = {
    "linear probe": HeadConfig("flatten"),
    "compact, beta 8": HeadConfig("projection", beta=8),
    "compact, beta 8, all tokens": HeadConfig("projection", beta=8, tokens="all"),
}
PARTS = ("naive", "zero-shot", "heads", "DLinear", "lora", "trace")


def naive_row(case: Case, forecast: Callable[[Batch], Tensor]) -> Row:
    """Return a naive forecast."""
    return {"parameters": 0, **test_errors(forecast, batches(case.test, 4096))}


def dlinear_row(case: Case, seed: int) -> Row:
    """Return DLinear, trained in full on the same windows."""
    started = time.perf_counter()
    model = fit_dlinear(case.train, case.validation, case.context, case.horizon, DLinearConfig(seed=seed))
    seconds = time.perf_counter() - started
    scores = test_errors(lambda batch: model(batch["past_values"]), batches(case.test, 4096))
    return {"parameters": _count(model), "seconds": seconds, **scores}


def zero_shot_row(case: Case, backbone: nn.Module) -> Row:
    """Return the zero-shot forecast."""
    model = ForecastModel.from_backbone(backbone, case.horizon, None, case.context).eval()
    return {"parameters": 0, **_model_errors(case, model)}


def head_row(case: Case, backbone: nn.Module, head: HeadConfig, seed: int, epochs: float) -> Row:
    """Return a head after the first phase of a fit."""
    training = TrainingConfig(num_train_epochs=epochs, seed=seed)
    start = head_start(case, backbone, FitConfig(head=head, head_training=training))
    assert start.model.head is not None, "these models have a head"
    return {
        "parameters": _count(start.model.head),
        "validation": start.validation_loss,
        "seconds": start.seconds,
        **_model_errors(case, start.model),
    }


def adapted_row(case: Case, backbone: nn.Module, method: str, seed: int, steps: int) -> Row:
    """Return a method of the package with its defaults, guard and all, at the rate that validation chooses."""
    chosen = Trace(SelectionConfig(seed=seed)) if method == Trace.name else method_named(method)
    results = []
    for rate in RATES:
        training = TrainingConfig(max_steps=steps, batch_size=32, learning_rate=rate, evaluations=5, seed=seed)
        config = FitConfig(
            method=chosen,
            head_training=TrainingConfig(num_train_epochs=5, seed=seed),
            training=training,
        )
        results.append(fit_case(case, backbone, config))
    losses = [min(each["validation_loss"] for each in result.record.candidates) for result in results]
    best = results[int(np.argmin(losses))]
    parameters, record = best.record.parameters, best.record
    return {
        "parameters": parameters["head"] + parameters["adapters"],
        "validation": min(losses), "winner": record.winner, "seconds": sum(record.seconds.values()),
        **_model_errors(case, best.model),
    }  # fmt: skip


def _model_errors(case: Case, model: nn.Module) -> dict[str, float]:
    model.eval()
    return test_errors(lambda batch: model(batch["past_values"], batch["input_mask"]).forecast, batches(case.test, 512))


def _count(module: nn.Module) -> int:
    return sum(weight.numel() for weight in module.parameters())


def summarise(rows: list[Row]) -> list[Row]:
    """Return the mean and deviation over seeds, one row a data set and method."""
    return [
        {
            "data set": dataset,
            "method": method,
            "trained parameters": group[0]["parameters"],
            "seeds": len(group),
            "MSE": float(np.mean([row["mse"] for row in group])),
            "MAE": float(np.mean([row["mae"] for row in group])),
            "MSE deviation": float(np.std([row["mse"] for row in group], ddof=1)) if len(group) > 1 else None,
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
    parser.add_argument("--train-windows", type=int, default=20_000, help="about how many, evenly spread")
    parser.add_argument("--validation-windows", type=int, default=2048, help="about how many, evenly spread")
    parser.add_argument("--epochs", type=float, default=5)
    parser.add_argument("--lora-seeds", nargs="*", type=int, default=[0])
    parser.add_argument("--lora-steps", type=int, default=300)
    parser.add_argument("--parts", nargs="+", choices=PARTS, default=list(PARTS), help="of the table")
    parser.add_argument("--output", default="docs/results/forecasting")
    arguments = parser.parse_args()

    backbone = load_backbone(arguments.model)
    results = Results(
        "forecasting_table", arguments, backbone, lambda rows: markdown_table(summarise(rows)),
        identity=("dataset", "method", "seed"), cases=("datasets", "seeds", "output", "parts"),
    )  # fmt: skip
    for name in arguments.datasets:
        case = load_case(name, arguments.horizon, arguments.train_windows, arguments.validation_windows)
        for method, seed, make in planned(case, backbone, arguments):
            if results.find(dataset=name, method=method, seed=seed) is None:
                mark = fingerprint(case, seed or 0).to_dict()
                results.add({"dataset": name, "method": method, "seed": seed, **make(), "fingerprint": mark})
    results.write()


def planned(
    case: Case, backbone: nn.Module, arguments: argparse.Namespace
) -> Iterator[tuple[str, int | None, Callable[[], Row]]]:
    """Yield method, seed and how to make it of every row of the parts that were asked for."""
    parts = arguments.parts
    if "naive" in parts:
        for name, forecast in naive_forecasters(case.horizon, case.known.info.seasonality).items():
            yield name, None, partial(naive_row, case, forecast)
    if "zero-shot" in parts:
        yield "zero-shot", None, partial(zero_shot_row, case, backbone)
    if "heads" in parts:
        for name, head in HEADS.items():
            for seed in arguments.seeds:
                yield name, seed, partial(head_row, case, backbone, head, seed, arguments.epochs)
    if "DLinear" in parts:
        for seed in arguments.seeds:
            yield "DLinear", seed, partial(dlinear_row, case, seed)
    for method in ("lora", "trace"):
        for seed in arguments.lora_seeds if method in parts else ():
            yield method, seed, partial(adapted_row, case, backbone, method, seed, arguments.lora_steps)


if __name__ == "__main__":
    main()
