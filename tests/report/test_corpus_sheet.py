import re
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from tracetune.base.errors import InputError
from tracetune.data.synthetic.corpus import GENERATORS
from tracetune.report.corpus_sheet import plot_corpus

ROWS = np.random.default_rng(0).normal(size=(3, 50)).cumsum(1)


def test_every_group_is_drawn_with_its_name_and_what_it_stands_for(tmp_path: Path) -> None:
    path = tmp_path / "sheet.svg"
    plot_corpus(path, {"random_walk": ROWS, "waves": ROWS}, {"random_walk": "Prices.", "waves": "Machines."})
    content = path.read_text()
    texts = [text.strip() for text in re.findall(r"<!--(.*?)-->", content)]
    assert texts == ["random walk", "Prices.", "waves", "Machines."]
    assert len(re.findall("stroke: #0b6bcb", content)) == 6


def test_a_picture_of_pixels_is_small(tmp_path: Path) -> None:
    path = tmp_path / "sheet.png"
    plot_corpus(path, {str(name): ROWS for name in range(20)}, {str(name): "Something." for name in range(20)})
    assert Image.open(path).mode == "P"
    assert path.stat().st_size < 150_000


@pytest.mark.parametrize("groups", [{}, {"a": ROWS, "b": ROWS[:2]}, {"a": ROWS[:0]}])
def test_groups_of_unequal_size_are_refused(tmp_path: Path, groups: dict) -> None:
    with pytest.raises(InputError, match="one and the same number of rows"):
        plot_corpus(tmp_path / "sheet.png", groups, {"a": "", "b": ""})
    assert list(tmp_path.iterdir()) == []


def test_the_picture_in_the_documentation_is_of_this_corpus() -> None:
    picture = Path(__file__).parents[2] / "docs" / "images" / "corpus.png"
    assert picture.stat().st_size <= 400_000
    lines = Image.open(picture).height / 62  # 0.62 inches at 100 dots a group
    assert round(lines) == len(GENERATORS) + 3
