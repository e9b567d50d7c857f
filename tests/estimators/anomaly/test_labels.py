"""Labels of the steps: what is not learned, what is measured, in which words they are given."""

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from tests.estimators.anomaly.series import season, table
from tracetune import AnomalyDetector, InputError
from tracetune.estimators.anomaly.frames import panel_of


def test_labelled_anomalies_of_the_training_part_are_not_learned(
    base: AnomalyDetector, caplog: pytest.LogCaptureFixture
) -> None:
    """The shift of a train table with labels is as strange to the detector as if it had never been there."""
    train = table(400)
    found = base.fit(train, target=["a", "b"], scorer="windows")
    assert found.channels == ("a", "b")
    assert any("50 of 400 steps are labelled as anomalies: they are not learned" in said for said in caplog.messages)
    bare = train.drop(columns="label")
    learned = base.fit(bare, target=["a", "b"], scorer="windows")
    shift = [float(each.detect(bare)["score"][300:350].mean()) for each in (found, learned)]
    assert shift[0] > 3 * max(shift[1], 1.0)
    with pytest.raises(InputError, match="found all 400 labelled as anomalies"):
        base.fit(train.assign(label=1), target=["a", "b"], scorer="windows")
    with pytest.raises(InputError, match=r"must say which steps are anomalous: .* found 2 in row 0"):
        base.fit(train.assign(label=2), target=["a", "b"], scorer="windows")
    with pytest.raises(InputError, match=r"Expected window below the 400 steps of series '.*', found 400"):
        found.evaluate(train, window=400)


def test_labels_in_words_are_those_in_numbers(base: AnomalyDetector, tmp_path: Path) -> None:
    """Of the fit, of the measurement and of arrays; what is looked through may say anything there."""
    words = table(400).assign(anomaly=lambda frame: np.where(frame.label == 1, "anomaly", "normal"))
    words = words.drop(columns="label")
    found = base.fit(words, target=["a", "b", "anomaly"], scorer="windows", label_column="anomaly")
    same = base.fit(table(400), target=["a", "b"], scorer="windows")
    assert (found.channels, found.label_column, found.threshold) == (("a", "b"), "anomaly", same.threshold)
    found.save_pretrained(tmp_path / "run")
    loaded = AnomalyDetector.from_pretrained(tmp_path / "run", device="cpu")
    measured = loaded.evaluate(words)
    pd.testing.assert_frame_equal(measured, same.evaluate(table(400)))
    pd.testing.assert_frame_equal(measured, loaded.evaluate(words, words.anomaly.to_numpy()))
    expected = same.score(table(400)).score
    for given in (words, words.assign(anomaly="unknown"), words.drop(columns="anomaly")):
        pd.testing.assert_series_equal(loaded.score(given).score, expected)
    pd.testing.assert_series_equal(loaded.score(words, target=["a", "b", "anomaly"]).score, expected)
    arrays = words[["a", "b"]].to_numpy().T
    masked = base.fit(arrays, labels=table(400).label.to_numpy() == 1, scorer="windows")
    assert masked.threshold == same.threshold
    with pytest.raises(InputError, match=r"Expected a column of labels 'lable' beside a, b, found none"):
        base.fit(table(400), target=["a", "b"], label_column="lable")
    with pytest.raises(InputError, match=r"Column 'labels' must say which steps are anomalous: .* found 'x'"):
        loaded.evaluate(words, np.full(400, "x"))


def test_other_labels_than_those_of_the_fit_are_taken_and_said(
    base: AnomalyDetector, caplog: pytest.LogCaptureFixture
) -> None:
    train = table(400)
    test = table(400, start=400, seed=5).assign(truth=lambda frame: (frame.index < 30).astype(int))
    plain = base.fit(train.drop(columns="label"), scorer="windows")
    caplog.clear()
    alone = plain.evaluate(test.drop(columns="label"), label_column="truth")
    assert not any("as asked for" in said for said in caplog.messages)  # no others were known
    labelled = base.fit(train, scorer="windows")
    caplog.clear()
    found = labelled.evaluate(test, label_column="truth")  # the column of the fit is no channel all the same
    (said,) = [said for said in caplog.messages if "as asked for" in said]
    assert "labels in 'truth'" in said and "what 'label' calls anomalies" in said
    assert found.columns.equals(alone.columns)
    caplog.clear()
    labelled.evaluate(test.drop(columns="truth"))
    assert not any("as asked for" in said for said in caplog.messages)


def test_an_item_without_an_anomaly_counts_with_its_false_alarms(
    detector: AnomalyDetector, caplog: pytest.LogCaptureFixture
) -> None:
    test = table(400, start=900, seed=5, items=2)
    whole = detector.evaluate(test)
    found = detector.evaluate(test.assign(label=test.label.where(test.machine == "m0", 0)))
    assert "1 of 2 series have no anomaly ('m1'): of them only false alarms are counted" in caplog.text
    assert found.query("item == 'm0'").equals(whole.query("item == 'm0'"))
    left = found.query("item == 'm1' and scorer == 'model'").iloc[0]
    assert np.isnan(left["VUS-PR"]) and left["false alarms"] > 0


def test_what_was_learned_is_not_compared_with_itself_where_labels_left_steps_out(base: AnomalyDetector) -> None:
    """Labelled steps are missing in what was learned; the table that it came from is the same data all the same."""
    values = season(1200)
    labels = np.zeros(1200, dtype=int)
    labels[700:720] = 1
    values[700:720] = 0.0
    values[300:330] = 2.0  # not labelled, and so learned
    detector = base.fit(values, labels=labels, scorer="windows")
    assert detector.learned is not None
    (item,) = detector.learned.items.values()
    series = panel_of(values).series[0]
    assert item.place_of(series) == 0
    assert item.place_of(replace(series, values=values[None] + 1e-9)) is None
    as_text = np.array([[float(f"{value:.15g}") for value in values]])
    assert (as_text != values).any() and item.place_of(replace(series, values=as_text)) == 0
    score = detector.score(values).score
    normal = item.normal_scores[0]
    np.testing.assert_allclose(score[:500], normal[:500], atol=1e-6)


def test_the_usual_name_in_capitals_is_the_column_of_labels(base: AnomalyDetector) -> None:
    """As in TSB-AD's files; its anomalies were learned, and the column could be a channel."""
    capital = table(400).rename(columns={"label": "Label"})
    found = base.fit(capital, scorer="windows")
    same = base.fit(table(400), scorer="windows")
    assert found.channels == same.channels == ("a", "b")
    pd.testing.assert_frame_equal(found.detect(capital), same.detect(table(400)))
    pd.testing.assert_frame_equal(found.evaluate(capital), same.evaluate(table(400)))


def test_labels_by_time_are_those_of_the_column(base: AnomalyDetector, tmp_path: Path) -> None:
    """Of the fit, of the measurement and of pictures; from a mapping, and from a file by the table's name."""
    train = table(400)
    window = train.time[train.label == 1]
    spans = {"x": [[str(window.iloc[0]), str(window.iloc[-1])]]}
    bare = train.drop(columns="label")
    found = base.fit(bare, target=["a", "b"], labels=spans, scorer="windows")
    same = base.fit(train, target=["a", "b"], scorer="windows")
    assert found.threshold == same.threshold
    pd.testing.assert_frame_equal(found.evaluate(bare, spans), same.evaluate(train))
    pd.testing.assert_frame_equal(found.evaluate(train.assign(label="?"), spans), same.evaluate(train))
    (axes, _) = found.plot(bare, labels=spans).axes[:2]
    assert axes is not None
    bare.to_csv(tmp_path / "series.csv", index=False)
    (tmp_path / "windows.json").write_text(json.dumps({"folder/series.csv": spans["x"], "other.csv": []}))
    from_file = found.evaluate(tmp_path / "series.csv", tmp_path / "windows.json")
    pd.testing.assert_frame_equal(from_file, same.evaluate(train))  # though text may differ in the last digit
    with pytest.raises(InputError, match=r"labels by time goes with a table.*Give labels \[steps\]"):
        found.evaluate(bare[["a", "b"]].to_numpy().T, spans)
    with pytest.raises(InputError, match="labels by time and label_column are two ways"):
        found.evaluate(bare, spans, label_column="label")
