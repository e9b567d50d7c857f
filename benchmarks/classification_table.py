"""Accuracy on six sets of the UCR and UEA archives, with their published splits: head alone, TRACE.

    python -m benchmarks.classification_table --methods linear_probe trace --output docs/results/classification.md

Series are resampled to the context. A quarter of each class of the training part chooses the model.
"""

import argparse
import os
import time
from pathlib import Path
from typing import Any

from tracetune.data.ts_files import read_ts
from tracetune.estimators.classifier import Classifier
from tracetune.fitting.config import FitConfig
from tracetune.report.tables import markdown_table
from tracetune.training.config import TrainingConfig

SETS = ("ECG200", "GunPoint", "ItalyPowerDemand", "ArrowHead", "SyntheticControl", "BasicMotions")


def row(name: str, methods: list[str], model: str, seed: int) -> dict[str, Any]:
    """Return accuracy of each method on the test part of a set."""
    folder = Path(os.environ["TRACETUNE_DATA"]) / "classification" / name
    train, test = (read_ts(folder / f"{name}_{part}.ts") for part in ("TRAIN", "TEST"))
    found: dict[str, Any] = {"set": name, "classes": len(set(train.labels)), "train": len(train.labels)}
    training = TrainingConfig(seed=seed)
    config = FitConfig(head_training=TrainingConfig(num_train_epochs=10, seed=seed), training=training)
    for method in methods:
        started = time.perf_counter()
        tuned = Classifier.from_pretrained(model).fit(train.values, train.labels, config, method=method)
        measured = tuned.evaluate(test.values, test.labels).set_index("classifier")["accuracy"]
        assert tuned.trace is not None
        found |= {"most frequent class": float(measured["most frequent class"]), method: float(measured["model"])}
        found |= {f"{method}: winner": tuned.trace["winner"], f"{method}: seconds": time.perf_counter() - started}
    return found


def main() -> None:
    """Make the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--sets", nargs="+", choices=SETS, default=list(SETS))
    parser.add_argument("--methods", nargs="+", default=["linear_probe", "trace"])
    parser.add_argument("--model", default="tracetune/tiny")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--output", help="file to append the table to; without it it is printed")
    arguments = parser.parse_args()
    rows = []
    for name in arguments.sets:
        rows.append(row(name, arguments.methods, arguments.model, arguments.seed))
        print(rows[-1], flush=True)
    if arguments.output is not None:
        with Path(arguments.output).open("a", encoding="utf-8") as file:
            file.write(markdown_table(rows) + "\n")


if __name__ == "__main__":
    main()
