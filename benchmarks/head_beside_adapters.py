"""Training of a closed-form head beside adapters: with or without dropout, and at which rate.

TRACE with its defaults, started from the head, with the head's dropout and learning rate varied. Only validation losses
are looked at: the default of the package was chosen by them.

    python -m benchmarks.head_beside_adapters --datasets ETTh1 ETTm1
"""

import argparse
import time
from itertools import product
from typing import Any

import torch
from torch import nn
from transformers import TrainerCallback

from benchmarks.common import Case, Results, Row, fingerprint, fit_case, load_case
from tracetune.backbones.loading import load_backbone
from tracetune.fitting.config import FitConfig
from tracetune.fitting.names import HEAD
from tracetune.report.tables import markdown_table
from tracetune.training.config import TrainingConfig


class HeadDropout(TrainerCallback):
    """Gives the dropout layers of a head in training this share."""

    def __init__(self, share: float) -> None:
        self.share = share

    def on_train_begin(self, args: Any, state: Any, control: Any, **kwargs: Any) -> None:
        """Set it."""
        for name, module in kwargs["model"].named_modules():
            if isinstance(module, nn.Dropout) and "backbone" not in name:
                module.p = self.share


def row(case: Case, backbone: nn.Module, dropout: float, head_rate: float, arguments: argparse.Namespace) -> Row:
    """Return validation losses of the head alone and of TRACE from it."""
    training = TrainingConfig(
        num_train_epochs=arguments.epochs, learning_rate=arguments.learning_rate, head_learning_rate=head_rate
    )
    config = FitConfig(training=training, start=HEAD, head_training=TrainingConfig(max_steps=1))
    started = time.perf_counter()
    record = fit_case(case, backbone, config, [HeadDropout(dropout)]).record
    losses = {candidate["name"]: candidate["validation_loss"] for candidate in record.candidates}
    return {
        "dataset": case.known.info.name,
        "dropout": dropout,
        "head_rate": head_rate,
        "losses": losses,
        "trace": losses[config.method.name],
        "seconds": time.perf_counter() - started,
        "fingerprint": fingerprint(case, 0).to_dict(),
    }


def markdown(rows: list[Row]) -> str:
    """Return one line a case."""
    lines = [
        {
            "data": each["dataset"],
            "dropout of the head": each["dropout"],
            "learning rate of the head": f"{each['head_rate']:g}",
            **{f"{name}, validation MSE": value for name, value in each["losses"].items()},
            "TRACE against the head, %": 100 * (each["trace"] / each["losses"][HEAD] - 1),
        }
        for each in rows
    ]
    return markdown_table(lines)


def main(arguments: list[str] | None = None) -> None:
    """Make the rows that are missing, writing them as they come."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--datasets", nargs="+", default=["ETTh1", "ETTm1"])
    parser.add_argument("--model", default="tracetune/tiny")
    parser.add_argument("--horizon", type=int, default=96)
    parser.add_argument("--dropouts", nargs="+", type=float, default=[0.1, 0.0])
    parser.add_argument("--head-rates", nargs="+", type=float, default=[2e-4, 1e-5])
    parser.add_argument("--learning-rate", type=float, default=5e-4, help="of the adapters")
    parser.add_argument("--epochs", type=float, default=3)
    parser.add_argument("--train-windows", type=int, default=4000, help="about how many, evenly spread")
    parser.add_argument("--validation-windows", type=int, default=1024, help="about how many, evenly spread")
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--output", default="docs/results/head_beside_adapters")
    options = parser.parse_args(arguments)
    torch.set_num_threads(options.threads)
    backbone = load_backbone(options.model)
    results = Results(
        "head_beside_adapters", options, backbone, markdown, ("dataset", "dropout", "head_rate"),
        cases=("datasets", "dropouts", "head_rates", "output"),
    )  # fmt: skip
    for dataset in options.datasets:
        case = load_case(dataset, options.horizon, options.train_windows, options.validation_windows)
        for dropout, rate in product(options.dropouts, options.head_rates):
            if results.find(dataset=dataset, dropout=dropout, head_rate=rate) is None:
                results.add(row(case, backbone, dropout, rate, options))


if __name__ == "__main__":
    main()
