"""Time saved by the feature cache: a linear probe of 1 to 20 epochs with and without it, and its losses.

The same function of the package trains both, once with memory for the features and once without; windows, order,
validation rounds (one an epoch) and seeds are the same. The two runs of a pair follow each other.

    python -m benchmarks.linear_probe --geometry tiny
"""

import argparse

import numpy as np
import torch

from benchmarks.common import Case, Results, Row, fingerprint, load_case
from benchmarks.step_time import backbone_of
from tracetune.backbones.loading import load_backbone
from tracetune.backbones.moment import Moment
from tracetune.base.seeds import seed_everything
from tracetune.fitting.config import FitConfig
from tracetune.fitting.head_phase import train_head
from tracetune.heads.config import HeadConfig
from tracetune.report.tables import markdown_table
from tracetune.tasks.forecasting.model import Forecasting
from tracetune.tasks.task import TrainingData
from tracetune.training.config import TrainingConfig
from tracetune.training.run import Run

DATASET, HORIZON = "ETTh1", 96


def probe(case: Case, backbone: Moment, epochs: int, cached: bool) -> tuple[float, list[float]]:
    """Return seconds of a linear probe, and its validation losses."""
    training = TrainingConfig(num_train_epochs=epochs, evaluations=epochs, early_stopping_patience=epochs)
    config = FitConfig(
        method="linear_probe",
        head=HeadConfig("flatten"),
        head_start="gradient",
        head_training=training,
        cache_bytes=None if cached else 0,
    )
    seed_everything(0)
    task = Forecasting(HORIZON, case.context)
    with Run.at(None) as run:
        trained = train_head(
            task, task.model(backbone, config.head), TrainingData(case.train, case.validation), config, run
        )
    return trained.seconds, [entry["eval_loss"] for entry in trained.history if "eval_loss" in entry]


def probe_row(case: Case, backbone: Moment, epochs: int) -> Row:
    """Return one line: seconds with and without the cache, and the largest difference of their losses."""
    slow, expected = probe(case, backbone, epochs, cached=False)
    fast, losses = probe(case, backbone, epochs, cached=True)
    return {
        "epochs": epochs,
        "train_windows": len(case.train),
        "validation_windows": len(case.validation),
        "without": slow,
        "with": fast,
        "difference": float(np.abs(np.array(losses) / np.array(expected) - 1).max()),
        "loss": losses[-1],
        "threads": torch.get_num_threads(),
        "fingerprint": fingerprint(case, 0).to_dict(),
    }


def markdown(rows: list[Row]) -> str:
    """Return one table a geometry."""
    parts = []
    for geometry in dict.fromkeys(row["geometry"] for row in rows):
        group = sorted((row for row in rows if row["geometry"] == geometry), key=lambda row: row["epochs"])
        lines = [
            {
                "epochs": row["epochs"],
                "without cache, s": row["without"],
                "with cache, s": row["with"],
                "times faster": row["without"] / row["with"],
                "largest relative difference of a validation loss": f"{row['difference']:.1e}",
            }
            for row in group
        ]
        first = group[0]
        parts.append(
            f"## {geometry}\n\n{first['train_windows']} training and {first['validation_windows']} validation windows, "
            f"{first['threads']} threads.\n\n{markdown_table(lines)}"
        )
    return f"{DATASET}, H = {HORIZON}; seconds include the passes that fill the cache.\n\n" + "\n\n".join(parts)


def main() -> None:
    """Run all numbers of epochs on one geometry; rows that are there already are kept."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--model", default="tracetune/tiny")
    parser.add_argument("--geometry", default="tiny", choices=("tiny", "small", "base", "large"))
    parser.add_argument("--epochs", type=int, nargs="+", default=[1, 2, 5, 10, 20])
    parser.add_argument("--train-windows", type=int, default=2000)
    parser.add_argument("--validation-windows", type=int, default=512)
    parser.add_argument("--threads", type=int, default=torch.get_num_threads())
    parser.add_argument("--output", default="docs/results/linear_probe")
    arguments = parser.parse_args()
    torch.set_num_threads(arguments.threads)
    results = Results(
        "linear_probe", arguments, load_backbone(arguments.model), markdown, ("geometry", "epochs"),
        cases=("geometry", "epochs", "train_windows", "validation_windows", "threads", "output"),
    )  # fmt: skip
    case = load_case(DATASET, HORIZON, arguments.train_windows, arguments.validation_windows)
    backbone = backbone_of(arguments.geometry, arguments.model)
    for epochs in arguments.epochs:
        if results.find(geometry=arguments.geometry, epochs=epochs) is None:
            results.add({"geometry": arguments.geometry, **probe_row(case, backbone, epochs)})


if __name__ == "__main__":
    main()
