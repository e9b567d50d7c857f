"""Pictures of classified series."""

from pathlib import Path

import numpy as np
import pytest
from matplotlib.text import Text

from tracetune.base.errors import InputError
from tracetune.report.class_plots import ClassPanel, class_figure, in_stripes


def test_stripes_hold_what_all_steps_say_whatever_the_length() -> None:
    rng = np.random.default_rng(0)
    for steps in (1, 7, 60, 61, 20_000):
        speaks = rng.normal(size=steps)
        stripes = in_stripes(speaks)
        assert len(stripes) == min(steps, 60)
        np.testing.assert_allclose(stripes.sum(), speaks.sum())
    np.testing.assert_array_equal(in_stripes(np.array([1.0, np.nan, 2.0])), [1, 0, 2])


def test_each_series_has_its_name_and_its_class(tmp_path: Path) -> None:
    steps = np.arange(90.0)
    panels = [ClassPanel(f"item {n}", "fast, 61.0 %", np.sin(steps / 3), np.cos(steps)) for n in range(3)]
    panels.append(ClassPanel("constant", "slow, 50.0 %", np.full(90, 2.0), np.zeros(90)))
    figure = class_figure(panels, tmp_path / "classes.png")
    shown = [axes for axes in figure.axes if axes.get_visible()]
    assert [axes.get_title(loc="left") for axes in shown] == ["item 0", "item 1", "item 2", "constant"]
    assert [axes.get_title(loc="right") for axes in shown] == ["fast, 61.0 %"] * 3 + ["slow, 50.0 %"]
    assert (tmp_path / "classes.png").stat().st_size > 1000
    with pytest.raises(InputError, match="at least one series"):
        class_figure([])


def test_long_names_are_cut_before_they_overlap() -> None:
    names = ("the longest name of a series ever", "the longest name of a channel")
    panel = ClassPanel.of(names, "a class with a long name " * 5, 0.5, np.arange(50.0), np.ones(50))
    assert panel.note.endswith("…, 50.0 %")
    figure = class_figure([panel, panel])
    figure.draw_without_rendering()
    for axes in figure.axes:
        left, right = (text for text in axes.get_children() if isinstance(text, Text) and len(text.get_text()) > 20)
        assert left.get_window_extent().x1 < right.get_window_extent().x0
