"""Tables of the fidelity benchmark, from its rows."""

from typing import Any

import numpy as np
import pandas as pd
from scipy.stats import rankdata, spearmanr

from benchmarks.common import Row, grouped
from tracetune.evaluation.statistics import paired_bootstrap_interval, wilcoxon_holm
from tracetune.report.tables import markdown_table

OURS = "gated_dsic"
TARGET = 0.95
_RESAMPLES = 1000


def markdown(rows: list[Row]) -> str:
    """Return all tables."""
    if not rows:
        return "No row yet."
    parts = {
        "Agreement with the Shapley values": (
            "Spearman correlation over the modules, mean over seeds; in brackets 95 % bootstrap intervals, over "
            "modules for one data set and over cases for all. Passes are forward passes over the scoring windows "
            "(backward counts as two). p: Wilcoxon signed-rank test against gated_dsic over all cases, "
            "Holm-corrected.",
            agreement_table(rows),
        ),
        "Deletion without training": (
            "Held-out loss with the best share of the modules open, in percent above that with all open (negative: "
            "better), mean over cases; last, the same on the scoring windows themselves. p as above, at 50 %.",
            deletion_table(rows),
        ),
        "Held-out loss at 50 %": ("Mean over seeds.", loss_table(rows)),
        "Where the error comes from": (
            "One pass: mean (lowest) Spearman over passes with masks of their own; 8 passes: of their mean score, so "
            "without most of the masks' noise. Clear: share of the modules whose Shapley value is above twice the "
            "standard error of the score; among them: Spearman over these alone. Transfer: Spearman between "
            "importances on the scoring and on the held-out windows (8 passes each). Split half: of the reference.",
            error_table(rows),
        ),
    }
    texts = [f"## {title}\n\n{text}\n\n{markdown_table(table)}" for title, (text, table) in parts.items()]
    return "\n\n".join([verdict(rows), *texts])


def verdict(rows: list[Row]) -> str:
    """Return whether the target is met, in one paragraph."""
    means = {dataset: _mean([_spearman(row, OURS) for row in group]) for (dataset,), group in grouped(rows, "dataset")}
    met = all(value >= TARGET for value in means.values())
    overall = {label: _mean([_spearman(row, label) for row in rows]) for label in _one_pass_labels(rows)}
    best = max(overall, key=overall.__getitem__)
    listed = ", ".join(f"{dataset} {value:.3f}" for dataset, value in means.items())
    return (
        f"Target: Spearman of {OURS} at least {TARGET} on every data set from one backward pass over the scoring "
        f"windows: **{'met' if met else 'not met'}** ({listed}). Highest mean of all scores of the package: {best} "
        f"({overall[best]:.3f})."
    )


def agreement_table(rows: list[Row]) -> list[Row]:
    """Return one line a score."""
    p_values = _against_ours(rows, lambda row, label: 1 - _spearman(row, label))
    table = []
    for label in rows[0]["scores"]:
        line: Row = {"score": label}
        for (dataset,), group in grouped(rows, "dataset"):
            line[dataset] = _module_interval(group, label)
        values = [_spearman(row, label) for row in rows]
        overall = paired_bootstrap_interval(values, np.zeros(len(values)), resamples=_RESAMPLES)
        line["all"] = f"{overall.estimate:.3f} [{overall.low:.3f}, {overall.high:.3f}]"
        line["Kendall"] = _mean([row["scores"][label]["kendall"] for row in rows])
        line["passes"] = _mean([row["scores"][label]["passes"] for row in rows])
        line["seconds"] = _mean([row["scores"][label]["seconds"] for row in rows])
        table.append({**line, "p": p_values.get(label)})
    shapley = [row["shapley"] for row in rows]
    reference = {name: _mean([entry[name] for entry in shapley]) for name in ("passes", "seconds")}
    return [*table, {"score": "shapley (reference)", **reference}]


def deletion_table(rows: list[Row]) -> list[Row]:
    """Return one line a way to choose."""
    p_values = _against_ours(rows, lambda row, label: row["deletion"]["kept"][label]["0.5"], ("shapley",))
    shares = list(rows[0]["deletion"]["kept"][OURS])
    table: list[Row] = [
        {
            "chosen by": label,
            **{f"{float(share):.0%} open": _mean([_above_open(row, label, share) for row in rows]) for share in shares},
            "50%, scoring windows": _mean([_above_open(row, label, "0.5", "deletion_on_scoring") for row in rows]),
            "p": p_values.get(label),
        }
        for label in ("shapley", *rows[0]["scores"])
    ]
    closed = {name: _mean([_percent(row[name], row[name]["all_closed"]) for row in rows]) for name in _DELETIONS}
    ends = {f"{float(share):.0%} open": closed["deletion"] for share in shares}
    return [*table, {"chosen by": "all closed", **ends, "50%, scoring windows": closed["deletion_on_scoring"]}]


def loss_table(rows: list[Row]) -> list[Row]:
    """Return one line a way to choose, one column a data set."""
    groups = {dataset: group for (dataset,), group in grouped(rows, "dataset")}
    table: list[Row] = [
        {
            "chosen by": label,
            **{name: _mean([row["deletion"]["kept"][label]["0.5"] for row in rows]) for name, rows in groups.items()},
        }
        for label in ("shapley", *rows[0]["scores"])
    ]
    for name in ("all_open", "all_closed"):
        losses = {dataset: _mean([row["deletion"][name] for row in group]) for dataset, group in groups.items()}
        table.append({"chosen by": name.replace("_", " "), **losses})
    return table


def error_table(rows: list[Row]) -> list[Row]:
    """Return one line a data set."""
    table = []
    for (dataset,), group in grouped(rows, "dataset"):
        clear = [_clear(row) for row in group]
        table.append(
            {
                "data set": dataset,
                **{f"one pass, {context}": _one_pass(group, context) for context in ("budget", "shapley")},
                **{f"8 passes, {c}": _mean([row["averaged"][c]["all_passes"] for row in group]) for c in _CONTEXTS},
                "spread of phi": _mean([np.std(row["shapley"]["values"]) for row in group]),
                "median error of score": _mean([np.median(row["scores"][OURS]["standard_errors"]) for row in group]),
                "clear": _mean([mask.mean() for mask in clear]),
                "among them": _mean([_spearman_within(row, mask) for row, mask in zip(group, clear, strict=True)]),
                "transfer": _mean([row["transfer"] for row in group]),
                "split half": _mean([row["shapley"]["split_half"] for row in group]),
                "pairs": _mean([row["shapley"]["pairs"] for row in group]),
            }
        )
    return table


_CONTEXTS = ("budget", "shapley")
_DELETIONS = ("deletion", "deletion_on_scoring")


def _above_open(row: Row, label: str, share: str, windows: str = "deletion") -> float:
    return _percent(row[windows], row[windows]["kept"][label][share])


def _percent(deletion: Row, loss: float) -> float:
    """Return how far a loss lies above that with all modules open."""
    return float(100 * (loss / deletion["all_open"] - 1))


def _spearman(row: Row, label: str) -> float:
    return float(row["scores"][label]["spearman"])


def _one_pass_labels(rows: list[Row]) -> list[str]:
    return [label for label in rows[0]["scores"] if not label.startswith("two passes")]


def _one_pass(rows: list[Row], context: str) -> str:
    averaged = [row["averaged"][context] for row in rows]
    lowest = min(entry["one_pass_lowest"] for entry in averaged)
    return f"{_mean([entry['one_pass'] for entry in averaged]):.3f} ({lowest:.3f})"


def _module_interval(rows: list[Row], label: str) -> str:
    """Return the mean over seeds, with the interval from modules drawn anew within each case."""
    random = np.random.default_rng(0)
    pairs = [(np.array(row["scores"][label]["values"]), np.array(row["shapley"]["values"])) for row in rows]
    means = np.mean([_resampled(random, *pair) for pair in pairs], axis=0)
    low, high = np.quantile(means, [0.025, 0.975])
    return f"{_mean([_spearman(row, label) for row in rows]):.3f} [{low:.3f}, {high:.3f}]"


def _resampled(random: np.random.Generator, values: np.ndarray, reference: np.ndarray) -> np.ndarray:
    """Return the Spearman correlations of resampled modules; 0 where a sample holds one value only."""
    drawn = random.integers(len(values), size=(_RESAMPLES, len(values)))
    first, second = (_centred(rankdata(array[drawn], axis=1)) for array in (values, reference))
    norms = np.sqrt((first**2).sum(axis=1) * (second**2).sum(axis=1))
    return np.divide((first * second).sum(axis=1), norms, out=np.zeros(_RESAMPLES), where=norms > 0)


def _centred(ranks: np.ndarray) -> np.ndarray:
    return ranks - ranks.mean(axis=1, keepdims=True)


def _clear(row: Row) -> np.ndarray:
    return np.abs(row["shapley"]["values"]) > 2 * np.array(row["scores"][OURS]["standard_errors"])


def _spearman_within(row: Row, mask: np.ndarray) -> float | None:
    if mask.sum() < 3:
        return None
    values, reference = np.array(row["scores"][OURS]["values"]), np.array(row["shapley"]["values"])
    return float(spearmanr(values[mask], reference[mask]).statistic)


def _against_ours(rows: list[Row], error: Any, more: tuple[str, ...] = ()) -> dict[str, float]:
    """Return corrected p-value of each label against ours; none from fewer than six cases, where none can be small."""
    if len(rows) < 6:
        return {}
    labels = [*rows[0]["scores"], *more]
    table = pd.DataFrame([{label: error(row, label) for label in labels} for row in rows])
    tests = wilcoxon_holm(table, control=OURS)
    return {test.second if test.first == OURS else test.first: test.adjusted_p_value for test in tests}


def _mean(values: list[Any]) -> float | None:
    known = [value for value in values if value is not None]
    return float(np.mean(known)) if known else None
