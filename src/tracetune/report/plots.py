"""Pictures of forecasts and of training runs, drawn without a display and written whole or not at all."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.dates import AutoDateLocator, ConciseDateFormatter
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator
from numpy.typing import ArrayLike

from tracetune.base.errors import InputError
from tracetune.base.files import staged_file

_HISTORY, _TRUTH, _FORECAST, _ACCENT = "#8a8f98", "#1b1f24", "#0b6bcb", "#d1495b"
_DPI = 150
_TITLE_PAD = 22  # points; leaves room for the legend below the title
_LOG_RANGE = 10  # losses that span more than this factor are drawn on a logarithmic axis


def plot_forecast(
    path: str | Path,
    history_timestamps: ArrayLike,
    history: ArrayLike,
    forecast_timestamps: ArrayLike,
    forecast: ArrayLike,
    *,
    truth: ArrayLike | None = None,
    quantiles: Mapping[float, ArrayLike] | None = None,
    title: str = "",
) -> None:
    """Draw one forecast after its history.

    Args:
        path: file to write; its suffix is the format (``.png``, ``.pdf``, ``.svg``).
        history_timestamps: [T], dates or numbers.
        history: [T], NaN where missing.
        forecast_timestamps: [H].
        forecast: [H].
        truth: [H], what came in the end.
        quantiles: levels and forecasts [H]; lowest and highest bound the widest band, and so inwards.
        title: stands above the picture.

    Raises:
        InputError: timestamps and values of different lengths.
    """
    past, future = np.asarray(history_timestamps), np.asarray(forecast_timestamps)
    for name, values, timestamps in (
        ("history", history, past),
        ("forecast", forecast, future),
        ("truth", truth, future),
    ):
        if values is not None and np.shape(values) != timestamps.shape:
            raise InputError(f"Expected {name} of {len(timestamps)} steps, found shape {list(np.shape(values))}.")
    figure, axes = _figure(title, size=(9.0, 3.8))
    axes.axvline(past[-1] + (future[0] - past[-1]) / 2, color=_HISTORY, linewidth=0.8, linestyle=(0, (2, 3)), zorder=1)
    axes.plot(past, history, color=_HISTORY, linewidth=1.3, label="history")
    _draw_bands(axes, future, quantiles or {})
    marker = "o" if len(future) == 1 else ""  # a line needs two points
    axes.plot(future, forecast, color=_FORECAST, linewidth=2.0, marker=marker, label="forecast")
    if truth is not None:
        axes.plot(future, truth, color=_TRUTH, linewidth=1.1, marker=marker, label="truth")
    axes.margins(x=0.01)
    _shorten_dates(axes)
    _write(figure, axes, path)


def plot_training(path: str | Path, log_history: Sequence[Mapping[str, Any]]) -> None:
    """Draw the losses of a training run, and mark the best validation loss.

    Args:
        path: file to write; its suffix is the format.
        log_history: what the Hugging Face Trainer keeps in ``state.log_history``: entries with ``step``, and
            ``loss`` or ``eval_loss``.
    """
    figure, axes = _figure("", size=(6.5, 3.8))
    curves = {key: _curve(log_history, key) for key in ("loss", "eval_loss")}
    steps, losses = curves["loss"]
    if len(steps):
        axes.plot(steps, losses, color=_HISTORY, linewidth=1.3, label="training")
    steps, losses = curves["eval_loss"]
    if len(steps):
        axes.plot(steps, losses, color=_FORECAST, linewidth=1.8, marker="o", markersize=3.5, label="validation")
    if np.isfinite(losses).any():
        best = int(np.nanargmin(losses))
        label = f"best: {losses[best]:.4g} at step {steps[best]:,.0f}"
        axes.plot(steps[best], losses[best], color=_ACCENT, marker="o", markersize=7, linestyle="none", label=label)
    axes.set_xlabel("step")
    axes.set_ylabel("loss")
    axes.xaxis.set_major_locator(MaxNLocator(integer=True))
    if _spans_decades(np.concatenate([losses for _, losses in curves.values()])):
        axes.set_yscale("log")
    _write(figure, axes, path)


def _figure(title: str, size: tuple[float, float]) -> tuple[Figure, Axes]:
    figure = Figure(figsize=size, dpi=_DPI, layout="constrained")
    FigureCanvasAgg(figure)
    axes = figure.add_subplot()
    axes.set_title(title, loc="left", pad=_TITLE_PAD, fontsize=11, fontweight="bold", color=_TRUTH)
    axes.spines[["top", "right"]].set_visible(False)
    axes.spines[["left", "bottom"]].set_color(_HISTORY)
    axes.tick_params(colors=_TRUTH, labelsize=9)
    axes.grid(axis="y", color=_HISTORY, alpha=0.25, linewidth=0.6)
    axes.set_axisbelow(True)
    return figure, axes


def _write(figure: Figure, axes: Axes, path: str | Path) -> None:
    handles, labels = axes.get_legend_handles_labels()
    if handles:  # in one line between title and picture, where it covers nothing
        place: dict[str, Any] = {"loc": "lower left", "bbox_to_anchor": (0, 1), "borderaxespad": 0.2, "borderpad": 0}
        axes.legend(handles, labels, ncols=len(handles), frameon=False, fontsize=9, **place)
    with staged_file(path) as temporary:
        figure.savefig(temporary)


def _draw_bands(axes: Axes, timestamps: np.ndarray, quantiles: Mapping[float, ArrayLike]) -> None:
    """Bands between the quantiles, from the widest pair inwards; a middle one without a partner is left out."""
    levels = sorted(quantiles)
    pairs = list(zip(levels, reversed(levels), strict=True))[: len(levels) // 2]
    for alpha, (low, high) in zip(np.linspace(0.16, 0.36, len(pairs)), pairs, strict=True):
        label = f"{100 * (high - low):.3g} % interval"
        band = np.asarray(quantiles[low], dtype=np.float64), np.asarray(quantiles[high], dtype=np.float64)
        axes.fill_between(timestamps, *band, color=_FORECAST, alpha=alpha, linewidth=0, label=label)


def _shorten_dates(axes: Axes) -> None:
    locator = axes.xaxis.get_major_locator()
    if isinstance(locator, AutoDateLocator):
        axes.xaxis.set_major_formatter(ConciseDateFormatter(locator))


def _curve(log_history: Sequence[Mapping[str, Any]], key: str) -> tuple[np.ndarray, np.ndarray]:
    """Steps and values of the entries that have ``key``."""
    points = [(entry["step"], entry[key]) for entry in log_history if key in entry]
    steps, values = np.array(points, dtype=np.float64).reshape(-1, 2).T
    return steps, values


def _spans_decades(losses: np.ndarray) -> bool:
    finite = losses[np.isfinite(losses)]
    return bool(len(finite) and finite.min() > 0 and finite.max() > _LOG_RANGE * finite.min())
