"""Files of pictures: their suffixes, what is in the way, and one that is there."""

from pathlib import Path

import numpy as np
import pytest
from matplotlib.figure import Figure

from tracetune.base.errors import InputError
from tracetune.report.figures import draw_values, require_picture_path, written_figure


@pytest.mark.parametrize("name", ["a.xyz", "a"])
def test_a_picture_of_no_known_format_is_refused_in_words(tmp_path: Path, name: str) -> None:
    with pytest.raises(InputError, match=r"ends in \.png, \.pdf"):
        written_figure(Figure(), tmp_path / name)
    assert not list(tmp_path.iterdir())


def test_a_picture_that_is_there_is_kept_unless_it_may_be_replaced(tmp_path: Path) -> None:
    (tmp_path / "b.svg").mkdir()
    with pytest.raises(InputError, match="which is none"):
        require_picture_path(tmp_path / "b.svg", overwrite=True)
    written_figure(Figure(), tmp_path / "a.PNG")
    assert (tmp_path / "a.PNG").read_bytes().startswith(b"\x89PNG")
    with pytest.raises(InputError, match="exists already"):
        require_picture_path(tmp_path / "a.PNG")
    written_figure(Figure(), tmp_path / "a.PNG")


def test_values_between_missing_ones_are_points() -> None:
    axes = Figure().subplots()
    values = np.array([1.0, np.nan, 2.0, 3.0, np.nan, 4.0, np.nan, np.nan, 5.0])
    draw_values(axes, np.arange(9), values, color="k", linewidth=1.0)
    (line,) = axes.lines
    assert line.get_markevery() == [0, 5, 8]
    assert line.get_marker() == "o"
    draw_values(axes, np.arange(3), [1.0, 2.0, 3.0], color="k")
    assert axes.lines[-1].get_marker() == "None"
