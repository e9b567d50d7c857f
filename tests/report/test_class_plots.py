"""Pictures of classified series."""

from pathlib import Path

import numpy as np
import pytest

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
