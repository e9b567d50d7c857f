"""Anomaly detection on the command line: learn, detect, evaluate, and what is refused."""

from pathlib import Path

import pandas as pd
import pytest

from tests.estimators.test_anomaly_detector import normal, table
from tests.tiny import save_tiny
from tracetune.cli.app import build_command
from tracetune.cli.task_choice import chosen_task
from tracetune.estimators.anomaly_detector import AnomalyDetector


def run(line: str) -> None:
    name, *words = line.split()
    build_command(name, chosen_task(name, words)).main(words, standalone_mode=False)


def test_finetune_detect_and_evaluate(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture
) -> None:
    monkeypatch.chdir(tmp_path)
    save_tiny(tmp_path / "base")
    normal().assign(label=0).to_csv("train.csv", index=False)
    table(300, start=900, seed=5).to_csv("test.csv", index=False)
    line = (
        "finetune train.csv --task anomaly --target a,b,label --model base --scorer windows --output run --device cpu"
    )
    run(line)
    assert AnomalyDetector.from_pretrained("run").channels == ("a", "b")
    run("detect test.csv --model run --output scores.csv --events events.csv --plot scores.png")
    scores = pd.read_csv("scores.csv")
    assert len(scores) == 300 and scores.alarm.any()
    events = pd.read_csv("events.csv")
    assert events.channel.tolist() == ["b"]
    assert Path("scores.png").stat().st_size > 1000
    run("evaluate test.csv --model run --output metrics.csv")
    metrics = pd.read_csv("metrics.csv").set_index("scorer")
    assert metrics.loc["model", "VUS-PR"] > metrics.loc["moving z-score", "VUS-PR"]
    run("detect test.csv --model run --output quiet.csv --threshold 1e9")
    assert not pd.read_csv("quiet.csv").alarm.any()
    said = capsys.readouterr().out
    assert "Alarms are raised above a score of" in said and "1 event in 300 steps" in said
