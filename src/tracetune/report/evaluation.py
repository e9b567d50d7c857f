"""A backtest in words and tables: all items together, the worst ones, the coverage of the intervals."""

from collections.abc import Sequence

import numpy as np
import pandas as pd
from rich.console import Console

from tracetune.data.panels import Panel
from tracetune.evaluation.backtest import Evaluation
from tracetune.report.pages import where_drawn
from tracetune.report.tables import frame_rows, print_table

_WORST = 5
_DRAWN = 3  # of the worst items
_FEWEST = 3  # items among which one may make up most of the mean
_MODEL = "model"


def print_evaluation(found: Evaluation, output: str | None = None, plot: str | None = None, advice: str = "") -> None:
    """Print a backtest on the terminal.

    Args:
        found: what it found.
        output: where the table of all items went.
        plot: where the picture went.
        advice: what to do where a naive forecast is better.
    """
    console = Console(highlight=False, markup=False)
    windows = int(found.overall["windows"].max())
    title = f"All items, {windows:,} forecast{'' if windows == 1 else 's'} by each forecaster"
    print_table(title, frame_rows(found.overall.drop(columns="windows")), console=console)
    console.print("mse, mae: in deviations of each series; mase below 1: better than the seasonal naive in the past.\n")
    worst = found.worst_items(_WORST)
    count = int((found.items["forecaster"] == _MODEL).sum())
    if count > 1 and len(worst):
        shown = worst.drop(columns=["forecaster", "windows"])
        print_table(f"Largest errors of the model, {len(shown)} of {count:,}, in their own units", frame_rows(shown))
    for line in [verdict(found.overall, advice), *without_the_largest(found.items), *coverage_lines(found.coverage)]:
        console.print(line)
    if output is not None:
        console.print(f"Errors of every item: {output}", soft_wrap=True)
    if plot is not None:
        console.print(where_drawn(plot), soft_wrap=True)


def verdict(overall: pd.DataFrame, advice: str = "") -> str:
    """Return in a sentence whether the model is better than the best naive forecast, by mase (or mae without).

    Where it is not, ``advice`` follows.
    """
    by = "mase" if overall["mase"].notna().all() else "mae"
    return _beside_naive("The model", by, overall.set_index("forecaster")[by], advice)


def without_the_largest(items: pd.DataFrame) -> list[str]:
    """Return the verdict without the item and channel that makes up most of the mean mase, where there is such a one.

    An item that left its level in the test part has errors beyond all measure, and hides what the others show.
    """
    errors = items.pivot_table(index=[items.columns[0], "target_name"], columns="forecaster", values="mase")
    if len(errors) < _FEWEST or _MODEL not in errors or (errors.max() <= errors.sum() / 2).all():
        return []
    largest = int(errors.max(axis=1).argmax())
    item, channel = errors.index.tolist()[largest]
    share = float((errors.iloc[largest] / errors.sum()).max())
    name = str(item) if len(set(items["target_name"])) == 1 else f"{item}, {channel}"
    others = errors.drop(index=errors.index[largest]).mean()
    return [f"{name} makes up {share:.0%} of a mean mase. {_beside_naive('Without it the model', 'mase', others)}"]


def _beside_naive(model: str, by: str, errors: pd.Series, advice: str = "") -> str:
    """Return in a sentence whether the model's error is below that of the best naive forecast."""
    naive = errors.drop(_MODEL)
    best, error = str(naive.idxmin()), float(errors[_MODEL])
    least = float(naive.min())
    if error < least:
        return (
            f"{model} has {by} {error:.4g}, the best naive forecast ({best}) {least:.4g}: {1 - error / least:.0%} less."
        )
    return (
        f"A naive forecast does at least as well: {best} has {by} {least:.4g}, {model[0].lower()}{model[1:]} "
        f"{error:.4g}. {advice}".rstrip()
    )


def coverage_lines(coverage: pd.DataFrame) -> list[str]:
    """Return a line per interval: how much of the truth it held, and between what in the periods."""
    lines = []
    for level, rows in coverage.groupby("level") if len(coverage) else []:
        whole = rows.loc[rows["period"] == "all", "coverage"].iloc[0]
        parts = rows.loc[rows["period"] != "all", "coverage"]
        lowest, highest = f"{parts.min():.0%}", f"{parts.max():.0%}"
        by_period = f" ({lowest} to {highest} by period)" if lowest != highest else ""
        lines.append(f"The {level:.0%} interval held {whole:.0%} of the truth{by_period}.")
    return lines


def rows_to_draw(found: Evaluation, panel: Panel) -> dict[tuple[int, int], str]:
    """Return the numbers of the worst items and channels and of the median one in ``panel``, each with a note.

    Where these are all there are, none is called the worst.
    """
    worst = found.worst_items(_DRAWN)
    others = int((found.items["forecaster"] == _MODEL).sum()) > _DRAWN
    notes: dict[tuple[int, int], str] = {}
    for table, word in ((worst, "worst"), (found.median_item(), "median")):
        for place, row in zip(_places(table, panel), table.to_dict("records"), strict=True):
            name = "mase" if np.isfinite(row["mase"]) else "wape"
            notes.setdefault(place, f"{word}, {name} {row[name]:.3g}" if others else f"{name} {row[name]:.3g}")
    return notes


def _places(table: pd.DataFrame, panel: Panel) -> list[tuple[int, int]]:
    items = {name: number for number, name in enumerate(panel.item_ids)}
    named: Sequence[object] = table.iloc[:, 0].tolist()
    channels = table["target_name"].tolist()
    return [(items[str(item)], panel.channels.index(channel)) for item, channel in zip(named, channels, strict=True)]
