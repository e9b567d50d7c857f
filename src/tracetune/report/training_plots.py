"""Pictures of training runs, drawn without a display and written whole or not at all."""

from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from tracetune.report.figures import BLUE, DPI, GREY, RED, plain_axes, written_figure

_TITLE_PAD = 22  # points; leaves room for the legend
_LOG_RANGE = 10  # losses that span more than this factor are drawn on a logarithmic axis


def plot_training(path: str | Path, log_history: Sequence[Mapping[str, object]]) -> None:
    """Draw the losses of a training run, and mark the best validation loss.

    Args:
        path: file to write; its suffix is the format.
        log_history: what the Hugging Face Trainer keeps in ``state.log_history``: entries with ``step``, and
            ``loss`` or ``eval_loss``.
    """
    figure, axes = _figure()
    curves = {key: _curve(log_history, key) for key in ("loss", "eval_loss")}
    steps, losses = curves["loss"]
    if len(steps):
        axes.plot(steps, losses, color=GREY, linewidth=1.3, label="training")
    steps, losses = curves["eval_loss"]
    if len(steps):
        axes.plot(steps, losses, color=BLUE, linewidth=1.8, marker="o", markersize=3.5, label="validation")
    if np.isfinite(losses).any():
        best = int(np.nanargmin(losses))
        label = f"best: {losses[best]:.4g} at step {steps[best]:,.0f}"
        axes.plot(steps[best], losses[best], color=RED, marker="o", markersize=7, linestyle="none", label=label)
    axes.set_xlabel("step")
    axes.set_ylabel("loss")
    axes.xaxis.set_major_locator(MaxNLocator(integer=True))
    if _spans_decades(np.concatenate([losses for _, losses in curves.values()])):
        axes.set_yscale("log")
    _write(figure, axes, path)


def _figure() -> tuple[Figure, Axes]:
    figure = Figure(figsize=(6.5, 3.8), dpi=DPI, layout="constrained")
    axes = figure.add_subplot()
    axes.set_title("", pad=_TITLE_PAD)
    plain_axes(axes, labels=9)
    return figure, axes


def _write(figure: Figure, axes: Axes, path: str | Path) -> None:
    handles, labels = axes.get_legend_handles_labels()
    if handles:  # in one line above the picture, where it covers nothing
        axes.legend(
            handles,
            labels,
            ncols=len(handles),
            frameon=False,
            fontsize=9,
            loc="lower left",
            bbox_to_anchor=(0, 1),
            borderaxespad=0.2,
            borderpad=0,
        )
    written_figure(figure, path)


def _curve(log_history: Sequence[Mapping[str, object]], key: str) -> tuple[np.ndarray, np.ndarray]:
    """Return steps and values of the entries that have ``key``."""
    points = [(entry["step"], entry[key]) for entry in log_history if key in entry]
    steps, values = np.array(points, dtype=np.float64).reshape(-1, 2).T
    return steps, values


def _spans_decades(losses: np.ndarray) -> bool:
    finite = losses[np.isfinite(losses)]
    return bool(len(finite) and finite.min() > 0 and finite.max() > _LOG_RANGE * finite.min())
