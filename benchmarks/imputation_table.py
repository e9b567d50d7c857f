"""Filling of gaps beside what needs no model: zero-shot, head alone, TRACE, LoRA, AdaLoRA, full, simple fills.

A fit sees the training and validation parts of a data set, cut to their last steps; then observed steps of the first
steps of the test part are hidden, by every pattern and share, and filled; whole channels a share at a time, until each
was hidden once. Errors are mean squared ones over hidden steps alone, of values scaled by the training part; means over
the draws of hidden steps. Every run is a file of its own, so that a run that was cut off goes on where it was.

    python -m benchmarks.imputation_table --cells runs/imputation --output docs/results/imputation.md
"""

import argparse
import time
from collections.abc import Sequence
from itertools import product
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from benchmarks.common import commit, flags, grouped, processor_name
from tracetune.base.files import read_json, write_json
from tracetune.data.datasets import load_dataset
from tracetune.data.panels import Panel
from tracetune.estimators.imputation.imputer import Imputer
from tracetune.fitting.config import FitConfig
from tracetune.fitting.methods import method_named
from tracetune.report.tables import markdown_table
from tracetune.tasks.imputation.hidden_steps import BLOCKS, CHANNELS, POINTS, SUBSEQUENCES
from tracetune.training.config import TrainingConfig

SETS = ("ETTh1", "ETTh2", "ETTm1", "ETTm2", "weather")
SHARES = (0.125, 0.25, 0.375, 0.5)
ZERO_SHOT, HEAD_ALONE = "zero-shot", "linear_probe"
METHODS = (ZERO_SHOT, HEAD_ALONE, "trace", "lora", "adalora", "full")
TRAINED = ("head", "adapters", "backbone")
CASES = [(pattern, share) for pattern in (POINTS, BLOCKS, SUBSEQUENCES) for share in SHARES] + [(CHANNELS, 0.25)]


def run(name: str, method: str, seed: int, arguments: argparse.Namespace) -> dict[str, Any]:
    """Fit one method on one data set, and measure it in all cases; with the head alone zero-shot too."""
    known = load_dataset(name)
    assert known.borders is not None, "these data sets have published borders"
    end = known.borders.validation_end
    panel = known.panel.cut(max(0, end - arguments.fit_steps), end)
    test = known.panel.cut(end, min(end + arguments.test_steps, known.borders.test_end))
    base = Imputer.from_pretrained(arguments.model)
    started = time.perf_counter()
    season = known.info.seasonality
    training = TrainingConfig(
        seed=seed, max_steps=arguments.steps, batch_size=arguments.batch_size, evaluations=arguments.evaluations
    )
    head_training = TrainingConfig(num_train_epochs=1, seed=seed)
    config = FitConfig(method=method_named(method), head_training=head_training, training=training)
    tuned = base.fit(panel, config, season=season)
    assert tuned.trace is not None
    seconds = time.perf_counter() - started
    measured = {method: tuned}
    if method == HEAD_ALONE:  # as it is, on values that are scaled as those of all others
        record = {**tuned.trace, "head": None}
        zero_shot = Imputer(base.backbone, base.base_name, base.context_length, trace=record)
        measured[ZERO_SHOT] = zero_shot
    rows = [
        {"pattern": pattern, "share": share, **errors(measured, test, pattern, share, season, arguments.test_seeds)}
        for pattern, share in CASES
    ]
    return {
        "dataset": name,
        "method": method,
        "seed": seed,
        "winner": tuned.trace["winner"],
        "parameters": tuned.trace["parameters"],
        "seconds": seconds,
        "candidates": tuned.trace["candidates"],
        "commit": commit(),
        "processor": processor_name("auto"),
        "rows": rows,
    }


def errors(
    measured: dict[str, Imputer], test: Panel, pattern: str, share: float, season: int, seeds: Sequence[int]
) -> dict[str, Any]:
    """Return the mean squared error of each imputer, and of the simple fills, mean over draws of hidden steps."""
    row: dict[str, Any] = {}
    for key, imputer in measured.items():
        draws = [imputer.evaluate(test, pattern=pattern, share=share, season=season, seed=seed) for seed in seeds]
        found = pd.concat(draws).groupby("method", sort=False)["mse"].mean().to_dict()
        row[key] = found.pop("model")
        assert row.setdefault("simple", found) == found, "all are measured on values of the same scale"
    return row


def markdown(cells: list[dict[str, Any]], arguments: argparse.Namespace) -> str:
    """Return the page."""
    lines = [
        f"`python -m benchmarks.imputation_table {_command(arguments)}` at commit "
        f"{', '.join(sorted({cell['commit'] for cell in cells}))}, on "
        f"{' and '.join(sorted({cell['processor'] for cell in cells}))}",
        "# Filling gaps",
        (__doc__ or "").split("\n\n")[1].replace("\n", " "),
        "## Cases ahead",
        "Cases, a seed each, in which an error is below that of zero-shot, and below those of all simple fills.",
        markdown_table(_ahead(cells)),
        "## Mean over the data sets, by pattern",
        markdown_table(_table(cells, ("pattern",))),
        "## By data set and pattern, mean over shares",
        markdown_table(_table(cells, ("dataset", "pattern"))),
        "## Every case",
        markdown_table(_table(cells, ("dataset", "pattern", "share"))),
        "## Fits",
        markdown_table([_fits(*each) for each in grouped(cells, "dataset", "method")]),
    ]
    return "\n\n".join(lines) + "\n"


def _ahead(cells: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Return in how many cases each method is ahead of zero-shot, which is in the cells of the head alone."""
    flat = [{"dataset": cell["dataset"], **row} for cell in cells for row in cell["rows"]]
    case = ("dataset", "pattern", "share")
    zero_shot = {tuple(row[name] for name in case): row[ZERO_SHOT] for row in flat if ZERO_SHOT in row}
    found = []
    for method in METHODS:
        rows = [row for row in flat if method in row and tuple(row[name] for name in case) in zero_shot]
        below = [row[method] < zero_shot[tuple(row[name] for name in case)] for row in rows]
        simple = [row[method] < min(row["simple"].values()) for row in rows]
        line = {"method": method, "cases": len(rows), "below zero-shot": sum(below), "below simple fills": sum(simple)}
        found += [line] if rows else []
    return found


def _command(arguments: argparse.Namespace) -> str:
    """Return the settings of the cells, without where they are."""
    told = {name: value for name, value in vars(arguments).items() if name not in ("cells", "output", "page_only")}
    return flags(argparse.Namespace(**told))


def _fits(key: tuple[str, str], cells: list[dict[str, Any]]) -> dict[str, Any]:
    """Return what is told of the fits of a method on a data set."""
    trained = [sum(count for part, count in cell["parameters"].items() if part in TRAINED) for cell in cells]
    return {
        "data set": key[0],
        "method": key[1],
        "seeds": len(cells),
        "winners": ", ".join(sorted({cell["winner"] for cell in cells})),
        "trained parameters": round(float(np.mean(trained))),
        "seconds": round(float(np.mean([cell["seconds"] for cell in cells]))),
    }


def _table(cells: list[dict[str, Any]], keys: tuple[str, ...]) -> list[dict[str, Any]]:
    """Return a row a group: mean of every method, with the deviation between seeds where there are several.

    Of a method only seeds count that have all cases of the group; otherwise means would be of different cases.
    """
    methods = [name for name in METHODS if any(name in cell["rows"][0] for cell in cells)]
    flat = [{"dataset": cell["dataset"], "seed": cell["seed"], **row} for cell in cells for row in cell["rows"]]
    found = []
    for key, group in grouped(flat, *keys):
        line: dict[str, Any] = dict(zip(keys, key, strict=True))
        simple = {(row["dataset"], row["pattern"], row["share"]): row["simple"] for row in group}  # no seed enters it
        for method in methods:
            of_seeds = [part for _, part in grouped([row for row in group if method in row], "seed")]
            by_seed = [np.mean([row[method] for row in part]) for part in of_seeds if len(part) == len(simple)]
            spread = f" ± {np.std(by_seed, ddof=1):.4f}" if np.ptp(by_seed or [0]) > 0 else ""
            line[method] = f"{np.mean(by_seed):.4f}{spread}" if by_seed else ""
        names = group[0]["simple"]
        found.append(line | {name: f"{np.mean([fills[name] for fills in simple.values()]):.4f}" for name in names})
    return found


def main() -> None:
    """Make the cells that are not there, and the page of those that are."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--sets", nargs="+", choices=SETS, default=list(SETS))
    parser.add_argument("--methods", nargs="+", choices=METHODS[1:], default=list(METHODS[1:]))
    parser.add_argument("--seeds", nargs="+", type=int, default=[0])
    parser.add_argument("--model", default="tracetune/tiny")
    parser.add_argument("--fit-steps", type=int, default=10_000, help="last steps before the test part")
    parser.add_argument("--test-steps", type=int, default=2_048, help="first steps of the test part")
    parser.add_argument("--steps", type=int, default=100, help="of training adapters")
    parser.add_argument("--evaluations", type=int, default=4, help="validation rounds while adapters train")
    parser.add_argument("--batch-size", type=int, default=64, help="channels of windows")
    parser.add_argument(
        "--test-seeds", nargs="+", type=int, default=[0], help="draws of hidden steps; means over them are shown"
    )
    parser.add_argument("--cells", default="runs/imputation", help="folder for a file a run")
    parser.add_argument("--output", help="page to write")
    parser.add_argument("--page-only", action="store_true", help="make no cells, but the page of those that are there")
    arguments = parser.parse_args()
    cells = []
    every = product(arguments.seeds, arguments.sets, arguments.methods)
    # A run that is cut off has the cheap ones of all sets, then all methods set by set.
    for seed, name, method in sorted(every, key=lambda each: (arguments.seeds.index(each[0]), each[2] != HEAD_ALONE)):
        path = Path(arguments.cells) / f"{name}-{method}-{seed}.json"
        if arguments.page_only and not path.is_file():
            continue
        if not path.is_file():
            path.parent.mkdir(parents=True, exist_ok=True)
            write_json(path, run(name, method, seed, arguments))
        cells.append(read_json(path))
        print(name, method, seed, [round(row[method], 4) for row in cells[-1]["rows"]], flush=True)
    if arguments.output is not None:
        Path(arguments.output).write_text(markdown(cells, arguments), encoding="utf-8")


if __name__ == "__main__":
    main()
