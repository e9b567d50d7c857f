"""Accuracy on six sets of the UCR and UEA archives, with their published splits: head alone, TRACE, LoRA, full.

    python -m benchmarks.classification_table --cells cells --methods linear_probe lora --seeds 0 1 2
    python -m benchmarks.classification_table --cells cells --output docs/results/classification.md

Each cell (set, method, seed) is a file of its own: what is there is not run again. Beside the methods stand the nearest
neighbours by Euclidean distance and by dynamic time warping, and what is published of MiniRocket.
"""

import argparse
import json
import time
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.common import commit, processor_name
from tracetune.base.errors import InputError
from tracetune.base.files import write_json
from tracetune.data.datasets import dataset_paths
from tracetune.data.ts_files import LabelledFile, read_ts
from tracetune.estimators.classification.classifier import Classifier
from tracetune.estimators.classification.config import classifier_config
from tracetune.heads.classification_config import RIDGE, SVM, ClassificationHeadConfig
from tracetune.report.tables import markdown_table

SETS = ("ECG200", "SyntheticControl", "ArrowHead", "ItalyPowerDemand", "GunPoint", "BasicMotions")
HEAD_ALONE = "linear_probe"
TOKENS_ALONE = ClassificationHeadConfig(convolutions=0, stretches=0, competing_kernels=0)
NEIGHBOURS = ("1nn_euclidean", "1nn_dtw")
MINIROCKET = {  # aeon's MiniRocketClassifier on the same parts
    "ECG200": 0.910,
    "GunPoint": 0.993,
    "ItalyPowerDemand": 0.963,
    "ArrowHead": 0.863,
    "SyntheticControl": 0.987,
    "BasicMotions": 1.000,
}


def cell(name: str, method: str, seed: int, model: str, epochs: float, tokens_alone: bool) -> dict[str, Any]:
    """Return what one method does on the test part of a set."""
    train, test = _parts(name)
    started = time.process_time()
    found: dict[str, Any] = {"set": name, "method": method, "seed": seed, "train": len(train.labels)}
    if method in NEIGHBOURS:
        distance = _euclidean if method == "1nn_euclidean" else _dynamic_time_warping
        chosen = nearest_labels(train, test, distance)
        found["accuracy"] = float(np.mean([one == two for one, two in zip(chosen, test.labels, strict=True)]))
    else:
        config = classifier_config()
        training = replace(config.training, num_train_epochs=epochs, seed=seed)
        head = replace(
            TOKENS_ALONE if tokens_alone else ClassificationHeadConfig(), solver=method if method == SVM else RIDGE
        )
        tuned = Classifier.from_pretrained(model).fit(
            train.values,
            train.labels,
            replace(config, training=training, head=head),
            method=HEAD_ALONE if method == SVM else method,
        )
        scores = tuned.evaluate(test.values, test.labels).scores.iloc[0]
        assert tuned.trace is not None
        found |= {"accuracy": scores["accuracy"], "log_loss": scores["log_loss"], "winner": tuned.trace["winner"]}
        found |= {"candidates": tuned.trace["candidates"], "parameters": tuned.trace["parameters"], "epochs": epochs}
        found |= {"tokens_alone": tokens_alone}
    return found | {
        "processor_seconds": time.process_time() - started,
        "commit": commit(),
        "processor": processor_name("auto"),
    }


def nearest_labels(train: LabelledFile, test: LabelledFile, distance: Any) -> list[str]:
    """Return the label of the nearest training series of each test series; channels add up, lengths are equal."""
    known, asked = np.stack(train.values), np.stack(test.values)
    distances = np.stack([distance(known, one) for one in asked])
    return [train.labels[number] for number in distances.argmin(axis=1)]


def _euclidean(known: np.ndarray, one: np.ndarray) -> np.ndarray:
    return ((known - one) ** 2).sum(axis=(1, 2))


def _dynamic_time_warping(known: np.ndarray, one: np.ndarray) -> np.ndarray:
    """Squared distances along the best path, channels together; all of ``known`` at once, one antidiagonal a step."""
    length = one.shape[-1]
    costs = ((known[:, :, :, None] - one[None, :, None, :]) ** 2).sum(axis=1)  # [S, L, L]
    before = np.full((len(known), length + 1), np.inf)
    last = before.copy()
    for diagonal in range(2 * length - 1):
        rows = np.arange(max(0, diagonal - length + 1), min(diagonal, length - 1) + 1)
        steps = np.minimum(np.minimum(last[:, rows], last[:, rows + 1]), before[:, rows])
        now = np.full_like(last, np.inf)
        now[:, rows + 1] = costs[:, rows, diagonal - rows] + (0.0 if diagonal == 0 else steps)
        before, last = last, now
    return last[:, length]


def _parts(name: str) -> tuple[LabelledFile, LabelledFile]:
    files = dataset_paths(name)
    train, test = (read_ts(files[f"classification/{name}/{name}_{part}.ts"]) for part in ("TRAIN", "TEST"))
    return train, test


def table(cells: Sequence[dict[str, Any]]) -> list[dict[str, Any]]:
    """Return a row a set, accuracy with its deviation over seeds, and the means of accuracy and log loss over sets.

    Held-out series set the temperature of a classifier, so that its log loss differs by seed, the head's too.
    """
    methods = list(dict.fromkeys(each["method"] for each in cells))
    rows = []
    for name in SETS:
        row: dict[str, Any] = {"set": name}
        for method in methods:
            found = [each["accuracy"] for each in cells if each["set"] == name and each["method"] == method]
            row[method] = _written(found)
        rows.append(row | {"MiniRocket": f"{MINIROCKET[name]:.3f}"})
    mean = {"set": "mean"} | {method: _mean_over_sets(cells, method, "accuracy", 3) for method in methods}
    loss = {"set": "mean log loss"} | {method: _mean_over_sets(cells, method, "log_loss", 4) for method in methods}
    return [*rows, mean | {"MiniRocket": f"{np.mean(list(MINIROCKET.values())):.3f}"}, loss | {"MiniRocket": ""}]


def _mean_over_sets(cells: Sequence[dict[str, Any]], method: str, score: str, digits: int) -> str:
    """Return the mean of a score over sets, each with the mean over its seeds; nothing where a set is missing."""
    of_sets = [[each.get(score) for each in cells if (each["set"], each["method"]) == (n, method)] for n in SETS]
    if not all(found and None not in found for found in of_sets):
        return ""
    return f"{np.mean([np.mean(found) for found in of_sets]):.{digits}f}"


def _written(found: list[float]) -> str:
    if not found:
        return ""
    return f"{np.mean(found):.3f}" + (f" ± {np.std(found, ddof=1):.3f} ({len(found)})" if len(found) > 1 else "")


def costs(cells: Sequence[dict[str, Any]]) -> list[dict[str, Any]]:
    """Return a row a set and method: who won in how many seeds, trained parameters, processor seconds."""
    rows = []
    for name in SETS:
        for method in dict.fromkeys(each["method"] for each in cells if each["method"] not in NEIGHBOURS):
            found = [each for each in cells if each["set"] == name and each["method"] == method]
            if found:
                rows.append(
                    {
                        "set": name,
                        "method": method,
                        "seeds": len(found),
                        "method came out": sum(each["winner"] == method for each in found),
                        "head parameters": found[0]["parameters"]["head"],
                        "adapter parameters": round(np.mean([each["parameters"]["adapters"] for each in found])),
                        "processor seconds": round(np.mean([each["processor_seconds"] for each in found])),
                    }
                )
    return rows


def require_settings(cells: Sequence[dict[str, Any]], epochs: float, tokens_alone: bool) -> None:
    """Require that fits which are there had these settings: a folder holds the cells of one table.

    Raises:
        InputError: one had others.
    """
    for each in cells:
        if each["method"] in NEIGHBOURS:
            continue
        fits_epochs = each["method"] in (HEAD_ALONE, SVM) or each["epochs"] == epochs  # heads have no epochs
        if not fits_epochs or each.get("tokens_alone", False) != tokens_alone:
            name = f"{each['set']}-{each['method']}-{each['seed']}.json"
            raise InputError(
                f"{name} is of {each['epochs']} epochs, tokens alone: {each.get('tokens_alone', False)}; asked for are "
                f"{epochs} epochs, tokens alone: {tokens_alone}. Take another folder for --cells, or the same settings."
            )


def _cells(folder: Path) -> list[dict[str, Any]]:
    return [json.loads(path.read_text(encoding="utf-8")) for path in sorted(folder.glob("*.json"))]


def main() -> None:
    """Run the cells that are missing, or write the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--cells", required=True, help="folder with a file for each cell")
    parser.add_argument("--sets", nargs="+", choices=SETS, default=list(SETS))
    parser.add_argument("--methods", nargs="+", default=[])
    parser.add_argument("--seeds", type=int, nargs="+", default=[0])
    parser.add_argument("--epochs", type=float, default=classifier_config().training.num_train_epochs)
    parser.add_argument("--model", default="tracetune/tiny")
    parser.add_argument(
        "--tokens-alone", action="store_true", help="heads read tokens, and nothing of the series itself"
    )
    parser.add_argument("--output", help="file to append the tables to; without it they are printed")
    arguments = parser.parse_args()
    folder = Path(arguments.cells)
    require_settings(_cells(folder), arguments.epochs, arguments.tokens_alone)
    for seed in arguments.seeds:
        for name in arguments.sets:
            for method in arguments.methods:
                path = folder / f"{name}-{method}-{seed}.json"
                if not path.is_file():
                    path.parent.mkdir(parents=True, exist_ok=True)
                    write_json(
                        path, cell(name, method, seed, arguments.model, arguments.epochs, arguments.tokens_alone)
                    )
                    print(path.read_text(encoding="utf-8"), flush=True)
    found = _cells(folder)
    text = f"{markdown_table(table(found))}\n\n{markdown_table(costs(found))}\n"
    if arguments.output is None:
        print(text)
        return
    with Path(arguments.output).open("a", encoding="utf-8") as file:
        file.write(text)


if __name__ == "__main__":
    main()
