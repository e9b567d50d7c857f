"""Scores of a model's LoRA modules side by side, whatever its task: computed, compared, written, drawn and printed."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any, Protocol

import numpy as np
from rich.console import Console
from rich.progress import track
from torch import nn

from tracetune.base.config import flat_values
from tracetune.base.errors import InputError
from tracetune.base.files import write_json
from tracetune.data.batch_source import BatchSource, spread_sample
from tracetune.data.windows import batches
from tracetune.report.importance_plots import Panel, module_grid, plot_importance
from tracetune.report.tables import print_table, write_rows
from tracetune.selection.agreement import rank_agreement
from tracetune.selection.importance import Importance, score_modules
from tracetune.selection.layers import lora_modules
from tracetune.selection.scores import SCORES, find_score

SHAPLEY = "shapley"
STATE_FILE = "shapley_state.json"
MAY_CHANGE = ("output", "restart", "device", "scores", "shapley_pairs", "data", "dataset", "model")
"""Settings that may differ between the parts of an interrupted run: what data and model hold is compared instead."""
_LEAST_MODULES = 3  # to compare rankings of


class ScoringChoice(Protocol):
    """Settings of scoring that commands share."""

    @property
    def model(self) -> str | None:
        """Return the name of the model."""
        ...

    @property
    def scores(self) -> tuple[str, ...]:
        """Return the methods; empty for all."""
        ...

    @property
    def shapley_pairs(self) -> int:
        """Return the pairs of permutations for the Shapley values."""
        ...

    @property
    def keep(self) -> float:
        """Return the share of other modules that is open."""
        ...

    @property
    def context(self) -> str:
        """Return which other modules are open."""
        ...

    @property
    def samples(self) -> int:
        """Return the number of validation samples."""
        ...

    @property
    def batch_size(self) -> int:
        """Return the samples of a batch."""
        ...

    @property
    def seed(self) -> int:
        """Return what fixes the result."""
        ...


def check_scores(scores: Sequence[str]) -> None:
    """Refuse unknown scores before the work.

    Raises:
        InputError: an unknown score, or the yardstick.
    """
    for score in scores:
        if score == SHAPLEY:
            raise InputError("Shapley values are the yardstick, not one of --scores. Ask for --shapley-pairs N.")
        find_score(score)


def require_modules(model: nn.Module, trace: dict[str, Any] | None, config: ScoringChoice) -> None:
    """Refuse a model without LoRA modules, or with too few to compare rankings of.

    Raises:
        InputError: see above.
    """
    modules = len(lora_modules(model))
    if modules == 0:
        assert trace is not None, "LoRA was trained on the foundation model"
        raise InputError(
            f"Expected LoRA modules in {config.model}, found none: {trace['winner']!r} did best on validation, out of "
            f"the method {trace['method']!r}. Give a folder that LoRA or TRACE won, or a foundation model's name."
        )
    if config.shapley_pairs and modules < _LEAST_MODULES:
        raise InputError(
            f"Expected at least {_LEAST_MODULES} LoRA modules to compare rankings of, found {modules}. "
            "Leave out --shapley-pairs, or adapt more layers."
        )


def score_all(
    model: nn.Module, validation_data: BatchSource, config: ScoringChoice, state_file: Path
) -> list[Importance]:
    """Return the scores of every method, the Shapley values first where they are wanted; all on the same windows."""
    windows = spread_sample(validation_data, config.samples, config.seed)
    validation = list(batches(windows, config.batch_size, next(model.parameters()).device))
    found = []
    if config.shapley_pairs:
        options: dict[str, Any] = {"pairs": config.shapley_pairs, "seed": config.seed}
        found.append(score_modules(model, validation, method=SHAPLEY, state_file=state_file, progress=True, **options))
    given = {"keep": config.keep, "context": config.context, "seed": config.seed}
    for method in track(config.scores or _all_scores(), "scoring"):
        options = {name: value for name, value in given.items() if name in find_score(method).options}
        found.append(score_modules(model, validation, method=method, **options))
    return found


def _all_scores() -> list[str]:
    """Return the names of all scores but the yardstick, signed ones first."""
    return sorted(SCORES.keys() - {SHAPLEY}, key=lambda name: (not SCORES[name].signed, name))


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
    output: Path, config: ScoringChoice, found: Sequence[Importance], agreement: Sequence[dict[str, Any]]
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
        "config": flat_values(config),
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
