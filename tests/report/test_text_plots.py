"""Pictures of texts: bars of the most probable classes, long and strange texts as they are."""

import logging
import warnings
from pathlib import Path

import numpy as np
import pytest

from tracetune import InputError
from tracetune.report.text_plots import TextPanel, text_figure


def test_long_texts_are_cut_and_signs_are_no_mathematics(tmp_path: Path) -> None:
    classes = [f"class {number} with a name that is much too long" for number in range(6)]
    probabilities = np.array([0.05, 0.4, 0.25, 0.2, 0.06, 0.04])
    panels = [
        TextPanel(["it cost $5, not $6_" + " and more" * 200], classes, probabilities),
        TextPanel(["a first text", "and a second"], classes, probabilities),
    ]
    with warnings.catch_warnings(action="error"):
        figure = text_figure(panels, tmp_path / "texts.svg")
    long, pair = figure.axes
    assert long.get_title(loc="left").endswith(" …") and long.get_title(loc="left").count("\n") == 2
    assert pair.get_title(loc="left") == "a first text\nand a second"
    assert [bar.get_width() for bar in long.patches] == [0.4, 0.25, 0.2, 0.06]
    assert "it cost $5, not $6_" in (tmp_path / "texts.svg").read_text(encoding="utf-8")


def test_other_scripts_are_cut_by_their_width_and_missing_letters_said_once(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    panel = TextPanel(["这是一个很长的中文句子" * 20], ["a", "b"], np.array([0.7, 0.3]))
    with warnings.catch_warnings(action="error"), caplog.at_level(logging.WARNING):
        figure = text_figure([panel], tmp_path / "texts.png")
    assert max(map(len, figure.axes[0].get_title(loc="left").split("\n"))) == 36
    (record,) = caplog.records
    assert "lacks 11 of its letters, such as 这" in record.getMessage()


def test_nothing_is_not_drawn() -> None:
    with pytest.raises(InputError, match="at least one"):
        text_figure([])
