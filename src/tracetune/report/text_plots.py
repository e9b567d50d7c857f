"""Pictures of classified texts: each with the probabilities of its classes."""

import textwrap
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from matplotlib.figure import Figure
from rich.cells import cell_len

from tracetune.report.figures import BLUE, GREY, INK, cut_name, panels_figure, require_panels, written_figure

_BARS = 4  # most probable classes
_LETTERS, _LINES = 72, 3  # of a line, and of a text
_NAME_LETTERS = 24


@dataclass(frozen=True, eq=False)
class TextPanel:
    """One text to draw.

    Attributes:
        texts: it, or the two of a pair.
        classes: [K] names.
        probabilities: [K].
    """

    texts: Sequence[str]
    classes: Sequence[str]
    probabilities: np.ndarray


def text_figure(panels: Sequence[TextPanel], path: str | Path | None = None) -> Figure:
    """Draw texts, in two columns, each above the probabilities of its most probable classes.

    Args:
        panels: the texts.
        path: file to write it to, whole or not at all; its suffix is the format (``.png``, ``.pdf``, ``.svg``).

    Raises:
        InputError: there is nothing to draw.
    """
    require_panels(panels)
    rows = 1 if len(panels) == 1 else -(-len(panels) // 2)
    figure, every = panels_figure(len(panels), (11.0, 1.9 * rows + 0.4), dpi=150)
    for axes, panel in zip(every, panels, strict=True):
        order = np.argsort(-panel.probabilities, kind="stable")[:_BARS]
        values = panel.probabilities[order]
        axes.barh(range(len(order)), values, color=[BLUE, *[GREY] * (len(order) - 1)], height=0.6)
        for place, value in enumerate(values):
            axes.text(value + 0.01, place, f"{value:.1%}".replace("%", " %"), va="center", fontsize=8, color=INK)
        names = [cut_name(panel.classes[number], _NAME_LETTERS) for number in order]
        axes.set_yticks(range(len(order)), names, fontsize=8, parse_math=False)
        axes.set_ylim(len(order) - 0.4, -0.6)
        axes.set_xlim(0, 1.12)
        axes.set_xticks([])
        axes.spines[["top", "right", "bottom"]].set_visible(False)
        axes.set_title(_title(panel.texts), loc="left", fontsize=8, color=INK, parse_math=False)
    figure.supxlabel("probability of the class", fontsize=8, color=GREY)
    return written_figure(figure, path)


def _title(texts: Sequence[str]) -> str:
    """Return a text, or both of a pair, in lines, long ones cut; letters of some scripts are twice as wide."""
    lines = []
    for text in texts:
        letters = max(_LETTERS * len(text) // max(cell_len(text), 1), 1)
        lines += textwrap.wrap(text, letters, max_lines=_LINES if len(texts) == 1 else 2, placeholder=" …")
    return "\n".join(lines)
