"""Filling of gaps beside what needs no model: zero-shot, head alone, TRACE, LoRA, full fine-tuning, simple fills.

A fit sees the training and validation parts of a data set, cut to their last steps; then observed steps of the first
steps of the test part are hidden, by every pattern and share, and filled. Errors are mean squared ones over hidden
steps alone, of values scaled by the training part. Every run is a file of its own, so that a run that was cut off goes
on where it was.

    python -m benchmarks.imputation_table --cells runs/imputation --output docs/results/imputation.md
"""

import argparse
import time
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.common import commit, flags, grouped, processor_name
from tracetune.base.files import read_json, write_json
from tracetune.data.datasets import load_dataset
from tracetune.estimators.imputer import Imputer
from tracetune.fitting.config import FitConfig
from tracetune.fitting.methods import method_named
from tracetune.report.tables import markdown_table
from tracetune.tasks.imputation_data import BLOCKS, CHANNELS, POINTS, SUBSEQUENCES
from tracetune.training.config import TrainingConfig

SETS = ("ETTh1", "ETTh2", "ETTm1", "ETTm2", "weather")
SHARES = (0.125, 0.25, 0.375, 0.5)
ZERO_SHOT = "zero-shot"
METHODS = (ZERO_SHOT, "linear_probe", "trace", "lora", "full")
CASES = [(pattern, share) for pattern in (POINTS, BLOCKS, SUBSEQUENCES) for share in SHARES] + [(CHANNELS, 0.25)]


def run(name: str, method: str, seed: int, arguments: argparse.Namespace) -> dict[str, Any]:
    """Fit one method on one data set, and measure it in all cases."""
    known = load_dataset(name)
    assert known.borders is not None, "these data sets have published borders"
    end = known.borders.validation_end
    panel = known.panel.cut(max(0, end - arguments.fit_steps), end)
    test = known.panel.cut(end, min(end + arguments.test_steps, known.borders.test_end))
    base = Imputer.from_pretrained(arguments.model, device="cpu")
    started = time.perf_counter()
    season = known.info.seasonality
    # Zero-shot is measured as it is, on values scaled as those of all others.
    chosen = "linear_probe" if method == ZERO_SHOT else method
    training = TrainingConfig(seed=seed, max_steps=arguments.steps, batch_size=arguments.batch_size)
    head_training = TrainingConfig(num_train_epochs=1, seed=seed)
    config = FitConfig(method=method_named(chosen), head_training=head_training, training=training)
    tuned = base.fit(panel, config, season=season)
    assert tuned.trace is not None
    seconds = time.perf_counter() - started
    measured = tuned
    if method == ZERO_SHOT:
        measured = Imputer(base.backbone, base.base_name, base.context_length, device="cpu")
        measured.trace = {**tuned.trace, "head": None}
    rows = []
    for pattern, share in CASES:
        found = measured.evaluate(test, pattern=pattern, share=share, season=season, seed=arguments.test_seed)
        rows.append({"pattern": pattern, "share": share, **dict(zip(found["method"], found["mse"], strict=True))})
    return {
        "dataset": name,
        "method": method,
        "seed": seed,
        "winner": tuned.trace["winner"],
        "parameters": tuned.trace["parameters"],
        "seconds": seconds,
        "candidates": tuned.trace["candidates"],
        "commit": commit(),
        "rows": rows,
    }


def markdown(cells: list[dict[str, Any]], arguments: argparse.Namespace) -> str:
    """Return the page."""
    simple = [key for key in cells[0]["rows"][0] if key not in ("pattern", "share", "model")]
    lines = [
        f"`python -m benchmarks.imputation_table {flags(arguments)}` at commit "
        f"{', '.join(sorted({cell['commit'] for cell in cells}))}, on {processor_name()}",
        "# Filling gaps",
        (__doc__ or "").split("\n\n")[1].replace("\n", " "),
        "## Mean over the data sets, by pattern",
        markdown_table(_table(cells, simple, ("pattern",))),
        "## By data set and pattern, mean over shares",
        markdown_table(_table(cells, simple, ("dataset", "pattern"))),
        "## Every case",
        markdown_table(_table(cells, simple, ("dataset", "pattern", "share"))),
        "## Fits",
        markdown_table(
            [
                {
                    "data set": dataset,
                    "method": method,
                    "seeds": len(group),
                    "winners": ", ".join(sorted({cell["winner"] for cell in group})),
                    "trained": round(
                        np.mean(
                            [
                                sum(v for k, v in cell["parameters"].items() if k in ("head", "adapters"))
                                for cell in group
                            ]
                        )
                    ),
                    "seconds": round(np.mean([cell["seconds"] for cell in group])),
                }
                for (dataset, method), group in grouped(cells, "dataset", "method")
            ]
        ),
    ]
    return "\n\n".join(lines) + "\n"


def _table(cells: list[dict[str, Any]], simple: list[str], keys: tuple[str, ...]) -> list[dict[str, Any]]:
    """Return a row a group: mean of every method, with the deviation between seeds where there are several."""
    flat = [
        {"dataset": cell["dataset"], "method": cell["method"], "seed": cell["seed"], **row}
        for cell in cells
        for row in cell["rows"]
    ]
    found = []
    for key, group in grouped(flat, *keys):
        row: dict[str, Any] = dict(zip(keys, key, strict=True))
        for (method,), of_method in grouped(group, "method"):
            by_seed = [np.mean([each["model"] for each in part]) for _, part in grouped(of_method, "seed")]
            spread = f" ± {np.std(by_seed):.4f}" if len(by_seed) > 1 else ""
            row[method] = f"{np.mean(by_seed):.4f}{spread}"
        row |= {name: f"{np.mean([each[name] for each in group]):.4f}" for name in simple}
        found.append(row)
    return found


def main() -> None:
    """Make the cells that are not there, and the page of those that are."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--sets", nargs="+", choices=SETS, default=list(SETS))
    parser.add_argument("--methods", nargs="+", choices=METHODS, default=list(METHODS))
    parser.add_argument("--seeds", nargs="+", type=int, default=[0])
    parser.add_argument("--model", default="tracetune/tiny")
    parser.add_argument("--fit-steps", type=int, default=10_000, help="last steps before the test part")
    parser.add_argument("--test-steps", type=int, default=2_048, help="first steps of the test part")
    parser.add_argument("--steps", type=int, default=150, help="of training adapters")
    parser.add_argument("--batch-size", type=int, default=64, help="channels of windows")
    parser.add_argument("--test-seed", type=int, default=0)
    parser.add_argument("--cells", default="runs/imputation", help="folder for a file a run")
    parser.add_argument("--output", help="page to write")
    arguments = parser.parse_args()
    cells = []
    for name in arguments.sets:
        for method in arguments.methods:
            for seed in arguments.seeds if method not in (ZERO_SHOT, "linear_probe") else arguments.seeds[:1]:
                path = Path(arguments.cells) / f"{name}-{method}-{seed}.json"
                if not path.is_file():
                    path.parent.mkdir(parents=True, exist_ok=True)
                    write_json(path, run(name, method, seed, arguments))
                cells.append(read_json(path))
                print(name, method, seed, {r["pattern"]: round(r["model"], 4) for r in cells[-1]["rows"]}, flush=True)
    if arguments.output is not None:
        Path(arguments.output).write_text(markdown(cells, arguments), encoding="utf-8")


if __name__ == "__main__":
    main()
