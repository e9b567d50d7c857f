"""Pictures of filled series: what was observed, and what was filled in between."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from tracetune.base.stretches import stretches_of
from tracetune.report.figures import (
    BLUE,
    DPI,
    GREY,
    RED,
    add_legend,
    draw_values,
    legend_entries,
    plain_axes,
    plain_ticks,
    require_panels,
    written_figure,
)

_MOST_STEPS = 600  # drawn of a series, around its longest gap: with more, gaps could not be seen


@dataclass(frozen=True, eq=False)
class FilledPanel:
    """One series to draw.

    Attributes:
        title: stands above it.
        timestamps: [L], dates or numbers.
        values: [L], NaN where missing.
        filled: [L], without gaps.
        low: [L], lower end of the band around what was filled in; None without a band.
        high: [L], upper end.
        whole: [L], the values before some were hidden; None where nothing was.
    """

    title: str
    timestamps: np.ndarray
    values: np.ndarray
    filled: np.ndarray
    low: np.ndarray | None = None
    high: np.ndarray | None = None
    whole: np.ndarray | None = None


def fill_figure(panels: Sequence[FilledPanel], path: str | Path | None = None) -> Figure:
    """Draw filled series below one another.

    Args:
        panels: the series.
        path: file to write it to, whole or not at all; its suffix is the format (``.png``, ``.pdf``, ``.svg``).

    Raises:
        InputError: there is nothing to draw.
    """
    require_panels(panels)
    figure = Figure(figsize=(10.0, 2.2 * len(panels) + 0.8), dpi=DPI, layout="constrained")
    for axes, panel in zip(figure.subplots(len(panels), 1, squeeze=False).flatten(), panels, strict=True):
        plain_axes(axes)
        _draw(axes, panel)
        axes.margins(x=0.01)
        plain_ticks(axes)
    add_legend(figure, legend_entries(axes))
    return written_figure(figure, path)


def _draw(axes: Axes, panel: FilledPanel) -> None:
    """Draw what was observed, hidden and filled in; of a long series a part, which the title says."""
    part = _shown(panel.values)
    times, missing = panel.timestamps[part], np.isnan(panel.values[part])
    before, after = np.append(False, missing[:-1]), np.append(missing[1:], False)
    near = missing | before | after  # so that a filled line meets its ends
    line = np.where(near, panel.filled[part], np.nan)
    lone = missing & ~before & ~after
    if panel.low is not None and panel.high is not None:
        low, high = (np.where(missing, each[part], np.nan) for each in (panel.low, panel.high))
        axes.fill_between(times, low, high, color=BLUE, alpha=0.25, linewidth=0, label="80 % interval")
        axes.vlines(times[lone], low[lone], high[lone], color=BLUE, alpha=0.25, linewidth=3)
    if panel.whole is not None:
        hidden = np.where(near, panel.whole[part], np.nan)
        axes.plot(times, hidden, ":", color=RED, linewidth=1.2, label="hidden")
        axes.plot(times[lone], hidden[lone], ".", color=RED, markersize=3)
    draw_values(axes, times, panel.values[part], color=GREY, linewidth=1.2, label="observed")
    axes.plot(times, line, color=BLUE, linewidth=1.5, label="filled in")
    axes.plot(times[lone], panel.filled[part][lone], ".", color=BLUE, markersize=4)
    axes.set_title(panel.title, loc="left", fontsize=9.5, fontweight="bold")
    if len(times) < len(panel.values):
        cut = f"steps {part.start + 1:,} to {part.stop:,} of {len(panel.values):,}, around the longest gap"
        axes.set_title(cut, loc="right", fontsize=8, color=GREY)


def _shown(values: np.ndarray) -> slice:
    """Return which steps to draw: all, or some around the longest gap."""
    if len(values) <= _MOST_STEPS:
        return slice(0, len(values))
    gaps = stretches_of(np.isnan(values))
    middle = len(values) // 2
    if len(gaps):
        longest = gaps[np.diff(gaps).argmax()]
        middle = int(longest.sum()) // 2
    start = min(max(0, middle - _MOST_STEPS // 2), len(values) - _MOST_STEPS)
    return slice(start, start + _MOST_STEPS)
