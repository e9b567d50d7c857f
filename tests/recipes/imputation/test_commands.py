"""Imputation on the command line: fine-tune, fill, evaluate, and what is refused."""

from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from tests.command_line import run
from tests.estimators.imputation.series import wide
from tests.tiny import save_tiny
from tracetune.base.errors import InputError


def test_finetune_impute_and_evaluate(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture
) -> None:
    monkeypatch.chdir(tmp_path)
    save_tiny(tmp_path / "base")
    frame = wide(800)
    frame.loc[200:210, "a"] = np.nan
    frame.drop(index=[300, 301]).to_csv("train.csv", index=False)
    run(
        "finetune train.csv --task imputation --method linear_probe --head-epochs 0.1 --model base --output run "
        "--device cpu"
    )
    run("impute train.csv --model run --output filled.csv --plot filled.png --quantiles 0.1,0.9")
    filled = pd.read_csv("filled.csv", parse_dates=["date"])
    assert filled["date"].tolist() == frame["date"].tolist()
    assert filled["a_filled"].sum() == 13 and filled["b_filled"].sum() == 2
    assert filled[["a", "b"]].notna().all(axis=None)
    assert Path("filled.png").stat().st_size > 1000
    run("evaluate train.csv --model run --pattern blocks --share 0.2 --output errors.csv --plot hidden.html")
    assert pd.read_csv("errors.csv")["method"].tolist()[0] == "model"
    page = Path("hidden.html").read_text()
    assert page.count("<svg") == 1 and "<h1>train.csv: 20 % of the steps hidden, blocks</h1>" in page
    assert "<td>seasonal median</td>" in page
    assert "15 values filled in (a 13, b 2), 800 rows" in " ".join(capsys.readouterr().out.split())
    long_table(frame).to_csv("long.csv", index=False)
    run("impute long.csv --model base --output long_filled.csv --plot gaps.html")
    page = Path("gaps.html").read_text()
    assert page.count("<svg") == 1 and "<h1>Gaps of long.csv, filled in</h1>" in page
    assert [f"<td>{name}</td>" in page for name in ("north", "south", "a", "b")] == [True] * 4
    said = capsys.readouterr().out
    assert "each of columns 'a', 'b' is a channel: --target NAME takes others" in said
    assert "26 values filled in (a 24, b 2)" in " ".join(said.split())
    found = pd.read_csv("long_filled.csv")
    assert found["day"].tolist() == long_table(frame, whole=True)["day"].tolist()
    assert found[["a", "b"]].notna().all(axis=None) and found["a_filled"].sum() == 24
    run("impute train.csv --model base --output other.csv --quantiles 0.1,0.9")
    found = pd.read_csv("other.csv")
    inside = found[found["a_filled"]]
    assert (inside["a_0.1"] < inside["a"]).all() and (inside["a"] < inside["a_0.9"]).all()
    with pytest.raises(InputError, match="between 0 and 1"):
        run("evaluate train.csv --model run --share 2")


def test_a_table_is_written_with_the_marks_that_it_had(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture
) -> None:
    monkeypatch.chdir(tmp_path)
    save_tiny(tmp_path / "base")
    given = ["" if day == 9 else f"{day},25" for day in range(1, 29)]
    rows = [f"{day:02}.01.2024;{value};{day},5;Köln; " for day, value in enumerate(given, 1)]
    Path("t.csv").write_text("Tag;Wert;Preis;Ort;\n" + "\n".join(rows) + "\n", encoding="utf-8")
    for output in ("out.csv", "out.tsv", "out.parquet", "out.xlsx"):
        run(f"impute t.csv --target Wert --model base --output {output}")
    said = " ".join(capsys.readouterr().out.split())
    assert "28 rows written to out.csv (semicolons between cells, decimal commas, as in the source)." in said
    assert "28 rows written to out.xlsx." in said
    lines = Path("out.csv").read_text(encoding="utf-8").splitlines()
    assert lines[1].startswith("01.01.2024;1,25;1,5;Köln;") and lines[1].endswith(";False")
    filled = pd.read_parquet("out.parquet")
    for found in (
        pd.read_csv("out.csv", sep=";", decimal=","), pd.read_csv("out.tsv", sep="\t", decimal=","),
        pd.read_excel("out.xlsx"),
    ):  # fmt: skip
        np.testing.assert_allclose(found["Wert"], filled["Wert"], rtol=1e-12)
        assert found["Preis"].tolist() == [day + 0.5 for day in range(1, 29)]
        assert found["filled"].tolist() == [day == 9 for day in range(1, 29)]


def test_a_filled_table_can_be_filled_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture
) -> None:
    monkeypatch.chdir(tmp_path)
    save_tiny(tmp_path / "base")
    frame = wide(80)
    frame.loc[5:7, "a"] = np.nan
    frame.assign(a_filled=frame["a"].isna(), filled="no").to_csv("t.csv", index=False)
    run("impute t.csv --target a,b --model base --output out.csv")
    run("impute out.csv --target a,b --model base --output again.csv")
    said = " ".join(capsys.readouterr().out.split())
    assert "3 values filled in (a 3), 80 rows" in said and "0 values filled in, 80 rows" in said
    assert pd.read_csv("again.csv")["a"].equals(pd.read_csv("out.csv")["a"])


def long_table(frame: pd.DataFrame, *, whole: bool = False) -> pd.DataFrame:
    """Return two items one below the other, their days written as 14.03.2023; without two rows unless ``whole``."""
    shops = pd.concat([frame.assign(shop=name) for name in ("north", "south")], ignore_index=True)
    shops["day"] = shops.pop("date").dt.strftime("%d.%m.%Y %H:%M")
    return shops if whole else shops.drop(index=[300, 301])
