"""The commands that demos print run as printed: on what the demo made, and on a table of one's own."""

import shlex
import shutil
from pathlib import Path

import pandas as pd
import pytest

from tests.command_line import run
from tests.tiny import save_tiny
from tests.tiny_text import save_tiny_text
from tracetune.recipes.anomaly import demo as anomaly
from tracetune.recipes.anomaly.settings import DemoConfig as AnomalyDemo
from tracetune.recipes.classification import demo as classification
from tracetune.recipes.classification.settings import DemoConfig as ClassificationDemo
from tracetune.recipes.forecasting import demo as forecasting
from tracetune.recipes.forecasting.settings import DemoConfig
from tracetune.recipes.imputation import demo as imputation
from tracetune.recipes.imputation.settings import DemoConfig as ImputationDemo
from tracetune.recipes.text import demo as text
from tracetune.recipes.text.settings import DemoConfig as TextDemo

QUICK = {
    "finetune": ["--max-steps", "2"],
    "importance": ["--samples", "8", "--scores", "gated_dsic"],
}


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Run in a folder of its own, on less data."""
    monkeypatch.chdir(tmp_path)
    whole = forecasting.weekly_co2()
    for module in (forecasting, imputation):
        monkeypatch.setattr(module, "weekly_co2", lambda: whole[-300:].reset_index(drop=True))
    monkeypatch.setattr(classification, "_TRAIN", 40)
    monkeypatch.setattr(classification, "_TEST", 40)
    return tmp_path


def commands(printed: str) -> list[list[str]]:
    return [shlex.split(line) for line in printed.splitlines() if line.startswith("  tracetune ")]


def run_quickly(words: list[str]) -> None:
    name, *flags = words
    trains_first = name == "importance" and "base" in flags
    untuned = name == "finetune" and "anomaly" in flags  # no method, no steps
    quick = [] if untuned else QUICK.get(name, [])
    flags = [*flags, *quick, *(["--max-steps", "2"] if trains_first else [])]
    run(shlex.join([name, *flags]))


def check(printed: str, table: str) -> list[list[str]]:
    """Run what was printed; returns the commands."""
    found = commands(printed)
    shutil.copy(table, "table.csv")
    for _, *words in found:
        run_quickly(words)
    assert [words[1] for words in found][1:4] == ["evaluate", "importance", "finetune"]
    assert Path("demo/importance/heatmap.png").is_file()
    return found


def test_forecasting(capsys: pytest.CaptureFixture[str]) -> None:
    save_tiny(Path("base"))
    forecasting.demo(DemoConfig(model="base", method="lora", prediction_length=12, device="cpu"))
    check(capsys.readouterr().out, "demo/co2.csv")
    assert len(pd.read_csv("demo/next.csv")) == len(pd.read_csv("forecast.csv")) == 12
    assert Path("demo/next.png").is_file()


def test_imputation(capsys: pytest.CaptureFixture[str]) -> None:
    save_tiny(Path("base"))
    imputation.demo(ImputationDemo(model="base", method="linear_probe", device="cpu"))
    check(capsys.readouterr().out, "demo/co2.csv")
    assert pd.read_csv("demo/filled_again.csv")["target"].notna().all()


def test_anomaly_detection(capsys: pytest.CaptureFixture[str]) -> None:
    save_tiny(Path("base"))
    anomaly.demo(AnomalyDemo(model="base", scorer="windows", device="cpu"))
    check(capsys.readouterr().out, "demo/temperatures.csv")
    assert Path("events.csv").is_file() and len(pd.read_csv("demo/recurring.csv")) == 360


def test_classification(capsys: pytest.CaptureFixture[str]) -> None:
    save_tiny(Path("base"))
    classification.demo(ClassificationDemo(model="base", device="cpu"))
    check(capsys.readouterr().out, "demo/digits.csv")
    assert len(pd.read_csv("demo/classified.csv")) == len(pd.read_csv("classes.csv")) == 40


def test_texts(capsys: pytest.CaptureFixture[str]) -> None:
    save_tiny_text(Path("base"))
    text.demo(TextDemo(model="base", method="linear_probe", sentences=60, device="cpu"))
    check(capsys.readouterr().out, "demo/test.csv")
    assert len(pd.read_csv("demo/classified.csv")) == len(pd.read_csv("classes.csv"))
