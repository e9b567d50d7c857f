"""From the cells of ``benchmarks/next_period.py`` to a table of rules: what each would have returned, and how that did.

A rule reads the losses on validation, by period and channel, and says how far to go from zero-shot (0) to the trained
model (1); what it said is looked up on test. Losses between the factors that were measured are interpolated.

    python -m benchmarks.next_period_report --cells FOLDER --output docs/results/next_period
"""

import argparse
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from scipy.interpolate import PchipInterpolator

from benchmarks.common import grouped, processor_name
from benchmarks.next_period import FACTORS
from tracetune.base.files import read_json, staged_file, write_json
from tracetune.evaluation.periods import SampleGroups, paired_difference
from tracetune.evaluation.statistics import wilcoxon_holm
from tracetune.fitting.shrinkage import choose_factor
from tracetune.report.tables import markdown_table

Cell = dict[str, Any]
Rule = Callable[[np.ndarray, SampleGroups], float]
_WORSE = 0.01
_CASE = ("dataset", "horizon", "cut", "seed")


def trained(losses: np.ndarray, groups: SampleGroups) -> float:
    """Return the trained model, whatever validation says."""
    return 1.0


def point_estimate(losses: np.ndarray, groups: SampleGroups) -> float:
    """Return the trained model where its mean loss is lower."""
    return float(losses[-1].mean() < losses[0].mean())


def one_standard_error(losses: np.ndarray, groups: SampleGroups) -> float:
    """Return the trained model where its mean loss is lower by more than a standard error of the difference."""
    difference = paired_difference(losses[0], losses[-1], groups)
    return float(difference.mean > (difference.error or 0.0))


def best_factor(losses: np.ndarray, groups: SampleGroups) -> float:
    """Return the factor with the lowest mean loss."""
    return FACTORS[int(losses.mean(axis=1).argmin())]


def two_thirds(losses: np.ndarray, groups: SampleGroups) -> float:
    """Return two thirds of the best factor."""
    return choose_factor(np.array(FACTORS), losses, groups).factor


def two_thirds_if_better(losses: np.ndarray, groups: SampleGroups) -> float:
    """Return two thirds of the best factor, or 0 unless periods left out find it better by anything."""
    return _guarded(losses, groups, 0.0)


def two_thirds_and_one_standard_error(losses: np.ndarray, groups: SampleGroups) -> float:
    """Return two thirds of the best factor, or 0 unless periods left out find it better beyond a standard error."""
    return _guarded(losses, groups, 1.0)


def _guarded(losses: np.ndarray, groups: SampleGroups, margin: float) -> float:
    choice = choose_factor(np.array(FACTORS), losses, groups)
    difference = paired_difference(losses[0], choice.held_out_losses, groups)
    return choice.factor if difference.mean > margin * (difference.error or 0.0) else 0.0


def smallest_within_one_standard_error(losses: np.ndarray, groups: SampleGroups) -> float:
    """Return the smallest factor whose loss is above the lowest one by at most a standard error of the difference."""
    best = losses[int(losses.mean(axis=1).argmin())]
    for factor, row in zip(FACTORS, losses, strict=True):
        above = paired_difference(row, best, groups)
        if above.mean <= (above.error or 0.0):
            return factor
    raise AssertionError("the best one is within the error of itself")


def half_way_to_a_half(losses: np.ndarray, groups: SampleGroups) -> float:
    """Return the mean of 1/2 and the factor with the lowest mean loss; 0 where that is 0."""
    best = best_factor(losses, groups)
    return 0.0 if best == 0 else (best + 0.5) / 2


def half(losses: np.ndarray, groups: SampleGroups) -> float:
    """Return half-way, whatever validation says."""
    return 0.5


RULES: dict[str, Rule] = {
    "trained (no guard)": trained,
    "lower loss (guard_margin=0, no shrinking)": point_estimate,
    "one standard error (no shrinking)": one_standard_error,
    "best factor": best_factor,
    "two thirds of the best factor": two_thirds,
    "the same, if better (guard_margin=0)": two_thirds_if_better,
    "the same, by one standard error (default)": two_thirds_and_one_standard_error,
    "smallest factor within one standard error": smallest_within_one_standard_error,
    "best factor, half-way to 1/2": half_way_to_a_half,
    "factor 1/2": half,
}


def path_of(cell: Cell, part: str) -> np.ndarray:
    """Return losses [factors, periods, items] between zero-shot and the trained model."""
    losses = np.array(cell[part])  # [adapter factors, head factors, periods, items]
    return losses[-1] if losses.shape[0] == 1 else losses[:, -1]


def judged(cell: Cell) -> dict[str, float]:
    """Return test loss over that of zero-shot, by rule; soft gates where they were measured."""
    validation, test = path_of(cell, "validation"), path_of(cell, "test")
    periods, items = (axis.ravel() for axis in np.indices(validation.shape[1:]))
    flat = validation.reshape(len(FACTORS), -1)
    seen = ~np.isnan(flat).any(axis=0)
    groups = SampleGroups(periods[seen], items[seen])
    base = test[0].mean()
    between = PchipInterpolator(FACTORS, test, axis=0)
    ratios = {}
    for name, rule in RULES.items():
        factor = rule(flat[:, seen], groups)
        ratios[name] = float(between(factor).mean() / base)
    if cell.get("soft_gates"):
        ratios["soft gates"] = float(np.mean(cell["soft_gates"]["test"]) / base)
    return ratios


def rule_rows(cells: Iterable[Cell]) -> list[dict[str, Any]]:
    """Return one row a method and rule."""
    rows = []
    for (method,), group in grouped(cells, "method"):
        judgements = [judged(cell) for cell in group]
        for rule in dict.fromkeys(name for each in judgements for name in each):
            ratios = np.array([each[rule] for each in judgements if rule in each])
            rows.append(
                {
                    "method": method,
                    "rule": rule,
                    "cases": len(ratios),
                    "worse by over 1 %": f"{(ratios > 1 + _WORSE).mean():.0%}",
                    "mean skill": f"{1 - np.exp(np.log(ratios).mean()):.2%}",
                    "worst": f"{1 - ratios.max():.2%}",
                }
            )
    return rows


def method_rows(cells: list[Cell], control: str = "trace") -> list[dict[str, Any]]:
    """Return TRACE against each of the others on the cases that both have, as trained and shrunk."""
    rows = []
    for rule in ("trained (no guard)", "two thirds of the best factor"):
        ratios: dict[str, dict[tuple[Any, ...], float]] = {}
        for cell in cells:
            ratios.setdefault(cell["method"], {})[tuple(cell[name] for name in _CASE)] = judged(cell)[rule]
        for other in ratios:
            if other == control or control not in ratios:
                continue
            both = [case for case in ratios[control] if case in ratios[other]]
            if not both:
                continue
            table = pd.DataFrame({name: [np.log(ratios[name][case]) for case in both] for name in (control, other)})
            (test,) = wilcoxon_holm(table)
            rows.append(
                {
                    "other method": other,
                    "rule": rule,
                    "cases": len(both),
                    f"{control} better by": f"{1 - np.exp((table[control] - table[other]).mean()):.2%}",
                    "p (Wilcoxon, not corrected)": round(test.p_value, 4),
                }
            )
    return rows


def summarise(cells: list[Cell]) -> str:
    """Return the report in Markdown."""
    cases = {tuple(cell[name] for name in _CASE) for cell in cells}
    sets = sorted({cell["dataset"] for cell in cells})
    settings = ", ".join(f"{name} {value}" for name, value in cells[0]["settings"].items())
    seconds = sum(cell["cpu_seconds"]["all"] for cell in cells)
    return "\n\n".join(
        [
            "# Does it hold on the next period?",
            f"{len(cells)} cells (set, horizon, cut in time, seed, method) of {len(cases)} cases on {', '.join(sets)}; "
            f"{seconds:.0f} seconds of processor time. Settings: {settings}. "
            f"Weights {cells[0]['weights']}. Losses are relative to zero-shot on the same test windows: skill is "
            "1 - the geometric mean of the ratios, positive is better than zero-shot.",
            "## Rules that read validation only",
            markdown_table(rule_rows(cells)),
            "## TRACE beside the others, paired",
            markdown_table(method_rows(cells)) if len({cell["method"] for cell in cells}) > 1 else "One method only.",
        ]
    )


def main() -> None:
    """Write the report of the cells in a folder."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--cells", required=True, help="folder of finished cells")
    parser.add_argument("--output", required=True, help="path without suffix")
    parser.add_argument("--commit", default="unknown", help="at which the cells were made")
    options = parser.parse_args()
    cells = [read_json(path) for path in sorted(Path(options.cells).glob("*.json"))]
    cells.sort(key=lambda cell: (cell["method"], *(cell[name] for name in _CASE)))
    command = "python -m benchmarks.next_period --cells FOLDER"
    made = {"command": command, "commit": options.commit, "processor": processor_name()}
    write_json(Path(options.output).with_suffix(".json"), {**made, "factors": FACTORS, "cells": cells})
    first = f"`{command}` at commit {options.commit}, on {processor_name()}"
    with staged_file(Path(options.output).with_suffix(".md")) as temporary:
        temporary.write_text(f"{first}\n\n{summarise(cells)}\n", encoding="utf-8")
    print(summarise(cells))


if __name__ == "__main__":
    main()
