"""AnomalyDetector end to end on a tiny model: fit, detect, evaluate, update, save and load, from arrays and tables."""

import json
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from tests.estimators.anomaly.series import normal, season, table
from tracetune import AnomalyDetector, FitConfig, InputError
from tracetune.estimators.anomaly.frames import panel_of
from tracetune.estimators.anomaly.item_scorer import ItemScorer
from tracetune.estimators.anomaly.learning import learn
from tracetune.estimators.anomaly.normal_scoring import NormalScoring
from tracetune.estimators.anomaly.thresholds import RollingQuantile
from tracetune.tasks.anomaly.hidden_patches import validation_start
from tracetune.tasks.anomaly.scores.raw_window_scorer import Windows


def test_tables_give_scores_alarms_and_events(detector: AnomalyDetector) -> None:
    test = table(400, start=900, seed=5, items=2)
    found = detector.detect(test)
    assert found.columns.tolist() == ["machine", "time", "score_a", "score_b", "score", "threshold", "alarm"]
    assert found[["machine", "time"]].equals(test[["machine", "time"]])
    np.testing.assert_array_equal(found.score, found[["score_a", "score_b"]].max(axis=1))
    assert (found.alarm == (found.score > found.threshold)).all()
    assert found.threshold.min() == found.threshold.max() == detector.threshold
    assert detector.score(test).columns.tolist() == ["machine", "time", "score_a", "score_b", "score"]
    events = detector.events(test)
    assert events.machine.tolist() == ["m0", "m1"]
    assert events.channel.tolist() == ["b", "b"]
    shifted = test[test.label == 1].groupby("machine").time
    assert (events.first_alarm.to_numpy() <= shifted.min().to_numpy()).all()
    assert (events.last_alarm.to_numpy() >= shifted.max().to_numpy()).all()
    assert ((events.first_alarm < events.start) & (events.start <= events.peak)).all()
    assert ((events.peak <= events.end) & (events.end <= events.last_alarm)).all()
    assert len(detector.detect(test, threshold=1e9).query("alarm")) == 0
    assert len(detector.events(normal(300, items=2).assign(time=lambda frame: frame.time + pd.Timedelta("99D")))) == 0


def test_it_is_measured_beside_a_score_without_a_model(detector: AnomalyDetector) -> None:
    measured = detector.evaluate(table(400, start=900, seed=5, items=2))
    assert measured.scorer.tolist() == ["model", "moving z-score"] * 2
    assert (measured["VUS-PR"].iloc[::2] > 0.5).all()
    assert measured["window"].between(70, 90).all()
    model = measured.iloc[0]
    found = detector.detect(table(400, start=900, seed=5, items=2)).query("machine == 'm0'")
    label = table(400).label.to_numpy() == 1
    assert model["recall"] == (found.alarm & label).sum() / label.sum()
    assert model["false alarms"] == found.alarm[~label].mean()
    given = detector.evaluate(
        table(400, 900, 5, items=2).drop(columns="label"), [table(400).label.to_numpy()] * 2, window=10
    )
    assert given["AUC-ROC"].tolist() == measured["AUC-ROC"].tolist()
    assert (given["window"] == 10).all()


def test_rows_as_they_arrive_are_scored_as_all_at_once(base: AnomalyDetector) -> None:
    detector = base.fit(normal(), target=["a", "b"], scorer="windows")
    rows = table(700, start=900, seed=3).drop(columns="label").drop(index=range(200, 215))
    rule = RollingQuantile(window=200, level=0.99)
    whole = detector.detect(pd.concat([normal(), rows]), rule).set_index("time")
    settled, first = [], 0
    for count in (1, 3, 300, 96, 285):
        update = detector.update(rows.iloc[first : first + count], rule)
        first += count
        assert update.time.iloc[-1] == rows.time.iloc[first - 1]
        settled.append(update[update.settled])
    found = pd.concat(settled).set_index("time")
    assert found.index.is_unique
    assert len(found) > 500
    assert found.index[0] == rows.time.iloc[0]
    np.testing.assert_allclose(found.score, whole.score.loc[found.index], rtol=1e-3, atol=1e-3)
    np.testing.assert_allclose(found.threshold, whole.threshold.loc[found.index], rtol=1e-3, atol=1e-3)
    (stream,) = detector._streams.values()
    assert len(stream.timestamps) <= 3 * stream.item.reach
    with pytest.raises(InputError, match=r"after .*, the last one before"):
        detector.update(rows.iloc[:5])
    assert len(detector.update(table(5, start=1600))) == stream.item.reach + 5


def test_what_recurs_in_a_table_is_normal_by_that_table(base: AnomalyDetector, tmp_path: Path) -> None:
    detector = base.fit(season(1600), scorer="windows")
    values = season(2000, 3)
    for start in (200, 520, 840, 1480, 1800):
        values[start : start + 80] = np.sin(2 * np.pi * np.arange(80) / 40)
    by_normal, by_table = (detector.detect(values, reference=reference) for reference in ("normal", "table"))
    assert by_normal.alarm[230:250].all() and by_normal.threshold[0] == detector.threshold
    assert by_normal.alarm.mean() > 0.5 and by_table.alarm.mean() < 0.1
    assert not by_table.alarm[[240, 560, 880, 1520, 1840]].any()
    assert detector.learned is not None and by_table.threshold[0] == detector.learned.table_threshold
    np.testing.assert_array_equal(detector.score(values, reference="table").score, by_table.score)
    assert len(detector.events(values, reference="table")) < len(detector.events(values))
    labels = (np.arange(2000) // 80 == 3).astype(int)
    measured = [detector.evaluate(values, labels, reference=each).recall[0] for each in ("normal", "table")]
    assert measured[0] > 0.5 and measured[1] < 0.2
    detector.save_pretrained(tmp_path / "run")
    loaded = AnomalyDetector.from_pretrained(tmp_path / "run", device="cpu")
    pd.testing.assert_frame_equal(loaded.detect(values, reference="table"), by_table)
    with pytest.raises(InputError, match="compared with the normal part alone"):
        detector.update(values, reference="table")  # type: ignore[call-arg]
    with pytest.raises(InputError, match=r"Unknown reference 'tabel'. Did you mean 'table'"):
        detector.detect(values, reference="tabel")  # type: ignore[arg-type]


def test_saved_and_loaded_scores_are_equal(detector: AnomalyDetector, tmp_path: Path) -> None:
    detector.save_pretrained(tmp_path / "run")
    loaded = AnomalyDetector.from_pretrained(tmp_path / "run", device="cpu")
    test = table(300, start=900, seed=5, items=2)
    pd.testing.assert_frame_equal(loaded.detect(test), detector.detect(test))
    assert loaded.remarks == detector.remarks
    assert len(loaded.update(table(5, start=900, items=2))) == 10
    trace = json.loads((tmp_path / "run" / "trace.json").read_text())
    assert trace["task"] == "anomaly" and trace["weights"] == "adapter"
    assert not (tmp_path / "run" / "backbone").exists()
    assert "AnomalyDetector.from_pretrained" in (tmp_path / "run" / "README.md").read_text()
    (tmp_path / "run" / "arrays.safetensors").write_bytes(b"x")
    with pytest.raises(InputError, match=r"arrays.safetensors"):
        AnomalyDetector.from_pretrained(tmp_path / "run")


def test_what_was_learned_is_not_compared_with_itself(base: AnomalyDetector) -> None:
    values = season(2400)
    values[600:630] = 2.0
    detector = base.fit(values, scorer="windows", false_alarm_rate=0.01)
    assert detector.score(values).score.idxmax() in range(560, 670)
    assert detector.score(values[300:900]).score.idxmax() in range(260, 370)
    (remark,) = detector.remarks
    assert "has an anomaly itself" in remark
    assert not any("an anomaly itself" in remark for remark in base.fit(season(2400), scorer="windows").remarks)
    assert base.fit(values, contamination=0.1, scorer="windows", false_alarm_rate=0.01).remarks == ()


def test_the_record_says_what_the_threshold_rests_on(base: AnomalyDetector, tmp_path: Path) -> None:
    few = base.fit(season(900), scorer=Windows(widths=(20,)))
    (remark,) = few.remarks
    assert "false_alarm_rate=0.001 cannot be supported by 900 normal rows" in remark
    assert "Learn at least 1,000 normal rows" in remark
    few.save_pretrained(tmp_path / "few")
    loaded = AnomalyDetector.from_pretrained(tmp_path / "few", device="cpu")
    assert few.learned is not None and loaded.learned is not None
    assert loaded.learned.calibration == few.learned.calibration
    assert few.learned.calibration.rows == 900
    assert few.learned.calibration.events >= 5
    assert base.fit(season(900), scorer=Windows(widths=(20,)), false_alarm_rate=0.01).remarks == ()
    guessed = base.fit(season(500), scorer=Windows(widths=(100,)), false_alarm_rate=0.01)
    assert guessed.learned is not None
    assert 1 <= guessed.learned.calibration.events < 5
    (remark,) = guessed.remarks
    assert "false_alarm_rate=0.01 is a guess: 500 normal rows with" in remark and "may miss anomalies" in remark


def test_what_trained_the_model_does_not_set_the_threshold(base: AnomalyDetector) -> None:
    trained = validation_start(800, 64)
    assert trained == 600
    panel = panel_of(season(800))
    learned = learn(panel, base.anomaly_model, NormalScoring.of("windows", 0.0, 0.01), [trained])
    assert learned.calibration.rows == 200


def test_arrays_lengths_and_channels(base: AnomalyDetector) -> None:
    many = base.fit(np.stack([season(400, seed) for seed in range(12)]), scorer="windows")
    found = many.detect(np.stack([season(7, seed) for seed in range(12)]))
    assert len(found) == 7 and "score_11" in found
    short = base.fit(season(7))
    assert "too few" in short.remarks[0]
    assert np.isfinite(short.detect(season(7, 1)).score).all()
    several = base.fit([season(300), 5 * season(200, 1)], scorer="windows")
    assert several.detect([season(30), season(20)])["item_id"].tolist() == ["0"] * 30 + ["1"] * 20
    figure = many.plot(np.stack([season(90, seed) for seed in range(12)]))
    assert "4 of 12 channels" in figure.axes[0].get_title(loc="right")


@pytest.mark.parametrize("as_table", [False, True])
def test_a_small_change_of_a_constant_channel_is_an_event(base: AnomalyDetector, as_table: bool) -> None:
    """A change by 0.2 % of the level, beside a channel whose noise sets the threshold."""
    constant = np.full(400, 50.0)
    constant[200:230] *= 1.002
    parts = np.stack([season(900), np.full(900, 50.0)]), np.stack([season(400, 5, 900), constant])
    if as_table:
        times = pd.date_range("2024-01-01", periods=1300, freq="h")
        frames = [pd.DataFrame(part.T, columns=["wave", "level"]) for part in parts]
        train, test = frames[0].assign(time=times[:900]), frames[1].assign(time=times[900:])
        detector, name = base.fit(train, scorer="windows", target=["wave", "level"]), "level"
    else:
        (train, test), name = parts, "1"
        detector = base.fit(train, scorer="windows")
    assert detector.events(test).channel.tolist() == [name]


def test_a_channel_that_repeats_exactly_does_not_hide_the_others(base: AnomalyDetector) -> None:
    """On and off for 40 steps, of which 500 rows do not hold every phase five times over."""
    switching = (np.arange(1000) // 40 % 2).astype(float)
    noisy = season(1000)
    noisy[700:720] += 6
    detector = base.fit(np.stack([switching[:500], noisy[:500]]), scorer="windows")
    assert detector.threshold < 100  # it was in the thousands
    (event,) = detector.events(np.stack([switching[500:], noisy[500:]])).itertuples()
    assert event.channel == "1" and event.start <= 205 and event.end >= 215


def test_refusals(base: AnomalyDetector, detector: AnomalyDetector) -> None:
    with pytest.raises(InputError, match=r"knows no normal part. Call fit first"):
        base.detect(season(100))
    with pytest.raises(InputError, match="has learned a normal part already"):
        detector.fit(normal())
    with pytest.raises(InputError, match="'b'"):
        detector.detect(table(100, items=2).drop(columns="b"))
    with pytest.raises(InputError, match="Expected the 2 channels that were learned \\(a, b\\), found 1: 0"):
        detector.detect(season(100))
    with pytest.raises(InputError, match="found 'm2'"):
        detector.detect(table(100, items=3).query("machine == 'm2'"))
    with pytest.raises(InputError, match="Expected labels in a column 'label'"):
        detector.evaluate(normal(100, items=2))
    with pytest.raises(InputError, match=r"Expected both normal and anomalous.*only normal ones in series 'm0'"):
        detector.evaluate(table(100, items=2).assign(label=0))
    with pytest.raises(InputError, match=r"Expected a label for each of 100, 100 steps"):
        detector.evaluate(normal(100, items=2), [np.zeros(3), np.zeros(100)])
    with pytest.raises(InputError, match=r"contamination of at least 0 and below 0.5"):
        base.fit(season(100), contamination=0.7)
    with pytest.raises(InputError, match="infinite"):
        base.fit(np.array([1.0, np.inf]))
    with pytest.raises(InputError, match="at least 64 steps"):
        base.fit(season(50), method="lora")
    with pytest.raises(InputError, match="windows have neighbours"):
        base.fit(season(80), method="lora", loss="metric")
    with pytest.raises(InputError, match="'linear_probe' only a head"):
        base.fit(season(900), method="linear_probe", loss="metric")
    with pytest.raises(InputError, match="embeddings have no head"):
        base.fit(season(900), FitConfig(method="lora", start="head"), loss="metric")
    with pytest.raises(InputError, match="loss='metric' changes nothing without method"):
        base.fit(season(900), loss="metric")
    with pytest.raises(InputError, match="Unknown loss 'contrast'"):
        base.fit(season(900), method="lora", loss="contrast")
    with pytest.raises(InputError, match="Unknown scorer"):
        base.fit(season(100), scorer="nearest")
    with pytest.raises(InputError, match=r"widths of whole steps of at least 2, found \(1,\)"):
        Windows(widths=(1,))
    with pytest.raises(InputError, match="finite number, found nan"):
        detector.detect(table(100, items=2), threshold=float("nan"))
    with pytest.raises(InputError, match=r"threshold to be a number, or a rule .* found '3'"):
        detector.detect(table(100, items=2), threshold="3")  # type: ignore[arg-type]
    with pytest.raises(InputError, match=r"threshold to be a number, or a rule .* found True"):
        detector.detect(table(100, items=2), threshold=True)  # type: ignore[arg-type]
    with pytest.raises(InputError, match=r"window to be a whole number or None, found 1\.5"):
        detector.evaluate(table(300, items=2), window=1.5)  # type: ignore[arg-type]
    with pytest.raises(InputError, match=r"false_alarm_rate between 0 and 0.25"):  # before training, which would fail
        base.fit(season(50), method="lora", false_alarm_rate=0.0)


def test_rows_are_scored_once_for_all_that_is_asked_of_them(
    detector: AnomalyDetector, monkeypatch: pytest.MonkeyPatch
) -> None:
    scored: list[int] = []
    score = ItemScorer.score
    monkeypatch.setattr(ItemScorer, "score", lambda self, values, *rest: scored.append(1) or score(self, values, *rest))
    test = table(300, start=900, seed=6, items=2)
    first = detector.detect(test)
    detector.events(test, threshold=2.0)
    detector.evaluate(test)
    detector.plot(test, labels=[table(300).label.to_numpy()] * 2)
    assert len(scored) == 2  # items
    detector.score(test.assign(a=test.a + 1))
    assert len(scored) == 4
    pd.testing.assert_frame_equal(detector.detect(test), first)
    detector.detect(test, reference="table")
    assert len(scored) == 8


def test_an_array_that_was_changed_in_place_is_scored_anew(base: AnomalyDetector) -> None:
    detector = base.fit(season(600), scorer="windows")
    values = season(300, seed=1)
    before = detector.score(values)["score"]
    values[100:120] = 5.0
    assert detector.score(values)["score"][100:120].min() > before.max()


def test_steps_without_a_score_are_told_of(detector: AnomalyDetector, caplog: pytest.LogCaptureFixture) -> None:
    """Such as all of a table with every second step missing: no alarm says nothing then."""
    test = table(300, start=900, seed=5, items=2).drop(columns="label")
    detector.detect(test.assign(a=test.a.where(test.time.dt.day < 11), b=test.b.where(test.time.dt.day < 11)))
    assert "have no score (first of 'm0')" in caplog.text and "None of" not in caplog.text
    caplog.clear()
    found = detector.detect(test[test.time.dt.hour % 2 == 0])
    assert found.score.isna().all()
    assert f"None of {len(found):,} steps can raise an alarm" in caplog.text


def test_fewer_steps_than_a_window_have_no_score(base: AnomalyDetector, caplog: pytest.LogCaptureFixture) -> None:
    """Windows are of 80 and 160 steps: what is cut shorter has another shape, and was an alarm whatever it held."""
    detector = base.fit(season(900), scorer="windows")
    assert detector.detect(season(50, 1, 900)).score.isna().all()
    assert "None of 50 steps can raise an alarm" in caplog.text and "fewer steps" in caplog.text
    caplog.clear()
    later = detector.detect(season(100, 1, 900))  # the narrower ones fit
    assert np.isfinite(later.score).all() and not later.alarm.any() and "fewer steps" not in caplog.text
    assert not detector.update(season(50, 1, 900)).score.isna().any()


def test_first_steps_that_nothing_forecasts_are_no_missing_ones(
    base: AnomalyDetector, caplog: pytest.LogCaptureFixture
) -> None:
    found = base.fit(season(300), scorer="forecast").detect(season(200, 1))
    assert found.score.isna().sum() == 13
    assert "187 of 200 steps can raise an alarm: 13 have no score (first of '0'), because a forecast" in caplog.text
    with pytest.raises(InputError, match=r"found none among 9 steps, 9 of them with a value\. Give more of them"):
        base.fit(season(9), scorer="forecast")


def test_a_list_of_numbers_is_a_series(base: AnomalyDetector) -> None:
    found = base.fit(list(season(300)), scorer="windows").score(season(200, 1).tolist())
    pd.testing.assert_frame_equal(found, base.fit(season(300), scorer="windows").score(season(200, 1)))


def test_a_constant_column_that_is_left_out_is_told_of(base: AnomalyDetector, caplog: pytest.LogCaptureFixture) -> None:
    frame = table(300).drop(columns="machine").assign(valve=5.0)
    found = base.fit(frame, scorer="windows")
    assert found.channels == ("a", "b")
    assert "'valve' left out, as constant: a change of that is no anomaly" in caplog.text
    caplog.clear()
    named = base.fit(frame, scorer="windows", target=["a", "b", "valve"])
    assert named.channels == ("a", "b", "valve") and "left out, as constant" not in caplog.text
    found.evaluate(frame)
    assert "left out, as constant" not in caplog.text


def test_pictures_show_the_channels_of_the_events_by_the_clock_of_the_table(base: AnomalyDetector) -> None:
    times = pd.date_range("2024-01-01", periods=900, freq="h", tz="Asia/Tokyo")
    frame = pd.DataFrame({"time": times} | {f"c{number}": season(900, number) for number in range(6)})
    detector = base.fit(frame[:600], scorer="windows")
    frame.loc[700:720, "c5"] = 4.0
    above = detector.plot(frame[600:]).axes[0]
    assert [label.get_text() for label in above.get_yticklabels()] == ["c0", "c1", "c2", "c5"]
    assert above.get_title("right").endswith("4 of 6 channels")
    assert str(above.lines[3].get_xdata()[0])[:16] == "2024-01-26T00:00"  # 15:00 of the day before in UTC


def test_a_picture_of_many_series_begins_with_those_that_raise_alarms(base: AnomalyDetector) -> None:
    detector = base.fit(season(600), scorer="windows")
    series = [season(200, seed, 600) for seed in range(9)]
    series[8][100:120] = 4.0
    figure = detector.plot(series)
    assert figure.axes[0].get_title("left") == "8" and figure.axes[2].get_title("left") == "0"
    assert figure.get_suptitle() == "6 of 9 series"


def test_a_switch_that_stays_too_long_raises_an_alarm_after_few_rows(base: AnomalyDetector) -> None:
    """The threshold was guessed above what any window could score: 6.4, where a stretch that stands still has 3.8."""
    stays = np.random.default_rng(1).integers(15, 30, size=60)
    switch = np.repeat(np.arange(60) % 2, stays)[:1000].astype(float)
    detector = base.fit(switch[:500], scorer="windows")
    later = switch[500:].copy()
    assert not detector.detect(later).alarm.any()
    later[200:280] = later[200]
    events = detector.events(later)
    assert len(events) == 1 and events.start[0] < 280 and events.end[0] > 200
