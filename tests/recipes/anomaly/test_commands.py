"""Anomaly detection on the command line: learn, detect, evaluate, and what is refused."""

import json
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from tests.command_line import run
from tests.estimators.anomaly.series import normal, table
from tests.tiny import save_tiny
from tracetune.base.errors import InputError
from tracetune.estimators.anomaly.anomaly_detector import AnomalyDetector
from tracetune.recipes.anomaly.report import series_counted


def test_finetune_detect_and_evaluate(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    caplog: pytest.LogCaptureFixture,
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
    run("evaluate test.csv --model run --plot metrics.html")
    page = Path("metrics.html").read_text()
    assert page.count("<svg") == 1 and "<h2>Metrics</h2>" in page and "labelled anomaly" in page
    run("detect test.csv --model run --output recurring.csv --reference table")
    assert not np.allclose(pd.read_csv("recurring.csv").score, scores.score)
    run("detect test.csv --model run --output quiet.csv --threshold 1e9")
    assert not pd.read_csv("quiet.csv").alarm.any()
    caplog.clear()
    run("detect test.csv --model run --output rolling.csv --rolling 1000 --level 0.99 --events rolled.csv")
    (said_once,) = caplog.messages  # 900 scores were learned, so that 100 of the 300 steps have too few before them
    assert "100 of 300 steps cannot raise an alarm" in said_once
    with pytest.raises(InputError, match="no step with as many") as error:
        run("detect test.csv --model run --output other.csv --rolling 1200")
    assert "--rolling of 1,200" in error.value.for_command_line() and not Path("other.csv").exists()
    said = capsys.readouterr().out
    times = pd.date_range("2023-03-14", periods=300, freq="h").strftime("%d.%m.%Y %H:%M")
    table(300, start=900, seed=5).drop(columns="time").assign(when=times).to_csv("dotted.csv", index=False)
    run("detect dotted.csv --timestamp-column when --model run --output dotted_scores.csv --events dotted_events.csv")
    assert pd.read_csv("dotted_scores.csv")["when"].tolist() == times.tolist()
    run("detect dotted.csv --model run --output again.csv --plot events.html")
    page = Path("events.html").read_text()
    assert page.count("<svg") == 1 and "<h2>Events</h2>" in page and "http://" not in page.partition("<svg")[0]
    assert set(pd.read_csv("dotted_events.csv")[["start", "end", "peak", "last_alarm"]].to_numpy().ravel()) <= set(
        times
    )
    assert "Alarms are raised above a score of" in said and "1 event in 300 steps" in said
    assert "last_alarm" in events.columns and "alarm" not in said.partition("Events")[2].partition("1 event in")[0]
    for flags, message in (
        ("--output scores.csv --overwrite --events scores.csv", "for two of them"),
        ("--output test.csv --overwrite", "would replace what is read"),
        ("--output run/trace.json --overwrite", "would replace what is read"),
    ):
        with pytest.raises(InputError, match=message):
            run(f"detect test.csv --model run {flags}")


def test_the_heading_says_over_how_many_series_the_means_are() -> None:
    measured = {"scorer": ["model", "moving z-score"] * 2, "VUS-PR": [0.5, 0.4, np.nan, np.nan]}
    one_without = pd.DataFrame({**measured, "false alarms": [0.1, np.nan, 0.0, np.nan]})
    assert series_counted(one_without) == ", mean over 1 series; false alarms over 2"
    assert series_counted(one_without.fillna(0.5)) == ", mean over 2 series"
    assert series_counted(one_without.iloc[:2]) == ""


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ("finetune x.csv --task anomaly --output run --r 5", "--r 5 changes nothing with the method 'none'"),
        ("finetune x.csv --task anomaly --output run --loss metric", "--loss metric changes nothing with the method"),
        ("finetune x.csv --task anomaly --output run --checkpoints ck", "--checkpoints ck changes nothing"),
        ("finetune x.csv --task anomaly --output run --scorer forecast --widths 4", "--widths goes with"),
        ("detect x.csv --model run --threshold nan", "--threshold to be a number, found 'nan'"),
        ("detect x.csv --model run --level 0.9", "--level changes nothing without --rolling"),
        ("detect x.csv --model run --rolling 9 --level 1", "--level between 0 and 1, found 1.0"),
    ],
)
def test_settings_are_refused_before_the_work(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, line: str, message: str
) -> None:
    monkeypatch.chdir(tmp_path)
    Path("x.csv").touch()
    with pytest.raises(InputError) as error:
        run(line)
    assert message in error.value.for_command_line()


def test_labels_of_the_training_table_are_found(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.chdir(tmp_path)
    save_tiny(tmp_path / "base")
    table(300).drop(columns="a").to_csv("train.csv", index=False)
    run("finetune train.csv --task anomaly --model base --scorer windows --output run --device cpu")
    assert any("steps are labelled as anomalies" in said for said in caplog.messages)
    table(100).drop(columns=["a", "label"]).to_csv("new.csv", index=False)
    run("detect new.csv --model run --output scores.csv")
    assert len(pd.read_csv("scores.csv")) == 100
    table(100, start=300).drop(columns="a").assign(truth=[1] * 9 + [0] * 91).to_csv("judged.csv", index=False)
    caplog.clear()
    run("evaluate judged.csv --model run --label-column truth --output metrics.csv")
    assert [said for said in caplog.messages if "labels in 'truth', as asked for" in said]


def test_labels_in_words(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    caplog: pytest.LogCaptureFixture,
) -> None:
    """True and False of a file, normal and anomaly: read and told, inside of --target too, and never items."""
    monkeypatch.chdir(tmp_path)
    save_tiny(tmp_path / "base")
    for name, words in (("bool", (False, True)), ("words", ("normal", "anomaly"))):
        table(300).assign(label=lambda frame, w=words: frame.label.map(dict(enumerate(w)))).to_csv(
            f"{name}.csv", index=False
        )
    run("finetune words.csv --task anomaly --model base --scorer windows --target a,b,label --output run --device cpu")
    said = " ".join(capsys.readouterr().out.split())
    assert "'anomaly' is an anomaly (37 rows), 'normal' is normal (263 rows)" in said
    assert any("37 of 300 steps are labelled as anomalies" in said for said in caplog.messages)
    assert "tracetune evaluate words.csv --target a,b,label --model run" in said
    for name in ("bool", "words"):
        run(f"detect {name}.csv --model run --output {name}_scores.csv")
        run(f"evaluate {name}.csv --model run --output {name}_metrics.csv")
    run("detect words.csv --model run --target a,b,label --output again.csv")
    scores = [pd.read_csv(name) for name in ("bool_scores.csv", "words_scores.csv", "again.csv")]
    assert all(len(each) == 300 and each.equals(scores[0]) for each in scores)
    assert pd.read_csv("bool_metrics.csv").equals(pd.read_csv("words_metrics.csv"))
    pd.read_csv("words.csv").replace("normal", "perhaps").to_csv("odd.csv", index=False)
    for line in ("finetune odd.csv --task anomaly --model base --output other", "evaluate odd.csv --model run"):
        with pytest.raises(InputError, match=r"found 'perhaps' in row 2 \(263 such cells\)"):
            run(line)
    assert not Path("other").exists()
    with pytest.raises(InputError, match="Expected a column of labels 'lable'"):
        run("finetune words.csv --task anomaly --model base --label-column lable --output other")


def test_what_is_printed_fits_and_what_is_proposed_works(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Labels that are all normal measure nothing; times with a zone stand in a terminal of 80 columns unbroken."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("COLUMNS", "80")
    save_tiny(tmp_path / "base")
    zoned = table(500).assign(time=lambda frame: frame.time.dt.tz_localize("Asia/Tokyo")).drop(columns="machine")
    zoned.to_csv("test.csv", index=False)
    zoned.assign(b=zoned.b - 40 * zoned.label, label=0).to_csv("train.csv", index=False)
    run("finetune train.csv --task anomaly --model base --scorer windows --output run --device cpu")
    proposed = capsys.readouterr().out
    assert "tracetune detect train.csv" in proposed and "tracetune evaluate" not in proposed
    run("detect test.csv --model run --output scores.csv --events events.csv")
    said = capsys.readouterr().out
    start = pd.read_csv("events.csv")["start"][0]
    assert "Events, times in UTC+09:00" in said and start.endswith(":00+09:00")
    assert f" {start[:16]}  " in said and max(map(len, said.partition("Events")[2].splitlines()[:6])) <= 80


def test_a_guessed_threshold_is_called_one_wherever_it_is_used(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    save_tiny(tmp_path / "base")
    normal(300).to_csv("train.csv", index=False)
    table(200, start=300).to_csv("test.csv", index=False)
    run("finetune train.csv --task anomaly --model base --scorer windows --output run --device cpu")
    for line in ("detect test.csv --model run --output scores.csv", "evaluate test.csv --model run"):
        said = " ".join(capsys.readouterr().out.split())
        assert ": a guess, from 300 normal rows with 2 separate events, where it takes 5." in said
        run(line)
    assert ": a guess" in capsys.readouterr().out
    run("detect test.csv --model run --output own.csv --threshold 3")
    assert "Alarms are raised" not in capsys.readouterr().out


def test_labels_by_time_as_nab_writes_them(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """They are not learned, and measured by; the command that is printed names them too."""
    monkeypatch.chdir(tmp_path)
    save_tiny(tmp_path / "base")
    frame = table(400)
    times = frame.time[frame.label == 1].astype(str).tolist()
    frame.drop(columns="label").to_csv("series.csv", index=False)
    Path("windows.json").write_text(json.dumps({"real/series.csv": [[times[0], times[-1]]]}))
    run(
        "finetune series.csv --task anomaly --target a,b --model base --scorer windows --labels windows.json "
        "--output run --device cpu"
    )
    said = " ".join(capsys.readouterr().out.split())
    assert "labels by windows.json: 1 window and 0 single times, which hold 50 of 400 steps" in said
    assert "tracetune evaluate series.csv --target a,b --model run --labels windows.json" in said
    run("evaluate series.csv --model run --labels windows.json --output by_time.csv")
    frame.to_csv("labelled.csv", index=False)
    run("evaluate labelled.csv --model run --output by_column.csv")
    pd.testing.assert_frame_equal(pd.read_csv("by_time.csv"), pd.read_csv("by_column.csv"))
    with pytest.raises(InputError, match="two ways to say which steps are anomalous"):
        run("evaluate series.csv --model run --labels windows.json --label-column label")
    with pytest.raises(InputError, match=r"'labelled\.csv' is not named in windows\.json"):
        run("evaluate labelled.csv --model run --labels windows.json")
    with pytest.raises(InputError, match="would replace what is read"):
        run("evaluate series.csv --model run --labels windows.json --output windows.json --overwrite")
