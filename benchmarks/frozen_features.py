"""Heads in closed form on the features of a frozen backbone, H = 96, context 512.

Each head is solved by ridge regression, its penalty chosen by validation; beside them is the zero-shot forecast,
its pretrained head on the same features. The one with the lowest validation loss is the one whose test errors are read.
With --sgd-epochs the compact heads are also trained by gradient descent. Heads on tokens of the future start as the
zero-shot forecast, see tracetune/heads/zero_shot_start.py.

    python -m benchmarks.frozen_features --model tracetune/tiny
"""

import argparse
import time
from collections.abc import Iterator
from typing import Any

import numpy as np
from torch import Tensor

from benchmarks.common import (
    CONTEXT,
    Case,
    Results,
    Row,
    cached_features,
    fingerprint,
    head_start,
    load_case,
    test_errors,
)
from tracetune.backbones.loading import load_backbone
from tracetune.base.seeds import seed_everything
from tracetune.data.windows import batches
from tracetune.fitting.config import FitConfig
from tracetune.heads.config import HeadConfig
from tracetune.heads.solvers.ridge import fit_ridge
from tracetune.report.tables import markdown_table
from tracetune.tasks.forecasting.model import ForecastModel
from tracetune.training.config import TrainingConfig
from tracetune.training.feature_cache import CachedBatches
from tracetune.training.measure import validation_loss

DATASETS = ("ETTh1", "ETTh2", "ETTm1", "ETTm2", "weather")
HORIZON = 96
ZERO_SHOT = "zero-shot"
HEADS = {
    "linear probe": HeadConfig("flatten"),
    "compact, beta 8": HeadConfig("projection", beta=8),
    "linear, all tokens": HeadConfig("flatten", tokens="all"),
    "compact, beta 8, all tokens": HeadConfig("projection", beta=8, tokens="all"),
    "linear, future tokens": HeadConfig("flatten", tokens="future"),
    "compact, beta 4, future tokens": HeadConfig("projection", beta=4, tokens="future"),
}
_ROWS = 512  # windows in a batch of features


def thinned_case(dataset: str, arguments: argparse.Namespace) -> Case:
    """Return a data set with about the asked numbers of windows in each part, evenly spread."""
    case = load_case(dataset, HORIZON, arguments.train_windows, arguments.validation_windows)
    stride = max(1, round(len(case.test) / arguments.test_windows))
    if stride == 1:
        return case
    return load_case(dataset, HORIZON, arguments.train_windows, arguments.validation_windows, stride)


def frozen_row(case: Case, backbone: Any, sgd_epochs: float) -> Row:
    """Return validation loss of every head, and the test errors of the one with the lowest."""
    started = time.perf_counter()
    fitted = dict(_fitted_heads(case, backbone, sgd_epochs))
    losses = {name: loss for name, (_, loss) in fitted.items()}
    chosen = min(losses, key=losses.__getitem__)
    model = fitted[chosen][0].eval()
    errors = test_errors(lambda batch: _forecast(model, batch), batches(case.test, _ROWS))
    return {
        "chosen": chosen,
        "validation": losses[chosen],
        **errors,
        "validation_losses": losses,
        "seconds": time.perf_counter() - started,
        "fingerprint": fingerprint(case, 0).to_dict(),
    }


def _fitted_heads(case: Case, backbone: Any, sgd_epochs: float) -> Iterator[tuple[str, tuple[ForecastModel, float]]]:
    """Yield name -> (model with a fitted head, validation loss)."""
    zero_shot = ForecastModel.from_backbone(backbone, HORIZON, None, CONTEXT).eval()
    yield ZERO_SHOT, (zero_shot, validation_loss(zero_shot, case.validation))
    for tokens, parts in _features(case, backbone).items():
        for name, config in HEADS.items():
            if config.tokens != tokens:
                continue
            model = _new_model(config, backbone)
            fit = fit_ridge(model.head, *map(list_batches, parts), kept_directions=model.kept_directions)
            yield f"{name}, ridge", (model, fit.validation_loss)
            if sgd_epochs and config.kind != "flatten":
                training = TrainingConfig(num_train_epochs=sgd_epochs)
                start = head_start(
                    case, backbone, FitConfig(head=config, head_start="gradient", head_training=training)
                )
                yield f"{name}, gradient descent", (start.model, start.validation_loss)


def _features(case: Case, backbone: Any) -> dict[str, tuple[CachedBatches, CachedBatches]]:
    """Return features of training and validation windows, by the tokens that a head reads."""
    features = {}
    for tokens in ("context", "all"):
        model = _new_model(HeadConfig("flatten", tokens=tokens), backbone).eval()
        features[tokens] = cached_features(model, case.train), cached_features(model, case.validation)
    train, validation = (_last_tokens(part, backbone.num_patches(HORIZON)) for part in features["all"])
    return {**features, "future": (train, validation)}


def _last_tokens(features: CachedBatches, count: int) -> CachedBatches:
    return CachedBatches({**features.tensors, "tokens": features.tensors["tokens"][:, :, -count:]})


def list_batches(cached: CachedBatches) -> list[dict[str, Tensor]]:
    """Return views of cached features in batches, which can be read more than once."""
    starts = range(0, len(cached), _ROWS)
    return [{name: tensor[start : start + _ROWS] for name, tensor in cached.tensors.items()} for start in starts]


def _new_model(config: HeadConfig, backbone: Any) -> ForecastModel:
    seed_everything(0)
    return ForecastModel.from_backbone(backbone, HORIZON, config, CONTEXT)


def _forecast(model: ForecastModel, batch: dict[str, Tensor]) -> Tensor:
    forecast: Tensor = model(batch["past_values"], batch["input_mask"]).forecast
    return forecast


def markdown(rows: list[Row]) -> str:
    """Return one line a data set, and their mean."""
    lines = [
        {
            "data set": row["dataset"],
            "head chosen on validation": row["chosen"],
            "validation MSE": row["validation"],
            "test MSE": row["mse"],
            "test MAE": row["mae"],
        }
        for row in rows
    ]
    means = {name: float(np.mean([line[name] for line in lines])) for name in list(lines[0])[2:]} if lines else {}
    names = list(rows[0]["validation_losses"]) if rows else []
    losses = [{"head": name, **{row["dataset"]: row["validation_losses"][name] for row in rows}} for name in names]
    return (
        f"H = {HORIZON}, context {CONTEXT}, scaled values; the penalty and the head are chosen on validation.\n\n"
        f"{markdown_table([*lines, {'data set': 'mean', **means}])}\n\n## Validation MSE of every head\n\n"
        f"{markdown_table(losses)}"
    )


def add_flags(parser: argparse.ArgumentParser) -> None:
    """Add the flags that say how much is read."""
    parser.add_argument("--datasets", nargs="+", default=list(DATASETS))
    parser.add_argument("--train-windows", type=int, default=20_000, help="about how many, evenly spread")
    parser.add_argument("--validation-windows", type=int, default=4096, help="about how many, evenly spread")
    parser.add_argument("--test-windows", type=int, default=20_000, help="about how many, evenly spread")
    parser.add_argument("--sgd-epochs", type=float, default=0, help="passes of gradient descent; 0 for ridge alone")


def main() -> None:
    """Run all data sets; rows that are there already are kept."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--model", default="tracetune/tiny")
    add_flags(parser)
    parser.add_argument("--output", default="docs/results/frozen_features")
    arguments = parser.parse_args()
    backbone = load_backbone(arguments.model)
    results = Results("frozen_features", arguments, backbone, markdown, ("dataset",))
    for dataset in arguments.datasets:
        if results.find(dataset=dataset) is None:
            results.add(
                {"dataset": dataset, **frozen_row(thinned_case(dataset, arguments), backbone, arguments.sgd_epochs)}
            )


if __name__ == "__main__":
    main()
