"""Accuracy of the frozen model with its head on all sets of a folder in the layout of the UCR archive.

    python -m benchmarks.classification_archive --archive UCRArchive_2018 --cells cells
    python -m benchmarks.classification_archive --archive UCRArchive_2018 --cells cells --other minirocket.json

The folder has NAME/NAME_TRAIN.tsv and NAME/NAME_TEST.tsv, a series a row, its class first. Sets with missing values, or
with a class of one series, are left out. Each cell (set, method) is a file of its own: what is there is not run again.
``--other`` is a JSON object of the accuracy of another classifier by set, to stand beside it.
"""

import argparse
import json
import time
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.common import commit, processor_name
from tracetune.base.files import write_json
from tracetune.data.ts_files import LabelledFile
from tracetune.estimators.classification.classifier import Classifier
from tracetune.report.tables import markdown_table


def sets(archive: Path, most: tuple[int, int]) -> Iterator[tuple[str, LabelledFile, LabelledFile]]:
    """Yield name, training and test part of each set; of larger parts a sample of at most so many series."""
    for folder in sorted(path for path in archive.iterdir() if path.is_dir()):
        paths = [folder / f"{folder.name}_{part}.tsv" for part in ("TRAIN", "TEST")]
        if not all(path.is_file() for path in paths):
            continue
        train, test = (_part(path, count) for path, count in zip(paths, most, strict=True))
        whole = all(np.isfinite(series).all() for part in (train, test) for series in part.values)
        if whole and min(Counter(train.labels).values()) > 1:
            yield folder.name, train, test


def _part(path: Path, most: int) -> LabelledFile:
    rows = np.genfromtxt(path, delimiter="\t")
    if len(rows) > most:
        rows = rows[np.random.default_rng(0).permutation(len(rows))[:most]]
    return LabelledFile([row[None, 1:] for row in rows], [str(label) for label in rows[:, 0]])


def cell(name: str, train: LabelledFile, test: LabelledFile, method: str, model: str) -> dict[str, Any]:
    """Return what one method does on the test part of a set."""
    started = time.process_time()
    tuned = Classifier.from_pretrained(model).fit(train.values, train.labels, method=method)
    scores = tuned.evaluate(test.values, test.labels).scores.iloc[0]
    return {
        "set": name,
        "method": method,
        "series": [len(train.labels), len(test.labels)],
        "classes": len(set(train.labels)),
        "accuracy": scores["accuracy"],
        "log_loss": scores["log_loss"],
        "processor_seconds": time.process_time() - started,
        "commit": commit(),
        "processor": processor_name("auto"),
    }


def table(cells: list[dict[str, Any]], other: dict[str, float]) -> list[dict[str, Any]]:
    """Return a row a set, and one for the mean of the sets that all have."""
    methods = sorted({each["method"] for each in cells})
    found = {(each["set"], each["method"]): each for each in cells}
    rows, whole = [], []
    for name in sorted({each["set"] for each in cells}):
        of_set = [found.get((name, method)) for method in methods]
        first = next(each for each in of_set if each is not None)
        row = {"set": name, "series": "{} and {}".format(*first["series"]), "classes": first["classes"]}
        row |= {method: _written(each) for method, each in zip(methods, of_set, strict=True)}
        rows.append(row | ({"other": f"{other[name]:.3f}" if name in other else ""} if other else {}))
        if all(of_set) and (not other or name in other):
            whole.append(name)
    mean: dict[str, Any] = {"set": f"mean of {len(whole)}", "series": "", "classes": ""}
    for method in methods:
        each = [found[name, method] for name in whole]
        mean[method] = _written({key: float(np.mean([one[key] for one in each])) for key in ("accuracy", "log_loss")})
    if other:
        mean["other"] = f"{np.mean([other[name] for name in whole]):.4f}"
    return [*rows, mean]


def _written(found: dict[str, Any] | None) -> str:
    return "" if found is None else f"{found['accuracy']:.3f}, {found['log_loss']:.3f}"


def main() -> None:
    """Run the cells that are missing, then print the table: accuracy and log loss."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--archive", type=Path, required=True, help="folder with a folder for each set")
    parser.add_argument("--cells", type=Path, required=True, help="folder with a file for each cell")
    parser.add_argument("--methods", nargs="+", default=["linear_probe"])
    parser.add_argument("--most", type=int, nargs=2, default=(650, 500), help="series that train, and that are tested")
    parser.add_argument("--other", type=Path, help="JSON file: accuracy of another classifier by set")
    parser.add_argument("--model", default="tracetune/tiny")
    arguments = parser.parse_args()
    for name, train, test in sets(arguments.archive, tuple(arguments.most)):
        for method in arguments.methods:
            path = arguments.cells / f"{name}-{method}.json"
            if not path.is_file():
                path.parent.mkdir(parents=True, exist_ok=True)
                write_json(path, cell(name, train, test, method, arguments.model))
    cells = [json.loads(path.read_text(encoding="utf-8")) for path in sorted(arguments.cells.glob("*.json"))]
    other = json.loads(arguments.other.read_text(encoding="utf-8")) if arguments.other else {}
    print(markdown_table(table(cells, other)))


if __name__ == "__main__":
    main()
