"""Tables from the cells of ``benchmarks/next_period.py``: the test losses of the model that each rule chooses.

python -m benchmarks.next_period_report --cells FOLDER --output docs/results/next_period
"""

import argparse
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from scipy.stats import spearmanr

from benchmarks.common import grouped, processor_name, write_rows
from benchmarks.next_period_data import CONFIRMATION
from benchmarks.next_period_methods import BEST_START, BEST_STEP, LAST_STEP
from benchmarks.next_period_rates import rate_rows, summary_rows
from benchmarks.next_period_rules import (
    BEFORE,
    DEFAULT,
    RULES,
    SHRUNK,
    TODAY,
    TRAINED,
    WITHIN,
    WITHIN_GUARDED,
    Cell,
    judged,
    returned,
    start_ratio,
)
from tracetune.base.files import read_json, staged_file
from tracetune.evaluation.statistics import wilcoxon_holm
from tracetune.fitting.shrinkage import BEYOND
from tracetune.report.tables import markdown_table

_WORSE = 0.01
_CASE = ("dataset", "horizon", "cut", "seed")
_PLACE = ("dataset", "horizon", "cut")
_CONTROLS = {"trace .25": "zero-shot", "head, then trace .25": "head"}
Row = dict[str, Any]


def summary_of(ratios: Iterable[float]) -> Row:
    """Return the share and the size of test losses above those of the start."""
    values = np.array(list(ratios))
    return {
        "cases": len(values),
        "worse by over 1 %": f"{(values > 1 + _WORSE).mean():.0%}",
        "mean skill": f"{1 - np.exp(np.log(values).mean()):.2%}",
        "worst": f"{1 - values.max():.2%}",
    }


def fit_rows(cells: list[Cell]) -> list[Row]:
    """Return one row for each kind of fit, on all sets, on those that choices were made on, and on the others."""
    rows = []
    for (trial,), group in grouped([cell for cell in cells if "returned" in cell], "method"):
        for label, part in _parts(group).items():
            if part:
                rows.append({"fit": trial, "sets": label, **summary_of(returned(cell) for cell in part)})
    for (trial,), group in grouped([cell for cell in cells if cell["method"].startswith(BEST_START)], "method"):
        for rule in (WITHIN_GUARDED, DEFAULT):
            for label, part in _parts(group).items():
                ratios = [start_ratio(cell) * judged(cell, rules=[rule])[rule] for cell in part]
                if ratios:
                    limit = "factor up to 1" if rule == WITHIN_GUARDED else f"factor up to {BEYOND[-1]:g}"
                    rows.append({"fit": f"{trial}, {limit}", "sets": label, **summary_of(ratios)})
    return rows


def _parts(cells: list[Cell]) -> dict[str, list[Cell]]:
    panels = [cell for cell in cells if cell["dataset"][:3] in ("m1_", "m3_", "m4_")]
    long = [cell for cell in cells if cell not in panels]
    return {
        "long": long,
        "long, to choose by": [cell for cell in long if cell["dataset"] not in CONFIRMATION],
        "long, to confirm": [cell for cell in long if cell["dataset"] in CONFIRMATION],
        "panels": panels,
    }


def rule_rows(cells: Iterable[Cell], rules: Sequence[str] = tuple(RULES)) -> list[Row]:
    """Return one row a trial and rule; those that begin with the head are held beside the head."""
    rows = []
    for (trial,), group in grouped([cell for cell in cells if "path" in cell], "method"):
        for path in ("path", "modules"):
            judgements = [judged(cell, path, rules) for cell in group if path in cell]
            label = trial if path == "path" else f"{trial}, a factor for each module"
            rows += [
                {"trial": label, "rule": rule, **summary_of(each[rule] for each in judgements if rule in each)}
                for rule in rules
                if any(rule in each for each in judgements)
            ]
    return rows


def pair_rows(cells: list[Cell]) -> list[Row]:
    """Return TRACE against each of the others from the same start, paired over sets, horizons and cuts (mean seeds)."""
    rows = []
    for control, start in _CONTROLS.items():
        for rule in (TRAINED, WITHIN):
            ratios = {trial: _by_place(group, rule) for (trial,), group in grouped(_of_start(cells, start), "method")}
            for other in ratios:
                both = [place for place in ratios.get(control, {}) if place in ratios[other]]
                if other == control or len(both) < 5:
                    continue
                table = pd.DataFrame({name: [ratios[name][place] for place in both] for name in (control, other)})
                (test,) = wilcoxon_holm(table)
                rows.append(
                    {
                        "trial": control,
                        "other": other,
                        "rule": rule,
                        "cases": len(both),
                        "better by": f"{1 - np.exp((table[control] - table[other]).mean()):.2%}",
                        "better in": f"{(table[control] < table[other]).mean():.0%}",
                        "p": round(test.p_value, 4),
                    }
                )
    return rows


def _of_start(cells: list[Cell], start: str) -> list[Cell]:
    def fits(cell: Cell) -> bool:
        if "path" not in cell or cell["method"].startswith(BEST_START):
            return False
        return cell["method"].startswith("head, then") == (start == "head")

    return [cell for cell in cells if fits(cell) and cell["method"] != "head" and "rate" not in cell["method"]]


def _by_place(cells: list[Cell], rule: str) -> dict[tuple[Any, ...], float]:
    """Return log ratios by set, horizon and cut: seeds of one case are no cases of their own."""
    return {
        place: float(np.mean([np.log(judged(cell, rules=[rule])[rule]) for cell in group]))
        for place, group in grouped(cells, *_PLACE)
    }


def grid_rows(cells: list[Cell]) -> list[Row]:
    """Return, for each set, how far the worst of all rates and steps is above the best, by rule."""
    rows = []
    grid = [cell | {"step": cell["method"].endswith(BEST_STEP)} for cell in cells if _of_grid(cell)]
    for place, group in grouped(grid, *_CASE, "step"):
        columns: dict[str, list[float]] = {}
        for cell in group:
            for rule, ratio in judged(cell, rules=(TRAINED, WITHIN, WITHIN_GUARDED, SHRUNK, DEFAULT, BEFORE)).items():
                columns.setdefault(rule, []).append(ratio)
            if "modules" in cell:
                columns.setdefault(f"a factor for each module, {WITHIN}", []).append(
                    judged(cell, "modules", [WITHIN])[WITHIN]
                )
        rows += [
            {
                "case": f"{place[0]}, H = {place[1]}",
                "step": "best" if place[-1] else "last",
                "rule": rule,
                "settings": len(values),
                "best": f"{1 - min(values):.2%}",
                "mean": f"{1 - np.exp(np.log(values).mean()):.2%}",
                "worst": f"{1 - max(values):.2%}",
                "worst above best": f"{max(values) / min(values) - 1:.1%}",
            }
            for rule, values in columns.items()
        ]
    return rows


def _of_grid(cell: Cell) -> bool:
    """Return whether a cell is one of the whole trainings: no trial of "auto", and none of the last step beside it."""
    named = cell["method"].startswith("lora, rate ") and not cell["method"].endswith(LAST_STEP)
    return named and cell["settings"]["steps"] >= 100


def agreement_rows(cells: list[Cell]) -> list[Row]:
    """Return how far the scores of two seeds agree, and their kept modules beyond what random sets would share."""
    rows = []
    for (trial,), group in grouped([cell for cell in cells if cell.get("selection")], "method"):
        found = []
        for _, pair in grouped(group, *_PLACE):
            if len(pair) != 2:
                continue
            first, second = (cell["selection"]["last_round"] for cell in pair)
            names = list(first["scores"])
            scores = [[one["smoothed"][name] for name in names] for one in (first, second)]
            kept = [set(cell["selection"]["kept"]) for cell in pair]
            shared, size = len(kept[0] & kept[1]), min(map(len, kept))
            expected = len(kept[0]) * len(kept[1]) / len(names)
            told = np.mean([one["told_apart"] for one in (first, second)], dtype=float) if first["told_apart"] else 0.0
            found.append((spearmanr(*scores).statistic, shared / size, expected / size, told))
        if found:
            means = np.mean(found, axis=0)
            rows.append(
                {
                    "trial": trial,
                    "cases": len(found),
                    "Spearman": f"{means[0]:.2f}",
                    "kept by both": f"{means[1]:.0%}",
                    "of random sets": f"{means[2]:.0%}",
                    "scores beyond 2 SE": f"{means[3]:.0%}",
                }
            )
    return rows


def set_rows(cells: list[Cell]) -> list[Row]:
    """Return the mean skill by set of the default fit and of some trials, as trained and by two thirds."""
    rows = []
    for (name, horizon), group in grouped(cells, "dataset", "horizon"):
        row: Row = {"set": f"{name}, H = {horizon}"}
        for (trial,), part in grouped([cell for cell in group if cell["method"] in _SHOWN], "method"):
            logs = [np.log(returned(cell) if "returned" in cell else judged(cell)[TRAINED]) for cell in part]
            row[trial] = f"{1 - np.exp(np.mean(logs)):.1%}"
        rows.append({**{"set": row["set"]}, **{trial: row.get(trial, "") for trial in _SHOWN}})
    return rows


_SHOWN = ("default", "head", "trace .25", "random .25", "shuffled scores .25", "lora", "adalora")


def summarise(cells: list[Cell], command: str) -> str:
    """Return the report in Markdown."""
    cases = {tuple(cell[name] for name in _CASE) for cell in cells}
    seconds = sum(cell["cpu_seconds"] for cell in cells)
    settings = {name: value for name, value in cells[0]["settings"].items() if name != "steps"}
    main = [cell for cell in cells if ", rate " not in cell["method"]]
    parts: list[tuple[str, Callable[[], list[Row]]]] = [
        ("What comes out of a fit, beside zero-shot", lambda: fit_rows(main)),
        ("Mean skill by set (trials as trained, without any guard)", lambda: set_rows(main)),
        ("Rules that read validation only", lambda: rule_rows(main, (TRAINED, TODAY, *list(RULES)[2:11]))),
        ("TRACE beside others from the same start, paired", lambda: pair_rows(main)),
        ("Rates from 5e-4 to 8e-3, 100 to 400 steps", lambda: grid_rows(cells)),
        ("A rate chosen on validation: test loss over that of the start", lambda: rate_rows(cells)),
        ("The same, means", lambda: summary_rows(rate_rows(cells))),
        ("Two seeds", lambda: agreement_rows(main)),
    ]
    text = [
        f"{len(cells)} cells (set, horizon, cut in time, seed, steps, trial) of {len(cases)} cases; {seconds / 60:.0f} "
        "minutes of processor time. "
        + ", ".join(f"{name} {value}" for name, value in settings.items())
        + f". Skill is 1 - the geometric mean of test losses over those of the start; positive is better. {command}"
    ]
    for title, rows in parts:
        if found := rows():
            text += [f"## {title}", markdown_table(found)]
    return "\n\n".join(text)


def main() -> None:
    """Write the report of the cells in a folder; what was concluded is written by hand above the tables."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--cells", required=True, help="folder of finished cells")
    parser.add_argument("--output", required=True, help="path without suffix")
    parser.add_argument("--commit", default="unknown", help="at which the cells were made")
    options = parser.parse_args()
    cells = [read_json(path) for path in sorted(Path(options.cells).glob("*.json"))]
    cells.sort(key=lambda cell: (cell["method"], *(cell[name] for name in _CASE), cell["settings"]["steps"]))
    command = f"`python -m benchmarks.next_period --cells FOLDER` at commit {options.commit}, on {processor_name()}."
    tables = summarise(cells, command)
    target = Path(options.output).with_suffix(".md")
    written = target.read_text(encoding="utf-8").partition(_MARK)[0] if target.is_file() else "# Next period\n\n"
    with staged_file(target) as temporary:
        temporary.write_text(f"{written}{_MARK}\n\n{tables}\n", encoding="utf-8")
    header, rows = published(cells)
    write_rows(Path(options.output).with_suffix(".json"), {"command": command, **header}, "cells", rows)
    print(tables)


_MARK = "<!-- tables: written by benchmarks/next_period_report.py -->"


def published(cells: Sequence[Cell]) -> tuple[Row, list[Row]]:
    """Return cells as they are published, in two parts: what they share, and a row for each.

    Shared are the settings that are the same in all, and the names of the rules: a row has the loss over that of the
    start by each of them, in their order, null where the cell has none. It has means in place of losses by period and
    item, and of its settings those that are not shared.
    """
    settings = [cell["settings"] for cell in cells]
    shared = {name: value for name, value in settings[0].items() if all(each.get(name) == value for each in settings)}
    judgements = [{path: judged(cell, path) for path in ("path", "modules") if path in cell} for cell in cells]
    found = {rule for paths in judgements for ratios in paths.values() for rule in ratios}
    rules = [rule for rule in RULES if rule in found]
    rows = []
    for cell, paths in zip(cells, judgements, strict=True):
        row: Row = {name: cell[name] for name in (*_CASE, "method")}
        row |= {name: value for name, value in cell["settings"].items() if name not in shared}
        row["cpu_seconds"] = round(cell["cpu_seconds"], 2)
        if "returned" in cell:
            row |= {"winner": cell["winner"], "ratio": round(returned(cell), 5)}
        else:
            row |= {path: [_rounded(ratios.get(rule)) for rule in rules] for path, ratios in paths.items()}
        rows.append(row)
    return {"settings": shared, "rules": rules}, rows


def _rounded(ratio: float | None) -> float | None:
    return None if ratio is None else round(ratio, 5)


if __name__ == "__main__":
    main()
