"""Pictures of forecasts after their histories: one series, or small multiples of several."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
from matplotlib.artist import Artist
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from numpy.typing import ArrayLike

from tracetune.base.errors import InputError
from tracetune.report.figures import (
    BLUE,
    DPI,
    GREY,
    INK,
    add_legend,
    add_title,
    draw_values,
    legend_entries,
    panels_figure,
    plain_axes,
    plain_ticks,
    require_panels,
    written_figure,
)

MOST_PANELS = 6
_SHOWN_HORIZONS = 3  # of history: with more, the forecast would be too small
_FEWEST_STEPS_SHOWN = 48


@dataclass(frozen=True, eq=False)
class ForecastPanel:
    """One series to draw.

    Attributes:
        title: stands above it.
        history_timestamps: [T], dates or numbers.
        history: [T], NaN where missing.
        timestamps: [H].
        forecast: [H].
        truth: [H], what came in the end; None where it is not known.
        quantiles: levels and forecasts [H]; lowest and highest bound the widest band, and so inwards.
        note: stands below the title, such as an error.
    """

    title: str
    history_timestamps: ArrayLike
    history: ArrayLike
    timestamps: ArrayLike
    forecast: ArrayLike
    truth: ArrayLike | None = None
    quantiles: Mapping[float, ArrayLike] = field(default_factory=dict)
    note: str = ""

    def __post_init__(self) -> None:
        past, future = np.shape(self.history_timestamps), np.shape(self.timestamps)
        rows = [("history", self.history, past), ("forecast", self.forecast, future)]
        rows += [] if self.truth is None else [("truth", self.truth, future)]
        for name, values, shape in rows:
            if np.shape(values) != shape:
                raise InputError(f"Expected {name} of {shape[0]} steps, found shape {list(np.shape(values))}.")


def forecast_figure(panels: Sequence[ForecastPanel], title: str = "", path: str | Path | None = None) -> Figure:
    """Draw forecasts after their histories, in two columns where there are several.

    Args:
        panels: at most six; further ones are left out.
        title: stands above the picture.
        path: file to write it to, whole or not at all; its suffix is the format (``.png``, ``.pdf``, ``.svg``).

    Raises:
        InputError: there is nothing to draw.
    """
    require_panels(panels)
    drawn = list(panels[:MOST_PANELS])
    size = (9.0, 4.0) if len(drawn) == 1 else (11.0, 2.5 * math.ceil(len(drawn) / 2) + 0.9)
    figure, axes = panels_figure(len(drawn), size, dpi=DPI)
    for each, panel in zip(axes, drawn, strict=True):
        _draw(each, panel)
    add_title(figure, title)
    add_legend(figure, _entries(axes))
    return written_figure(figure, path)


def shown_history(length: int, horizon: int) -> int:
    """Return how many of the last steps of a history to draw before a forecast of ``horizon`` steps."""
    return min(length, max(_SHOWN_HORIZONS * horizon, _FEWEST_STEPS_SHOWN))


def _draw(axes: Axes, panel: ForecastPanel) -> None:
    past, future = np.asarray(panel.history_timestamps), np.asarray(panel.timestamps)
    plain_axes(axes)
    if len(past):
        border = past[-1] + (future[0] - past[-1]) / 2
        axes.axvline(border, color=GREY, linewidth=0.8, linestyle=(0, (2, 3)), zorder=1)
    draw_values(axes, past, panel.history, color=GREY, linewidth=1.2, label="history")
    _draw_bands(axes, future, panel.quantiles)
    draw_values(axes, future, panel.forecast, color=BLUE, linewidth=1.9, label="forecast")
    if panel.truth is not None:
        draw_values(axes, future, panel.truth, color=INK, linewidth=1.1, label="truth")
    axes.set_title(panel.title, loc="left", fontsize=9.5, fontweight="bold", color=INK)
    axes.set_title(panel.note, loc="right", fontsize=8.5, color=GREY)
    axes.margins(x=0.01)
    plain_ticks(axes)


def _draw_bands(axes: Axes, timestamps: np.ndarray, quantiles: Mapping[float, ArrayLike]) -> None:
    """Draw bands between the quantiles, from the widest pair inwards; a middle one without a partner is left out."""
    levels = sorted(quantiles)
    pairs = list(zip(levels, reversed(levels), strict=True))[: len(levels) // 2]
    for alpha, (low, high) in zip(np.linspace(0.16, 0.36, len(pairs)), pairs, strict=True):
        label = f"{100 * (high - low):.3g} % interval"
        band = np.asarray(quantiles[low], dtype=np.float64), np.asarray(quantiles[high], dtype=np.float64)
        if len(timestamps) == 1:
            axes.vlines(timestamps, *band, color=BLUE, alpha=alpha, linewidth=6, label=label)
        else:
            axes.fill_between(timestamps, *band, color=BLUE, alpha=alpha, linewidth=0, label=label)


def _entries(axes: Sequence[Axes]) -> dict[str, Artist]:
    """Return the legend of all panels, intervals last."""
    entries = {label: handle for each in axes for label, handle in legend_entries(each).items()}
    return dict(sorted(entries.items(), key=lambda entry: entry[0].endswith("interval")))
