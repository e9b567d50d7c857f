"""What `inspect` says of a table, on the terminal and as a page."""

import re
import shlex
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from tests.tiny import seasonal_frame
from tracetune.base.config import from_mapping
from tracetune.base.errors import InputError
from tracetune.recipes.inspect import inspect_table
from tracetune.recipes.settings.inspect import InspectConfig
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
    found = inspect_table(from_mapping(InspectConfig, {"data": str(path), "target": ["target"], **given}))
    assert found is not None
    return found


def proposed(path: Path, capsys: pytest.CaptureFixture, **given: Any) -> list[list[str]]:
    """Return the words of the commands that `inspect` proposes."""
    inspect_table(from_mapping(InspectConfig, {"data": str(path), **given}))
    lines = capsys.readouterr().out.partition("Go on with:")[2].splitlines()
    return [shlex.split(line) for line in lines if line.startswith("  tracetune ")]


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
    assert "--prediction-length 1" in found.commands[0][0]


def test_labels_of_steps_suggest_anomaly_detection(tmp_path: Path, capsys: pytest.CaptureFixture) -> None:
    path = tmp_path / "my pump's.csv"
    frame = seasonal_frame(items=1).rename(columns={"target": "flow", "item_id": "pump"})
    frame["Anomaly"] = (np.arange(len(frame)) // 20 == 5).astype(int)
    frame.to_csv(path, index=False)
    forecasting, anomaly = proposed(path, capsys)
    assert forecasting[:3] == ["tracetune", "finetune", str(path)]
    assert forecasting[forecasting.index("--target") + 1] == "flow"
    assert anomaly[2:] == [
        str(path),
        "--task",
        "anomaly",
        "--label-column",
        "Anomaly",
        "--output",
        "runs/my pump's-anomaly",
    ]


def test_a_label_of_each_series_suggests_classification(tmp_path: Path, capsys: pytest.CaptureFixture) -> None:
    frame = pd.concat([seasonal_frame(items=2).assign(item_id=lambda f, k=k: f.item_id + str(k)) for k in range(2)])
    frame["label"] = (frame.item_id.str[-1] == "1").astype(int)
    frame.to_csv(tmp_path / "long.csv", index=False)
    long = proposed(tmp_path / "long.csv", capsys)
    assert long[1][3:7] == ["--task", "classification", "--label-column", "label"] and len(long) == 2
    rows = pd.DataFrame(np.random.default_rng(0).normal(size=(8, 30)), columns=map(str, range(30)))
    rows.insert(0, "label", ["still", "moving"] * 4)
    rows.to_csv(tmp_path / "rows.csv", index=False)
    assert proposed(tmp_path / "rows.csv", capsys)[-1][3:5] == ["--task", "classification"]
    (tmp_path / "a.ts").write_text("@classLabel true a b\n@data\n1,2,3:a\n1,2,4:b\n1,2,2:a\n3,3,3:b\n")
    assert proposed(tmp_path / "a.ts", capsys) == [
        [
            "tracetune",
            "finetune",
            str(tmp_path / "a.ts"),
            "--task",
            "classification",
            "--output",
            "runs/a-classification",
        ]
    ]
    relation = "@relation r\n@attribute a numeric\n@attribute b numeric\n@attribute class {x,y}\n@data\n"
    (tmp_path / "a.arff").write_text(relation + "1,2,x\n1,3,y\n4,2,x\n1,5,y\n")
    assert proposed(tmp_path / "a.arff", capsys)[0][2:5] == [str(tmp_path / "a.arff"), "--task", "classification"]


def test_numbers_with_a_wrong_cell_are_no_texts(tmp_path: Path) -> None:
    rows = [f"{day:02d}.02.2025;{shop};{day},{day}" for shop in ("Kiel", "Ulm") for day in range(1, 29)]
    rows[20] = rows[20].rsplit(";", 1)[0] + ";5o,3"
    (tmp_path / "a.csv").write_text("\n".join(["date;shop;sales", *rows]))
    with pytest.raises(InputError, match="5o,3"):
        inspect_table(from_mapping(InspectConfig, {"data": str(tmp_path / "a.csv")}))


def test_many_gaps_suggest_imputation(tmp_path: Path, capsys: pytest.CaptureFixture) -> None:
    frame = seasonal_frame(items=1)
    frame.loc[np.random.default_rng(0).random(len(frame)) < 0.2, "target"] = np.nan
    frame.to_csv(tmp_path / "a.csv", index=False)
    assert [words[3:5] for words in proposed(tmp_path / "a.csv", capsys)][1:] == [["--task", "imputation"]]


def test_texts_with_labels_suggest_text(tmp_path: Path, capsys: pytest.CaptureFixture) -> None:
    reviews = pd.DataFrame({"review": ["very good indeed", "bad, really"] * 5, "label": ["pos", "neg"] * 5})
    reviews.to_csv(tmp_path / "reviews.csv", index=False)
    (text,) = proposed(tmp_path / "reviews.csv", capsys)
    assert text[3:9] == ["--task", "text", "--text-column", "review", "--label-column", "label"]
    dated = reviews.assign(when=pd.date_range("2024-01-01", periods=10, freq="h").astype(str), stars=range(10))
    dated.to_csv(tmp_path / "dated.csv", index=False)
    assert proposed(tmp_path / "dated.csv", capsys, target=["stars"])[1][3:9] == text[3:9]


def test_a_plain_table_suggests_forecasting_alone(tmp_path: Path, capsys: pytest.CaptureFixture) -> None:
    assert len(proposed(table(tmp_path), capsys, target=["target"])) == 1


def test_a_table_for_no_task_is_refused(tmp_path: Path) -> None:
    pd.DataFrame({"a": ["x", "y"], "b": ["u", "v"]}).to_csv(tmp_path / "a.csv", index=False)
    with pytest.raises(InputError):
        inspect_table(from_mapping(InspectConfig, {"data": str(tmp_path / "a.csv")}))


def test_a_table_with_items_and_several_measures_is_inspected_with_all_of_them(
    tmp_path: Path, capsys: pytest.CaptureFixture
) -> None:
    frame = seasonal_frame().rename(columns={"target": "sales"})
    frame["price"] = np.where(np.arange(len(frame)) % 9 < 2, np.nan, np.sin(np.arange(len(frame))))
    frame.to_csv(tmp_path / "shops.csv", index=False)
    forecast, filled = proposed(tmp_path / "shops.csv", capsys)
    assert forecast[forecast.index("--target") + 1] == "sales"
    assert filled[filled.index("--task") + 1] == "imputation" and "--target" not in filled


def test_columns_beside_series_in_rows_are_no_channels(tmp_path: Path, capsys: pytest.CaptureFixture) -> None:
    rows = [[f"N{i}", 30 + i, "MICRO", *np.arange(30.0) + i] for i in range(6)]
    pd.DataFrame(rows, columns=["Series", "N", "Category", *range(1, 31)]).to_csv(tmp_path / "m3.csv", index=False)
    (command,) = proposed(tmp_path / "m3.csv", capsys)
    assert "--task" not in command and command[5:7] == ["--resolution", "auto"]  # series of two patches
