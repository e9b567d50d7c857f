"""What `inspect` says of a table, on the terminal and as a page."""

import re
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from tests.tiny import seasonal_frame
from tracetune.base.config import from_mapping
from tracetune.base.errors import InputError
from tracetune.recipes.configs.inspect import InspectConfig
from tracetune.recipes.inspect import inspect_table
from tracetune.report.inspection import Inspection, warnings


def table(folder: Path) -> Path:
    """Two items of hours with a column that knows the future, a gap and a spike."""
    frame = seasonal_frame()
    frame["soon"] = 3 * frame.groupby("item_id")["target"].shift(-1)
    frame.loc[300, "target"] = 1e6
    frame = frame.drop(index=range(50, 55))
    frame.to_csv(folder / "sales.csv", index=False)
    return folder / "sales.csv"


def inspected(path: Path, **given: Any) -> Inspection:
    return inspect_table(from_mapping(InspectConfig, {"data": str(path), "target": ["target"], **given}))


def test_the_terminal_says_what_was_understood_what_is_odd_and_how_to_go_on(
    tmp_path: Path, capsys: pytest.CaptureFixture
) -> None:
    found = inspected(table(tmp_path))
    printed = " ".join(capsys.readouterr().out.split())
    for part in (
        "2 items (item_id)",
        "because",
        "left out soon",
        "24 steps",
        "1 of 2 series have some; the longest has 5 steps",
        "item1 has a spike",
        "column 'soon' holds the target 1 step ahead",
        "tracetune finetune",
        "--prediction-length 24",
        "--output runs/sales",
    ):
        assert part in printed, part
    assert [lag for lag, _ in found.seasons] == [24]


def test_the_page_is_one_small_file_that_needs_no_other(tmp_path: Path) -> None:
    page = tmp_path / "report.html"
    path = table(tmp_path)
    inspected(path, output=str(page))
    text = page.read_text()
    assert len(text) < 300_000
    assert text.count("<svg") == 2
    assert not re.search(r'(src|href)="(?!#)', re.sub(r'xlink:href="#[^"]*"', "", text))
    assert "holds the target 1 step ahead" in text
    with pytest.raises(InputError, match="exists already"):
        inspected(path, output=str(page))
    with pytest.raises(InputError, match=r"to end in \.html"):
        inspected(path, output=str(tmp_path / "report.csv"))


def test_names_cannot_break_the_page(tmp_path: Path) -> None:
    frame = seasonal_frame(items=1).assign(item_id="<script>alert(1)</script>")
    frame.to_csv(tmp_path / "a.csv", index=False)
    inspected(tmp_path / "a.csv", output=str(tmp_path / "a.html"))
    assert "<script>" not in (tmp_path / "a.html").read_text()


def test_steps_in_the_future_are_said(tmp_path: Path) -> None:
    found = inspected(table(tmp_path))
    last = pd.Timestamp(max(series.timestamps[-1] for series in found.reading.panel))
    assert not any("in the future" in each for each in warnings(found, last))
    assert any("in the future" in each for each in warnings(found, last - pd.Timedelta(days=9)))


def test_short_and_constant_tables_are_inspected_too(tmp_path: Path) -> None:
    dates = pd.date_range("2024-01-01", periods=6, freq="D")
    pd.DataFrame({"date": dates, "target": np.full(6, 3.0)}).to_csv(tmp_path / "a.csv", index=False)
    found = inspected(tmp_path / "a.csv", output=str(tmp_path / "a.html"))
    assert found.facts[0].oddities == ("is constant (3)",)
    assert "--prediction-length 1" in found.command
