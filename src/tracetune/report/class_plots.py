"""Pictures of classified series: each with its class, and with the steps that speak for it or against it."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from matplotlib.figure import Figure

from tracetune.base.errors import InputError
from tracetune.report.figures import GREY, INK, cut_name, panels_figure, plain_axes, plain_ticks, written_figure
from tracetune.report.series_plots import thinned

_STRIPES = 60  # over a series: single steps would flicker
_NAME_LETTERS, _CLASS_LETTERS = 28, 36  # of a line with a series and its channel, and of the class beside it
_DRAWN = 6


@dataclass(frozen=True, eq=False)
class ClassPanel:
    """One series to draw.

    Attributes:
        title: stands above it.
        note: stands beside the title.
        values: [L], NaN where missing.
        speaks: [L] how much each step speaks for the class that is named, negative against it; NaN where missing.
    """

    title: str
    note: str
    values: np.ndarray
    speaks: np.ndarray

    @classmethod
    def of(
        cls, names: Sequence[str], class_name: str, probability: float, values: np.ndarray, speaks: np.ndarray
    ) -> "ClassPanel":
        """Return the panel of a series, by its name and, of several channels, that of one; long names are cut."""
        title = ("\n" if sum(map(len, names)) > _NAME_LETTERS else " · ").join(map(_ends, names))
        note = f"{cut_name(class_name, _CLASS_LETTERS)}, {probability:.1%}".replace("%", " %")
        return cls(title, note, values, speaks)


def least_sure(probabilities: np.ndarray) -> np.ndarray:
    """Return the rows of the up to six samples whose most probable class is the least probable, of [S, K]."""
    return np.argsort(probabilities.max(axis=1), kind="stable")[:_DRAWN]


def class_figure(panels: Sequence[ClassPanel], path: str | Path | None = None) -> Figure:
    """Draw series, in two columns, on stripes that are blue where steps speak for the class and red where against.

    Args:
        panels: the series.
        path: file to write it to, whole or not at all; its suffix is the format (``.png``, ``.pdf``, ``.svg``).

    Raises:
        InputError: there is nothing to draw.
    """
    if not panels:
        raise InputError("Expected at least one series to draw, found none.")
    rows = 1 if len(panels) == 1 else -(-len(panels) // 2)
    figure, every = panels_figure(len(panels), (11.0, 2.1 * rows + 0.4), dpi=150)
    for axes, panel in zip(every, panels, strict=True):
        plain_axes(axes)
        steps, values = thinned(np.arange(len(panel.values)), panel.values)
        axes.plot(steps, values, color=INK, linewidth=1.0, marker="o" if len(values) < 40 else "", markersize=2.5)
        axes.margins(x=0)
        plain_ticks(axes, heights=4)
        stripes = in_stripes(panel.speaks)
        most = max(float(np.abs(stripes).max()), np.finfo(float).tiny)
        low, high = axes.get_ylim()
        extent = (-0.5, len(panel.values) - 0.5, low, high)
        axes.imshow(
            stripes[None], cmap="RdBu", vmin=-most, vmax=most, alpha=0.45, aspect="auto", extent=extent, zorder=0
        )
        axes.set_ylim(low, high)
        axes.set_title(panel.title, loc="left", fontsize=9, fontweight="bold", color=INK)
        axes.set_title(panel.note, loc="right", fontsize=8, color=GREY)
    figure.supxlabel("step; blue: speaks for the class, red: against it", fontsize=8, color=GREY)
    return written_figure(figure, path)


def in_stripes(speaks: np.ndarray) -> np.ndarray:
    """Return the sums of what steps [L] say, over at most 60 parts of the series; missing steps say nothing."""
    parts = min(len(speaks), _STRIPES)
    starts = np.arange(parts) * len(speaks) // parts
    return np.add.reduceat(np.nan_to_num(speaks), starts)


def _ends(name: str) -> str:
    """Return a name without its middle where it is long: numbers and what else tells names apart stand at the ends."""
    half = _NAME_LETTERS // 2
    return name if len(name) <= _NAME_LETTERS else f"{name[: half - 1]}…{name[-half:]}"
