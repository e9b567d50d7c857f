"""Scores of a model's LoRA modules side by side, whatever its task: compared, written, drawn and printed."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from rich.console import Console

from tracetune.base.files import write_json
from tracetune.estimators.module_importance import SHAPLEY
from tracetune.report.importance_plots import Panel, module_grid, plot_importance
from tracetune.report.tables import print_table, write_rows
from tracetune.selection.agreement import rank_agreement
from tracetune.selection.importance import Importance
from tracetune.selection.scores import find_score


def agreement_rows(found: Sequence[Importance]) -> list[dict[str, Any]]:
    """Return one row a score: rank correlations with the Shapley values; none without them."""
    yardstick = next((each.scores for each in found if each.method == SHAPLEY), None)
    if yardstick is None:
        return []
    rows = []
    for each in found:
        if each.method != SHAPLEY:
            agreement = rank_agreement(each.scores, yardstick)
            row: dict[str, Any] = {"score": each.method}
            for name, interval in (("spearman", agreement.spearman), ("kendall", agreement.kendall)):
                values = (interval.estimate, interval.low, interval.high)
                row |= dict(zip((name, f"{name}_low", f"{name}_high"), map(_finite, values), strict=True))
            rows.append(row | {"modules": agreement.modules})
    return rows


def write_scores(
    output: Path, settings: dict[str, Any], found: Sequence[Importance], agreement: Sequence[dict[str, Any]]
) -> None:
    """Write scores.csv, agreement.csv (with Shapley values), heatmap.png and importance.json."""
    write_rows(output / "scores.csv", [row for each in found for row in _rows(each)])
    if agreement:
        write_rows(output / "agreement.csv", agreement)
    plot_importance(
        output / "heatmap.png",
        [
            Panel(each.method, dict(zip(each.names, each.scores.tolist(), strict=True)), find_score(each.method).signed)
            for each in found
        ],
    )
    content = {
        "modules": list(found[0].names),
        "scores": {each.method: _description(each) for each in found},
        "agreement": list(agreement),
        "config": settings,
    }
    write_json(output / "importance.json", content)


def _rows(each: Importance) -> list[dict[str, Any]]:
    errors = [None] * len(each.names) if each.standard_errors is None else map(_finite, each.standard_errors)
    return [
        {"module": name, "score": each.method, "value": value, "standard_error": error}
        for name, value, error in zip(each.names, each.scores.tolist(), errors, strict=True)
    ]


def _description(each: Importance) -> dict[str, Any]:
    rows = _rows(each)
    return {
        "values": {row["module"]: row["value"] for row in rows},
        "standard_errors": {row["module"]: row["standard_error"] for row in rows},
        "share_beyond_noise": each.share_beyond_noise,
        "signed": find_score(each.method).signed,
        "samples": each.samples,
        "forward_equivalents": each.forward_equivalents,
        "seconds": each.seconds,
        "options": {name: value for name, value in each.options.items() if name not in ("state_file", "progress")},
    }


def _finite(value: float) -> float | None:
    return float(value) if np.isfinite(value) else None


def report_scores(found: Sequence[Importance], agreement: Sequence[dict[str, Any]], output: str) -> None:
    """Print the most important module by every score, and how scores agree with the Shapley values."""
    of_score = {row["score"]: row for row in agreement}
    labels = module_grid(found[0].names).labels()
    rows = [
        {
            "score": each.method,
            "most important": labels[each.ranking()[0]],
            "seconds": each.seconds,
            "forward passes": each.forward_equivalents,
            **{name: of_score[each.method][name] for name in ("spearman", "kendall") if each.method in of_score},
        }
        for each in found
    ]
    print_table(f"Importance of {len(found[0].names)} LoRA modules" + (", beside Shapley" if agreement else ""), rows)
    Console().print(f"Written to {output}: scores.csv, importance.json, heatmap.png")
