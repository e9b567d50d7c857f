"""The confusion matrix as a picture."""

from pathlib import Path

import pandas as pd

from tracetune.report.confusion_plot import confusion_figure


def test_counts_and_names_stand_in_it_as_they_are(tmp_path: Path) -> None:
    names = ["$5 to $10", "more"]
    counts = pd.DataFrame([[3, 1], [0, 4]], index=names, columns=names)
    confusion_figure(counts, tmp_path / "confusion.svg")
    drawn = (tmp_path / "confusion.svg").read_text(encoding="utf-8")
    assert drawn.count("<!-- $5 to $10 -->") == 2
    assert "<!-- 3 -->" in drawn


def test_long_names_leave_room_for_the_cells() -> None:
    names = ["Recipient walks up a staircase slowly", "Recipient walks down a staircase slowly and looks around"]
    figure = confusion_figure(pd.DataFrame([[128, 1], [1, 21]], index=names, columns=names))
    figure.draw_without_rendering()
    axes, bar = figure.axes
    cells = axes.get_window_extent()
    assert min(cells.width, cells.height) > 0.35 * figure.bbox.width
    every = [*axes.get_xticklabels(), *axes.get_yticklabels(), axes.xaxis.label, axes.yaxis.label, bar.yaxis.label]
    assert all(
        figure.bbox.containsx(x) for each in every for x in (each.get_window_extent().x0, each.get_window_extent().x1)
    )
    first, second = (label.get_window_extent() for label in axes.get_yticklabels())
    assert not first.overlaps(second)
    assert [label.get_text().endswith("…") for label in axes.get_yticklabels()] == [False, True]
