"""Tables of the training benchmark, from its rows."""

import numpy as np
import pandas as pd

from benchmarks.common import Row, grouped
from tracetune.evaluation.statistics import paired_bootstrap_interval, wilcoxon_holm
from tracetune.report.tables import markdown_table

OURS = "trace"
_NOTE = (
    "Means over seeds. Every method starts from the same head, takes the same steps, and is taken at the one that is "
    "best on validation; the learning rate was chosen by validation on the first seed. keep: share of the modules "
    "(AdaLoRA: of the ranks) that is left. Seconds of training and of selection apart."
)
_TEST_NOTE = (
    "Test MSE of trace minus that of the other, paired over data sets and seeds, in percent of the other: mean with "
    "95 % bootstrap interval; p: Wilcoxon signed-rank test, Holm-corrected. With n cases p cannot be below 2 / 2^n."
)


def markdown(rows: list[Row]) -> str:
    """Return all tables."""
    if not rows:
        return "No row yet."
    parts = [_NOTE, *(f"## {dataset}\n\n{markdown_table(means(group))}" for (dataset,), group in _datasets(rows))]
    tests = comparisons(rows)
    if tests:
        parts.append(f"## TRACE against the others\n\n{_TEST_NOTE}\n\n{markdown_table(tests)}")
    return "\n\n".join(parts)


def means(rows: list[Row]) -> list[Row]:
    """Return one line a method and budget."""
    return [
        {
            "method": method,
            "keep": keep,
            "seeds": len(group),
            "rate": group[0]["learning_rate"],
            "validation": _mean(group, "validation"),
            "MSE": _mean(group, "mse"),
            "MAE": _mean(group, "mae"),
            "MSE deviation": float(np.std([row["mse"] for row in group], ddof=1)) if len(group) > 1 else None,
            "head": group[0]["head"],
            "adapters": round(_mean(group, "adapters")),
            "train seconds": _mean(group, "seconds"),
            "selection seconds": _mean(group, "selection_seconds"),
        }
        for (method, keep), group in grouped(rows, "method", "keep")
    ]


def comparisons(rows: list[Row]) -> list[Row]:
    """Return TRACE at each budget against every method at the same budget, or without one."""
    lines = []
    for keep in dict.fromkeys(row["keep"] for row in rows if row["method"] == OURS):
        table = _errors([row for row in rows if row["keep"] == keep or row["method"] in ("lora", "head only")])
        if table.shape[1] < 2 or len(table) < 2:
            continue
        for test in wilcoxon_holm(table, control=OURS):
            other = test.second if test.first == OURS else test.first
            percent = paired_bootstrap_interval(100 * table[OURS] / table[other], np.full(len(table), 100.0))
            lines.append(
                {
                    "keep": keep,
                    "against": other,
                    "cases": len(table),
                    "difference in %": f"{percent.estimate:+.2f} [{percent.low:+.2f}, {percent.high:+.2f}]",
                    "wins": int((table[OURS] < table[other]).sum()),
                    "p": test.adjusted_p_value,
                }
            )
    return lines


def _errors(rows: list[Row]) -> pd.DataFrame:
    """Return test MSE, one row a case that all methods have solved, one column a method."""
    frame = pd.DataFrame([{name: row[name] for name in ("dataset", "seed", "method", "mse")} for row in rows])
    return frame.pivot_table(index=["dataset", "seed"], columns="method", values="mse").dropna()


def _datasets(rows: list[Row]) -> list[tuple[tuple[str, ...], list[Row]]]:
    return list(grouped(rows, "dataset"))


def _mean(rows: list[Row], name: str) -> float:
    return float(np.mean([row[name] for row in rows]))
