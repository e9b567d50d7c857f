"""The report of benchmarks/text_table.py: scores by set and method, paired differences, what selection saw."""

from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from tracetune.base.files import read_json, staged_file
from tracetune.evaluation.statistics import paired_bootstrap_interval

PAIRS = (
    ("TRACE, keep .5", "random, keep .5"),
    ("TRACE, keep .5", "LoRA, rank 1"),
    ("TRACE, keep .25", "random, keep .25"),
    ("TRACE, keep .25", "LoRA, rank 1"),
    ("TRACE, keep .5", "LoRA"),
    ("LoRA", "head alone"),
)


def report(folder: Path, output: Path, sets: Mapping[str, Any], methods: Iterable[str]) -> None:
    """Write the tables of all cells in ``folder`` below the text of ``output`` that ends with the mark of tables.

    Args:
        folder: of the cells.
        output: the page.
        sets: data sets by name, in the order of the tables.
        methods: their names, likewise.
    """
    cells = [read_json(path) for path in sorted(folder.glob("*.json"))]
    rows = pd.DataFrame([each for each in cells if each["cut"] == sets[each["set"]].cut])  # none of an earlier cut
    rows["score"] = [row[sets[row["set"]].score] for row in rows.to_dict("records")]
    found = [method for method in methods if method in set(rows["method"])]
    parts = [
        "## Test scores",
        f"{len(rows)} cells: {_seeds(rows)}. Mean and, with two seeds or more, deviation.",
        scores_table(rows, sets, found),
        "## Paired differences",
        "First less second on the same set and seed; above 0 the first is better. 95 % bootstrap interval over cells.",
        differences_table(rows),
        "## What was trained, and what it took",
        "Means over the cells of a method. Seconds are those of the processor, all phases.",
        costs_table(rows, found),
    ]
    mark = "<!-- tables -->"
    before = output.read_text(encoding="utf-8").partition(mark)[0] if output.is_file() else "# Text\n\n"
    with staged_file(output) as temporary:
        temporary.write_text(f"{before}{mark}\n\n" + "\n\n".join(parts) + "\n", encoding="utf-8")


def scores_table(rows: pd.DataFrame, sets: Mapping[str, Any], methods: Sequence[str]) -> str:
    """Return scores by method and set."""
    names = [name for name in sets if name in set(rows["set"])]
    titles = [f"{name}, {sets[name].score}" for name in names]
    lines = [_line("method", *titles), _line(*["---"] * (len(names) + 1))]
    for method in methods:
        lines.append(_line(method, *(_mean(rows, name, method) for name in names)))
    frequent = [
        f"{np.mean([row[sets[name].score] for row in rows.loc[rows['set'] == name, 'most_frequent']]):.3f}"
        for name in names
    ]
    return "\n".join([*lines, _line("most frequent class", *frequent)])


def differences_table(rows: pd.DataFrame) -> str:
    """Return mean differences of scores over cells that two methods share."""
    table = rows.pivot_table(index=["set", "seed"], columns="method", values="score")
    lines = [_line("first", "second", "cells", "better", "difference", "interval"), _line(*["---"] * 6)]
    for first, second in PAIRS:
        if not {first, second} <= set(table.columns):
            continue
        both = table[[first, second]].dropna()
        if not len(both):
            continue
        found = paired_bootstrap_interval(both[first], both[second])
        better = f"{int((both[first] > both[second]).sum())} of {len(both)}"
        between = f"{found.low:+.3f} to {found.high:+.3f}" if len(both) > 1 else ""
        lines.append(_line(first, second, len(both), better, f"{found.estimate:+.3f}", between))
    return "\n".join(lines)


def costs_table(rows: pd.DataFrame, methods: Sequence[str]) -> str:
    """Return parameters, seconds and what selection read."""
    lines = [
        _line("method", "head", "adapters", "seconds", "rounds x batches", "head won"),
        _line(*["---"] * 6),
    ]
    for method in methods:
        chosen = rows[rows["method"] == method]
        tuned = chosen[chosen["winner"] != "head"]
        adapters = [row["adapters"] for row in tuned["parameters"]] if method != "head alone" else [0]
        heads = [row["head"] for row in chosen["parameters"]]
        rounds = f"{chosen['rounds'].mean():.0f} x {_batches(chosen):.1f}" if chosen["rounds"].any() else ""
        lines.append(
            _line(
                method,
                f"{np.mean(heads):,.0f}",
                f"{np.mean(adapters):,.0f}" if adapters else "-",
                f"{chosen['processor_seconds'].mean():.0f}",
                rounds,
                "" if method == "head alone" else f"{int((chosen['winner'] == 'head').sum())} of {len(chosen)}",
            )
        )
    return "\n".join(lines)


def _batches(rows: pd.DataFrame) -> float:
    return float(rows["batches_per_round"].astype(float).mean())


def _mean(rows: pd.DataFrame, name: str, method: str) -> str:
    scores = rows.loc[(rows["set"] == name) & (rows["method"] == method), "score"]
    if not len(scores):
        return "-"
    return f"{scores.mean():.3f}" + (f" ± {scores.std():.3f}" if len(scores) > 1 else "")


def _seeds(rows: pd.DataFrame) -> str:
    counts = rows.groupby("set", sort=False)["seed"].unique()
    return "; ".join(f"{name}: seeds {', '.join(map(str, sorted(seeds)))}" for name, seeds in counts.items())


def _line(*cells: Any) -> str:
    return f"| {' | '.join(map(str, cells))} |"
