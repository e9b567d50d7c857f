"""Parts that pictures of series share: the figure of panels, plain axes and ticks, and the file that is written."""

import logging
import re
import warnings
from collections.abc import Iterator, Mapping, Sequence, Sized
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
from matplotlib.artist import Artist
from matplotlib.axes import Axes
from matplotlib.dates import AutoDateLocator, ConciseDateFormatter
from matplotlib.figure import Figure
from matplotlib.ticker import EngFormatter, MaxNLocator
from numpy.typing import ArrayLike

from tracetune.base.errors import InputError, argument
from tracetune.base.files import require_place, staged_file

logger = logging.getLogger(__name__)

BLUE, GREY, INK, RED = "#0b6bcb", "#8a8f98", "#1b1f24", "#d1495b"
DPI = 150
_MISSING_LETTER = re.compile(r"Glyph (\d+) ")
KINDS = (".png", ".pdf", ".svg", ".jpg")


def require_panels(panels: Sized) -> None:
    """Refuse to draw nothing.

    Raises:
        InputError: there is no series.
    """
    if not len(panels):
        raise InputError("Expected at least one series to draw, found none.")


def panels_figure(count: int, size: tuple[float, float], dpi: float = 100.0) -> tuple[Figure, list[Axes]]:
    """Return a figure and its ``count`` axes, in two columns where there are several."""
    across = 1 if count == 1 else 2
    figure = Figure(figsize=size, dpi=dpi, layout="constrained")
    axes: list[Axes] = figure.subplots(-(-count // across), across, squeeze=False).flatten().tolist()
    for each in axes[count:]:
        each.set_visible(False)
    return figure, axes[:count]


def plain_axes(axes: Axes, labels: float = 8) -> None:
    """Leave the left and lower line, in grey, labels of that size, and a faint horizontal grid behind the curves."""
    axes.spines[["top", "right"]].set_visible(False)
    axes.spines[["left", "bottom"]].set_color(GREY)
    axes.tick_params(colors=INK, labelsize=labels)
    axes.grid(axis="y", color=GREY, alpha=0.25, linewidth=0.6)
    axes.set_axisbelow(True)


def plain_ticks(axes: Axes, heights: int = 5) -> None:
    """Format ticks as short dates, at most ``heights`` upwards, and large numbers as 20k or 1.5M."""
    locator = axes.xaxis.get_major_locator()
    if isinstance(locator, AutoDateLocator):
        locator = AutoDateLocator(minticks=3, maxticks=7)
        axes.xaxis.set_major_locator(locator)
        axes.xaxis.set_major_formatter(ConciseDateFormatter(locator))
        axes.xaxis.get_offset_text().set_fontsize(8)
    else:
        axes.xaxis.set_major_locator(MaxNLocator(6, integer=True))
    axes.yaxis.set_major_locator(MaxNLocator(heights))
    if max(map(abs, axes.get_ylim())) >= 10_000:
        axes.yaxis.set_major_formatter(EngFormatter(sep=""))


def add_title(figure: Figure, title: str) -> None:
    """Write a title above all panels, where there is one."""
    if title:
        figure.suptitle(title, x=0.01, ha="left", fontsize=12, fontweight="bold", color=INK)


def add_legend(figure: Figure, entries: Mapping[str, Artist]) -> None:
    """Write one legend for all panels, below them."""
    handles, labels = list(entries.values()), list(entries)
    figure.legend(handles, labels, loc="outside lower left", ncols=len(labels), frameon=False, fontsize=9)


def cut_name(name: str, letters: int) -> str:
    """Return a name of at most so many letters, the last one an ellipsis where it was longer."""
    return name if len(name) <= letters else f"{name[: letters - 1]}…"


def legend_entries(axes: Axes) -> dict[str, Artist]:
    """Return what was drawn on axes, by label."""
    handles, labels = axes.get_legend_handles_labels()
    return dict(zip(labels, handles, strict=True))


def written_figure(figure: Figure, path: str | Path | None) -> Figure:
    """Write a figure to a file, whole or not at all, where one is given; returns the figure.

    Raises:
        InputError: another suffix than those of pictures, or a place that cannot be written.
    """
    if path is not None:
        require_picture_path(path, overwrite=True)
        with staged_file(path) as temporary, missing_letters_said_once():
            figure.savefig(temporary)
    return figure


@contextmanager
def missing_letters_said_once() -> Iterator[None]:
    """Log in one line which letters the font of a picture that is drawn lacks; matplotlib warns of each."""
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        yield
    missing: dict[str, None] = {}  # in the order in which they were met
    for each in caught:
        if found := _MISSING_LETTER.match(str(each.message)):
            missing[chr(int(found[1]))] = None
        else:
            warnings.warn_explicit(each.message, each.category, each.filename, each.lineno)
    if missing:
        letters = f"{len(missing)} of its letters, such as {' '.join(list(missing)[:3])}"
        shown_by = "A page (.html) shows them; or name a font that has them as font.family in a file matplotlibrc."
        logger.warning("The font of the picture lacks %s: they are boxes. %s", letters, shown_by)


def require_picture_path(path: str | Path, overwrite: bool = False, kinds: Sequence[str] = KINDS) -> None:
    """Refuse a file that no picture can be written to, before the work is done; ``kinds``: its suffixes.

    Raises:
        InputError: another suffix than those of pictures, or the file is there although ``overwrite`` is false.
    """
    if Path(path).suffix.lower() not in kinds:
        raise InputError(f"Expected a picture file that ends in {', '.join(kinds)}, found {Path(path).name!r}.")
    require_place(path)
    if Path(path).exists() and not Path(path).is_file():
        raise InputError(f"Expected a file to write to, found {path}, which is none. Choose another path.")
    if Path(path).exists() and not overwrite:
        raise InputError(f"{path} exists already. Choose another file, or add {argument('overwrite', True)}.")


def draw_values(axes: Axes, times: np.ndarray, values: ArrayLike, **style: Any) -> None:
    """Draw a line through values [T], and a point where both neighbours are missing: a line needs two points."""
    row = np.asarray(values, dtype=np.float64)
    seen = np.isfinite(row)
    lone = np.flatnonzero(seen & ~np.append(False, seen[:-1]) & ~np.append(seen[1:], False))
    points = {"marker": "o", "markevery": lone.tolist(), "markersize": 2 * style.get("linewidth", 1.0) + 0.5}
    axes.plot(times, row, **(points if len(lone) else {}), **style)
