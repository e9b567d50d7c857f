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
