"""The confusion matrix as a picture."""

import textwrap
from pathlib import Path

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from tracetune.report.figures import DPI, written_figure

_MOST_NUMBERS = 20  # classes up to which counts are written into the cells
_LETTERS, _LINES = 24, 2  # of the name of a class
_LEAST_SIDE, _CELL, _MOST_CELLS = 2.4, 0.4, 40  # inches of all cells and of one; classes that add to them
_FONT_SIZE, _LETTER_WIDTH = 8, 0.08  # points, inches


def confusion_figure(confusion: pd.DataFrame, path: str | Path | None = None) -> Figure:
    """Draw counts [K, K], true classes in rows, to a file where one is given; colours are shares of each row."""
    counts = confusion.to_numpy()
    shares = counts / counts.sum(axis=1, keepdims=True).clip(min=1)
    names = [_in_lines(str(name)) for name in confusion.index]
    side = max(_LEAST_SIDE, _CELL * min(len(counts), _MOST_CELLS))
    longest = _LETTER_WIDTH * max(len(line) for name in names for line in name.splitlines())
    figure = Figure(figsize=(side + longest + 1.6, side + 0.75 * longest + 0.8), layout="constrained", dpi=DPI)
    axes = figure.subplots()
    image = axes.imshow(shares, cmap="Blues", vmin=0, vmax=1)
    ticks = range(len(counts))
    letters = _FONT_SIZE * min(1.0, _MOST_CELLS / len(counts))
    axes.set_xticks(ticks, names, rotation=45, ha="right", rotation_mode="anchor", fontsize=letters)
    axes.set_yticks(ticks, names, fontsize=letters)
    axes.set_xlabel("predicted class", fontsize=9)
    axes.set_ylabel("true class", fontsize=9)
    if len(counts) <= _MOST_NUMBERS:
        _write_counts(axes, confusion, shares > 0.5)
    figure.colorbar(image, ax=axes, shrink=0.8).set_label("share of the true class", fontsize=_FONT_SIZE)
    return written_figure(figure, path)


def _in_lines(name: str) -> str:
    """Return a name in at most two lines, cut where it is longer."""
    return "\n".join(textwrap.wrap(name, _LETTERS, max_lines=_LINES, placeholder=" …")) or name


def _write_counts(axes: Axes, confusion: pd.DataFrame, dark: np.ndarray) -> None:
    """Write the counts into the cells, white where they are dark."""
    counts = confusion.to_numpy()
    for row in range(len(counts)):
        for column in range(len(counts)):
            colour = "white" if dark[row, column] else "black"
            text = f"{counts[row, column]:,}"
            axes.text(column, row, text, ha="center", va="center", color=colour, fontsize=_FONT_SIZE)
