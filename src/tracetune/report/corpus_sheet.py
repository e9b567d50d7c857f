"""One picture of a corpus of series: a line of small panels per kind, with its name and what it stands for."""

import textwrap
from collections.abc import Mapping
from pathlib import Path

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from numpy.typing import ArrayLike
from PIL import Image

from tracetune.base.errors import InputError
from tracetune.base.files import staged_file
from tracetune.report.figures import BLUE, INK

_FRAME = "#d5d8dd"
_PANEL = (1.75, 0.62)  # inches
_LABEL_WIDTH = 1.9  # panels
_LABEL_CHARACTERS = 62


def plot_corpus(
    path: str | Path, groups: Mapping[str, ArrayLike], captions: Mapping[str, str], *, dpi: int = 100
) -> None:
    """Draw the rows of every group side by side, each panel on its own scale.

    Args:
        path: file to write; its suffix is the format (``.png``, ``.pdf``, ``.svg``).
        groups: arrays [n, L] by name, the same n for all.
        captions: what each group stands for, by the same names.
        dpi: resolution of a picture made of pixels.

    Raises:
        InputError: no group, or groups with other numbers of rows than the first.
    """
    arrays = {name: np.asarray(rows, dtype=np.float64) for name, rows in groups.items()}
    counts = {len(rows) for rows in arrays.values()}
    if len(counts) != 1 or 0 in counts:
        raise InputError(f"Expected groups with one and the same number of rows, found {sorted(counts) or 'none'}.")
    (columns,) = counts
    size = ((columns + _LABEL_WIDTH) * _PANEL[0], len(arrays) * _PANEL[1])
    figure = Figure(figsize=size, dpi=dpi)
    grid = figure.add_gridspec(
        len(arrays), columns + 1, width_ratios=[_LABEL_WIDTH] + [1] * columns,
        left=0.01, right=0.995, bottom=0.005, top=0.995, wspace=0.05, hspace=0.16,
    )  # fmt: skip
    for line, (name, rows) in enumerate(arrays.items()):
        _draw_label(figure.add_subplot(grid[line, 0]), name, captions[name])
        for column, row in enumerate(rows):
            _draw_row(figure.add_subplot(grid[line, column + 1]), row)
    with staged_file(path) as temporary:
        figure.savefig(temporary)
        if temporary.suffix == ".png":  # a palette of few colours: a third of the bytes
            Image.open(temporary).convert("P", palette=Image.Palette.ADAPTIVE, colors=24).save(temporary, optimize=True)


def _draw_label(axes: Axes, name: str, caption: str) -> None:
    axes.axis("off")
    axes.text(0, 0.98, name.replace("_", " "), fontsize=7.5, fontweight="bold", color=INK, va="top")
    axes.text(0, 0.66, textwrap.fill(caption, _LABEL_CHARACTERS), fontsize=6, color=INK, va="top", linespacing=1.25)


def _draw_row(axes: Axes, row: np.ndarray) -> None:
    axes.plot(row, color=BLUE, linewidth=0.6)
    axes.margins(x=0.01, y=0.08)
    axes.set(xticks=[], yticks=[])
    for spine in axes.spines.values():
        spine.set_color(_FRAME)
