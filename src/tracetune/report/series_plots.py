"""Pictures of series as they are: small multiples with a title and a note each."""

import warnings
from collections.abc import Sequence
from dataclasses import dataclass
from io import StringIO

import numpy as np
from matplotlib import rc_context
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from numpy.typing import ArrayLike

from tracetune.report.figures import BLUE, GREY, INK, RED, draw_values, panels_figure, plain_axes, plain_ticks

_FEW_POINTS = 40
_MOST_POINTS = 600  # a series that is longer is drawn by its lowest and highest value in each of 300 parts


@dataclass(frozen=True, eq=False)
class SeriesPanel:
    """One series to draw.

    Attributes:
        title: stands above it.
        timestamps: [L], dates or numbers.
        values: [L], NaN where missing.
        note: stands beside the title.
    """

    title: str
    timestamps: ArrayLike
    values: ArrayLike
    note: str = ""


def series_figure(panels: Sequence[SeriesPanel]) -> Figure:
    """Draw up to six series, one below the other in two columns."""
    rows = 1 if len(panels) == 1 else -(-len(panels) // 2)
    figure, axes = panels_figure(len(panels), (11.0, 1.9 * rows + 0.2))
    for each, panel in zip(axes, panels, strict=True):
        _draw(each, panel)
    return figure


def bars_figure(lags: Sequence[int], values: ArrayLike, marked: Sequence[int]) -> Figure:
    """Draw an autocorrelation by lag, with the seasons marked."""
    figure = Figure(figsize=(11.0, 2.1), layout="constrained")
    axes = figure.add_subplot()
    plain_axes(axes)
    axes.vlines(list(lags), 0, values, color=GREY, linewidth=1.2)
    chosen = [lag for lag in lags if lag in marked]
    heights = np.asarray(values)[[list(lags).index(lag) for lag in chosen]] if chosen else np.zeros(0)
    axes.vlines(chosen, 0, heights, color=RED, linewidth=2.4)
    for lag, height in zip(chosen, heights, strict=True):
        axes.annotate(str(lag), (lag, height), (0, 3), textcoords="offset points", ha="center", fontsize=8, color=RED)
    axes.axhline(0, color=GREY, linewidth=0.8)
    axes.set_xlabel("steps apart", fontsize=8)
    axes.set_ylabel("autocorrelation", fontsize=8)
    axes.margins(y=0.15)
    return figure


def as_svg(figure: Figure) -> str:
    """Return a figure as SVG that can stand inside an HTML page; its texts stay texts."""
    text = StringIO()
    with rc_context({"svg.fonttype": "none", "svg.hashsalt": "tracetune"}), warnings.catch_warnings():
        warnings.filterwarnings("ignore", r"Glyph \d+ .* missing")  # from a font that browsers do not use
        figure.savefig(text, format="svg", metadata={"Date": None})
    return text.getvalue()[text.getvalue().index("<svg") :]


def _draw(axes: Axes, panel: SeriesPanel) -> None:
    plain_axes(axes)
    timestamps, values = thinned(np.asarray(panel.timestamps), np.asarray(panel.values, dtype=np.float64))
    if np.isfinite(values).sum() < _FEW_POINTS:
        axes.plot(timestamps, values, color=BLUE, linewidth=1.0, marker="o", markersize=2.5)
    else:
        draw_values(axes, timestamps, values, color=BLUE, linewidth=1.0)
    axes.set_title(panel.title, loc="left", fontsize=9, fontweight="bold", color=INK)
    axes.set_title(panel.note, loc="right", fontsize=8, color=GREY)
    axes.margins(x=0.01)
    plain_ticks(axes, heights=4)


def thinned(timestamps: np.ndarray, values: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return at most 600 points that look like the series: of each part its lowest and its highest value."""
    if len(values) <= _MOST_POINTS:
        return timestamps, values
    kept = []
    for part in np.array_split(np.arange(len(values)), _MOST_POINTS // 2):
        seen = part[~np.isnan(values[part])]
        kept += sorted({seen[values[seen].argmin()], seen[values[seen].argmax()]}) if len(seen) else [part[0]]
    return timestamps[kept], values[kept]
