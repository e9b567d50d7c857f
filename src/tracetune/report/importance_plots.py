"""Pictures of module selection: importance by layer and kind of module, and what was open in which round."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from matplotlib.axes import Axes
from matplotlib.colors import ListedColormap
from matplotlib.figure import Figure
from matplotlib.image import AxesImage
from matplotlib.patches import Patch

from tracetune.base.errors import InputError
from tracetune.base.json_types import JsonObject
from tracetune.report.figures import BLUE, DPI, INK, written_figure
from tracetune.report.module_kinds import MODULE_KINDS, kind_labels
from tracetune.selection.layers import module_place

HISTORY_FILE = "history.png"
"""Name of the picture of the rounds of a training."""

_CLOSED, _ABSENT = "#e3e6ea", "#f2f3f5"


@dataclass(frozen=True)
class Panel:
    """One heat map.

    Attributes:
        title: stands above it.
        values: importance by name of the module.
        signed: values around zero: colours diverge from there. Otherwise the darker the larger.
    """

    title: str
    values: Mapping[str, float]
    signed: bool


@dataclass(frozen=True)
class ModuleGrid:
    """Modules by place: rows are blocks of the model, columns kinds of modules.

    Attributes:
        rows: names of the blocks.
        columns: kinds of modules.
        places: row and column of every module.
    """

    rows: tuple[str, ...]
    columns: tuple[str, ...]
    places: dict[str, tuple[int, int]]

    def labels(self) -> dict[str, str]:
        """Return a short name for every module, such as "3 Query", from the first row of the grid to its last."""
        ordered = sorted(self.places, key=lambda name: self.places[name])
        return {name: f"{self.rows[self.places[name][0]]} {self.columns[self.places[name][1]]}" for name in ordered}


def module_grid(names: Sequence[str]) -> ModuleGrid:
    """Return rows and columns from full names such as ``encoder.block.3.layer.0.SelfAttention.q``.

    The first number in a name is the block. What follows is the kind, see `kind_labels`. Known kinds keep the order of
    the paper.
    """
    parsed = [module_place(name) for name in names]
    numbered = {stem for stem, index, _ in parsed if index >= 0}
    blocks = sorted({(stem, index) for stem, index, _ in parsed})
    kinds = list(dict.fromkeys(kind for _, _, kind in parsed))
    labels = kind_labels(kinds)
    if set(labels.values()) <= MODULE_KINDS.keys():
        order = list(MODULE_KINDS)
        kinds.sort(key=lambda kind: order.index(labels[kind]))
    places = {
        name: (blocks.index((stem, index)), kinds.index(kind))
        for name, (stem, index, kind) in zip(names, parsed, strict=True)
    }
    rows = tuple(_row_label(stem, index, only=len(numbered) == 1) for stem, index in blocks)
    return ModuleGrid(rows, tuple(labels[kind] for kind in kinds), places)


def plot_importance(path: str | Path, panels: Sequence[Panel]) -> None:
    """Draw importance scores side by side: one heat map a method, layers by kinds of modules (TRACE, Figure 3).

    Args:
        path: file to write; its suffix is the format.
        panels: scores of the same modules.

    Raises:
        InputError: no panel, or panels of different modules.
    """
    if not panels or any(panel.values.keys() != panels[0].values.keys() for panel in panels):
        raise InputError("Expected one or more panels of the same modules.")
    grid = module_grid(list(panels[0].values))
    across = min(4, len(panels))
    down = -(-len(panels) // across)
    width = max(2.6, 0.42 * len(grid.columns) + 1.2)
    height = max(2.0, 0.24 * len(grid.rows) + 1.3)
    figure = Figure(figsize=(across * width, down * height), dpi=DPI, layout="constrained")
    axes = figure.subplots(down, across, squeeze=False).flatten()
    for axis, panel in zip(axes, panels, strict=False):
        image = _draw_panel(axis, grid, panel)
        bar = figure.colorbar(image, ax=axis, shrink=0.85, pad=0.02)
        bar.ax.tick_params(labelsize=6)
        bar.outline.set_visible(False)
        bar.ax.ticklabel_format(axis="y", style="sci", scilimits=(-2, 3))
        bar.ax.yaxis.get_offset_text().set_fontsize(6)
    for axis in axes[len(panels) :]:
        axis.set_visible(False)
    written_figure(figure, path)


def draw_history(path: Path, selection: JsonObject) -> None:
    """Draw the rounds of a record of TRACE: what was open after which step."""
    rounds = selection["rounds"]
    steps, opened = [each["step"] for each in rounds], [each["open"] for each in rounds]
    plot_history(path, list(selection["parameters"]), steps, opened)


def plot_history(
    path: str | Path, modules: Sequence[str], steps: Sequence[int], opened: Sequence[Sequence[str]]
) -> None:
    """Draw which modules were open after each round of selection.

    Args:
        path: file to write; its suffix is the format.
        modules: names of all modules, from the top of the picture to its bottom.
        steps: the optimizer step of each round.
        opened: names of the modules that were open after it.

    Raises:
        InputError: no round, or other numbers of steps than of rounds.
    """
    if not steps or len(steps) != len(opened):
        raise InputError(f"Expected one step for each of at least one round, found {len(steps)} and {len(opened)}.")
    labels = module_grid(modules).labels()
    states = np.array([[name in names for names in map(set, opened)] for name in labels], dtype=float)
    figure = Figure(figsize=(max(4.5, 0.3 * len(steps) + 2.4), max(2.6, 0.15 * len(labels) + 1.4)), dpi=DPI)
    figure.set_layout_engine("constrained")
    axes = figure.add_subplot()
    colours = ListedColormap([_CLOSED, BLUE])
    axes.pcolormesh(states, cmap=colours, vmin=0, vmax=1, edgecolors="white", linewidth=0.6)
    axes.invert_yaxis()
    axes.set_yticks(np.arange(len(labels)) + 0.5, list(labels.values()), fontsize=6)
    axes.set_xticks(np.arange(len(steps)) + 0.5, [str(step) for step in steps], fontsize=7, rotation=90)
    axes.set_xlabel("step of the round", fontsize=8)
    counts = axes.secondary_xaxis("top")
    counts.set_xticks(np.arange(len(steps)) + 0.5, [f"{count:.0f}" for count in states.sum(0)], fontsize=7)
    counts.set_xlabel("open modules", fontsize=8)
    for each in (axes, counts):
        each.tick_params(length=0)
        each.spines[:].set_visible(False)
    patches = [Patch(color=BLUE, label="open"), Patch(color=_CLOSED, label="closed")]
    figure.legend(handles=patches, loc="outside lower right", ncols=2, frameon=False, fontsize=7)
    written_figure(figure, path)


def _row_label(stem: str, index: int, only: bool) -> str:
    if index < 0:
        return stem or "model"
    return str(index) if only else f"{stem} {index}".strip()


def _draw_panel(axes: Axes, grid: ModuleGrid, panel: Panel) -> AxesImage:
    cells = np.full((len(grid.rows), len(grid.columns)), np.nan)
    for name, value in panel.values.items():
        cells[grid.places[name]] = value
    largest = float(np.nanmax(np.abs(cells))) or 1.0
    limits = (-largest, largest) if panel.signed else (float(np.nanmin(cells)), float(np.nanmax(cells)))
    axes.set_facecolor(_ABSENT)
    colours = "RdBu_r" if panel.signed else "Blues"
    image = axes.imshow(cells, cmap=colours, vmin=limits[0], vmax=limits[1], aspect="auto")
    axes.set_title(panel.title, loc="left", fontsize=8, fontweight="bold", color=INK)
    axes.set_xticks(range(len(grid.columns)), grid.columns, rotation=60, ha="right", rotation_mode="anchor", fontsize=7)
    axes.set_yticks(range(len(grid.rows)), grid.rows, fontsize=7)
    axes.set_ylabel("layer", fontsize=7)
    axes.tick_params(length=0)
    axes.spines[:].set_visible(False)
    return image
