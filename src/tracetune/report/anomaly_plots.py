"""Pictures of series with the scores of their steps: what raised an alarm, and when."""

import textwrap
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from tracetune.report.figures import (
    BLUE,
    DPI,
    GREY,
    INK,
    add_legend,
    add_title,
    draw_values,
    legend_entries,
    plain_ticks,
    require_panels,
    written_figure,
)
from tracetune.report.forecast_plots import MOST_PANELS

_ALARM, _LABELLED = "#d1242f", "#bf8700"
_MOST_STRETCHES = 1000  # of a long series; of each are drawn the highest score and the extreme values
_LONGEST_NAME = 18
MOST_CHANNELS = 4


@dataclass(frozen=True, eq=False)
class AnomalyPanel:
    """One series to draw.

    Attributes:
        title: stands above it.
        timestamps: [T], dates by the clock of the source, or numbers.
        channels: names of the channels to draw, at most four.
        values: of these, NaN where missing, [channels, T]; several are drawn below each other, each by its own range.
        score: [T], NaN where there is none.
        threshold: [T].
        events: first steps, and those after the last.
        labelled: of the anomalies by labels, likewise; a bar above the scores.
        left_out: how many channels are not drawn.
    """

    title: str
    timestamps: np.ndarray
    channels: tuple[str, ...]
    values: np.ndarray
    score: np.ndarray
    threshold: np.ndarray
    events: tuple[tuple[int, int], ...]
    labelled: tuple[tuple[int, int], ...] = ()
    left_out: int = 0


def anomaly_figure(panels: Sequence[AnomalyPanel], title: str = "", path: str | Path | None = None) -> Figure:
    """Draw series above their scores, events shaded.

    Args:
        panels: at most six; further ones are left out.
        title: stands above the picture.
        path: file to write it to, whole or not at all; its suffix is the format (``.png``, ``.pdf``, ``.svg``).

    Raises:
        InputError: there is nothing to draw.
    """
    require_panels(panels)
    drawn = panels[:MOST_PANELS]
    figure = Figure(figsize=(10.0, 3.6 * len(drawn)), dpi=DPI, layout="constrained")
    axes = figure.subplots(2 * len(drawn), 1, squeeze=False, height_ratios=[2, 1] * len(drawn))[:, 0].tolist()
    for panel, above, below in zip(drawn, axes[::2], axes[1::2], strict=True):
        _draw(panel, above, below)
    add_title(figure, title)
    add_legend(figure, {label: artist for each in axes[1::2] for label, artist in legend_entries(each).items()})
    return written_figure(figure, path)


def _draw(panel: AnomalyPanel, above: Axes, below: Axes) -> None:
    kept = _kept_steps(panel)
    times = panel.timestamps[kept]
    several = len(panel.values) > 1
    for place, row in enumerate(panel.values):
        draw_values(above, times, _stacked(row, place)[kept] if several else row[kept], color=INK, linewidth=0.8)
    note = f"{len(panel.events)} event{'' if len(panel.events) == 1 else 's'}"
    if panel.left_out:
        note += f", {len(panel.values)} of {len(panel.values) + panel.left_out} channels"
    above.set_title(panel.title, loc="left", fontsize=9.5, fontweight="bold", color=INK)
    above.set_title(note, loc="right", fontsize=8.5, color=GREY)
    draw_values(below, times, panel.score[kept], color=BLUE, linewidth=0.9, label="score")
    threshold = np.where(np.isfinite(panel.threshold), panel.threshold, np.nan)
    below.plot(times, threshold[kept], color=_ALARM, linewidth=0.9, linestyle=(0, (4, 2)), label="threshold")
    last = len(panel.timestamps) - 1
    for start, stop in panel.events:
        span = panel.timestamps[start], panel.timestamps[min(stop, last)]
        for axes in (above, below):
            axes.axvspan(*span, facecolor=(_ALARM, 0.18), edgecolor=(_ALARM, 0.4), lw=0.8, label="event")
    for start, stop in panel.labelled:  # bars and events have an edge, so that a single step shows
        span = panel.timestamps[start], panel.timestamps[min(stop, last)]
        below.axvspan(*span, ymin=0.9, color=_LABELLED, lw=1.2, label="labelled anomaly")
    above.sharex(below)
    above.tick_params(labelbottom=False)
    for axes in (above, below):
        axes.spines[["top", "right"]].set_visible(False)
        axes.spines[["left", "bottom"]].set_color(GREY)
        axes.tick_params(colors=INK, labelsize=8)
        axes.margins(x=0.01)
    plain_ticks(below)
    if several:
        names = [textwrap.shorten(name, _LONGEST_NAME, placeholder="…") for name in panel.channels]
        above.set_yticks([0.45 - place for place in range(len(names))], names)


def _kept_steps(panel: AnomalyPanel) -> np.ndarray:
    """Return the steps to draw: of many, those where a stretch has its highest score and its extreme values."""
    length = len(panel.score)
    if length <= 4 * _MOST_STRETCHES:
        return np.arange(length)
    borders = np.linspace(0, length, _MOST_STRETCHES + 1).astype(int)[:-1]
    found = [borders]
    for row, sign in [(panel.score, 1), *((row, sign) for row in panel.values for sign in (1, -1))]:
        filled = sign * np.nan_to_num(row, nan=-sign * np.inf)
        highest = np.repeat(np.maximum.reduceat(filled, borders), np.diff(np.append(borders, length)))
        at = np.flatnonzero(filled == highest)
        found.append(at[np.unique(np.searchsorted(borders, at, side="right"), return_index=True)[1]])
    return np.unique(np.concatenate(found))


def _stacked(row: np.ndarray, place: int) -> np.ndarray:
    """Return values [T] between 0 and 1 less their place, so that channels stand below each other."""
    known = row[np.isfinite(row)]
    low, high = (known.min(), known.max()) if len(known) else (0.0, 1.0)
    return (row - low) / (high - low if high > low else 1.0) * 0.9 - place
