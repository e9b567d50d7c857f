"""The confusion matrix as a picture."""

from pathlib import Path

import pandas as pd
from matplotlib.figure import Figure

from tracetune.report.figures import DPI, written_figure

_MOST_NUMBERS = 20  # classes up to which counts are written into the cells


def confusion_figure(confusion: pd.DataFrame, path: str | Path | None = None) -> Figure:
    """Draw counts [K, K], true classes in rows, to a file where one is given; colours are shares of each row."""
    counts = confusion.to_numpy()
    shares = counts / counts.sum(axis=1, keepdims=True).clip(min=1)
    side = 2.5 + 0.35 * min(len(counts), 40)
    figure = Figure(figsize=(side + 0.8, side), layout="constrained", dpi=DPI)
    axes = figure.subplots()
    image = axes.imshow(shares, cmap="Blues", vmin=0, vmax=1)
    ticks = range(len(counts))
    axes.set_xticks(ticks, [str(name) for name in confusion.columns], rotation=45, ha="right", parse_math=False)
    axes.set_yticks(ticks, [str(name) for name in confusion.index], parse_math=False)
    axes.set_xlabel("predicted class")
    axes.set_ylabel("true class")
    if len(counts) <= _MOST_NUMBERS:
        for row in ticks:
            for column in ticks:
                dark = shares[row, column] > 0.5
                axes.text(
                    column,
                    row,
                    f"{counts[row, column]:,}",
                    ha="center",
                    va="center",
                    color="white" if dark else "black",
                )
    figure.colorbar(image, ax=axes, label="share of the true class")
    return written_figure(figure, path)
