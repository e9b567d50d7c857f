"""Classifier end to end on a tiny model: fit, predict, evaluate, save and load, from arrays and tables."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from torch import nn

from tracetune import Classifier, FitConfig, InputError, Trace, TrainingConfig
from tracetune.backbones.any_module import wrap_module
from tracetune.estimators.classification.record import ClassifierRecord
from tracetune.fitting.methods.lora import Lora
from tracetune.heads.classification_config import ClassificationHeadConfig
from tracetune.selection.config import SelectionConfig

NAMES = ["fast", "slow"]


def series(count: int, seed: int = 0) -> tuple[list[np.ndarray], list[str]]:
    """Sines of two periods per series, of many lengths, some values missing."""
    rng = np.random.default_rng(seed)
    found, labels = [], []
    for index in range(count):
        length = int(rng.integers(20, 90))
        wave = np.sin(2 * np.pi * np.arange(length) / length * (8 if index % 2 == 0 else 2) + rng.uniform(0, 6))
        values = np.stack([wave, rng.normal(size=length)]) + 0.1 * rng.normal(size=(2, length))
        values[0, rng.integers(length)] = np.nan
        found.append(values)
        labels.append(NAMES[index % 2])
    return found, labels


def table(count: int, seed: int = 0) -> pd.DataFrame:
    rows = []
    for index, (values, label) in enumerate(zip(*series(count, seed), strict=True)):
        times = pd.date_range("2024-01-01", periods=values.shape[1], freq="s")
        rows.append(
            pd.DataFrame({"item_id": f"s{index}", "timestamp": times, "a": values[0], "b": values[1], "label": label})
        )
    return pd.concat(rows, ignore_index=True)


@pytest.fixture(scope="module")
def base(base_folder: str) -> Classifier:
    return Classifier.from_pretrained(base_folder, device="cpu")


@pytest.fixture(scope="module")
def tuned(base: Classifier) -> Classifier:
    selection = SelectionConfig(
        keep=4, warmup_steps=1, final_step=4, interval=1, scoring_batches=1, batch_size=16, cost_share=1.0
    )
    training = TrainingConfig(max_steps=6, batch_size=16, evaluations=2, learning_rate=2e-3)
    config = FitConfig(
        method=Trace(selection), head=ClassificationHeadConfig(scales=(1.0,)), head_start="kept", training=training
    )
    return base.fit(*series(60), config, folds=2, class_weights="balanced")


def test_values_that_are_too_large_are_refused(base: Classifier, tuned: Classifier) -> None:
    values, labels = series(4, seed=1)
    values = [np.array(one, dtype=np.float64) for one in values]
    values[2][0, 5] = 1e22
    for use in (tuned.predict, lambda values: tuned.evaluate(values, labels), lambda values: base.fit(values, labels)):
        with pytest.raises(InputError, match=r"are not finite, found 1e\+22 in series 2"):
            use(values)


def test_it_learns_and_gives_probabilities(tuned: Classifier) -> None:
    values, labels = series(40, seed=1)
    probabilities = tuned.predict(values, batch_size=16)
    assert probabilities.shape == (40, 2)
    np.testing.assert_allclose(probabilities.sum(axis=1), 1.0)
    found = tuned.evaluate(values, labels)
    assert found.accuracy == (tuned.classify(values) == labels).mean() > 0.9
    truth = probabilities[np.arange(40), [NAMES.index(label) for label in labels]]
    assert found.scores["log_loss"][0] == pytest.approx(-np.log(truth).mean())
    trace = tuned.trace
    assert [each["name"] for each in trace["candidates"]] == ["head", "trace"]
    assert trace["data"] == {"samples": 60, "folds": 2, "held_out": 60}
    assert trace["class_weights"] == [1.0, 1.0]
    assert tuned.base_name in repr(trace["base_model"])


def test_series_without_digits_left_are_said_in_fit_and_prediction(
    base: Classifier, tuned: Classifier, caplog: pytest.LogCaptureFixture
) -> None:
    values, labels = series(8, seed=1)
    raised = [each + 1e9 for each in values]
    head = FitConfig(method="linear_probe", head=ClassificationHeadConfig(scales=(1.0,), convolutions=0))
    uses = [
        lambda given: base.fit(given, labels, head, folds=1),
        tuned.predict,
        lambda given: tuned.evaluate(given, labels),
        tuned.classify,
    ]
    for use in uses:
        caplog.clear()
        use(values)
        assert "ten-millionths" not in caplog.text
        use(raised)
        assert caplog.text.count("8 of 8 series vary by a few ten-millionths") == 1


def test_explanations_lie_on_the_steps_of_the_series(tuned: Classifier) -> None:
    values, _ = series(4, seed=3)
    found = tuned.explain(values)
    assert [each.shape for each in found] == [each.shape for each in values]
    assert np.isnan(found[0][0]).sum() == 1  # the step that is missing
    speaks = np.mean([np.nanmean(np.abs(each), axis=1) for each in found], axis=0)
    assert speaks[0] > speaks[1]  # the second channel is noise
    other = tuned.explain(values[:1], "slow" if tuned.classify(values[:1])[0] == "fast" else "fast")
    assert not np.allclose(other[0][1], found[0][1])
    with pytest.raises(InputError, match="Expected one of the classes fast, slow, found 'medium'"):
        tuned.explain(values, "medium")
    titles = [axes.get_title(loc="left") for axes in tuned.plot(values).axes]
    assert len(titles) == 4 and "0 · channel 0" in titles  # the channel that speaks most


def test_saved_merged_and_loaded_probabilities_are_equal(tuned: Classifier, tmp_path: Path) -> None:
    values, _ = series(10, seed=2)
    expected = tuned.predict(values)
    tuned.save_pretrained(tmp_path / "run")
    loaded = Classifier.from_pretrained(tmp_path / "run", device="cpu")
    assert loaded.classes == tuned.classes == NAMES
    np.testing.assert_array_equal(loaded.predict(values), expected)
    assert json.loads((tmp_path / "run" / "trace.json").read_text())["task"] == "classification"
    assert "Classifier.from_pretrained" in (tmp_path / "run" / "README.md").read_text()
    with pytest.raises(InputError, match="fine-tuned for context_length=64"):
        Classifier.from_pretrained(tmp_path / "run", context_length=32)
    merged = tuned.merge()
    np.testing.assert_allclose(merged.predict(values), expected, atol=1e-4)
    merged.save_pretrained(tmp_path / "merged")
    np.testing.assert_array_equal(
        Classifier.from_pretrained(tmp_path / "merged").predict(values), merged.predict(values)
    )


def test_a_head_saved_before_there_were_convolutions_has_none(base: Classifier, tmp_path: Path) -> None:
    head = ClassificationHeadConfig(scales=(1.0,), convolutions=0)
    training = TrainingConfig(max_steps=2, batch_size=16, evaluations=1)
    without = base.fit(*series(20), FitConfig(method=Lora(), head=head, head_start="kept", training=training), folds=2)
    without.save_pretrained(tmp_path / "run")
    record = json.loads((tmp_path / "run" / "trace.json").read_text())
    assert record["head"].pop("convolutions") == 0
    read = ClassifierRecord.from_json(record, "trace.json")
    assert read.head == head
    assert ClassifierRecord.from_json({**record, "head": {"convolutions": 168}}, "trace.json").head.convolutions == 168


def test_tables_are_classified_item_by_item(base: Classifier) -> None:
    tuned = base.fit(table(40), config=FitConfig(head_start="kept"), method="linear_probe", folds=2)
    test = table(20, seed=1)
    found = tuned.predict_df(test.drop(columns="label"))
    assert list(found.columns) == ["item_id", "predictions", "fast", "slow"]
    assert found["item_id"].tolist() == [f"s{index}" for index in range(20)]
    accuracy = (found["predictions"] == [NAMES[index % 2] for index in range(20)]).mean()
    assert accuracy > 0.8
    assert tuned.evaluate(test).accuracy == accuracy
    with pytest.raises(InputError, match="'b'"):
        tuned.predict_df(test.drop(columns="b"))


def test_a_wrapped_module_of_one_length_becomes_a_classifier() -> None:
    module = nn.Sequential(nn.Linear(40, 24), nn.Tanh(), nn.Linear(24, 30), nn.Unflatten(-1, (5, 6)))
    backbone = wrap_module(module, context_length=40, width=6, patch_length=8)
    values, labels = series(40)
    tuned = Classifier.from_backbone(backbone).fit(values, labels, method="linear_probe", folds=2)
    assert tuned.evaluate(*series(40, seed=1)).accuracy > 0.7
    assert tuned.predict([np.ones((2, 3))]).shape == (1, 2)  # shorter than a patch


@pytest.mark.parametrize(
    ("values", "labels", "options", "message"),
    [
        (series(4)[0], ["a"] * 4, {}, "at least two classes, found only 'a'"),
        (series(4)[0], ["a", "b"], {}, "a label for each of 4 series, found 2"),
        (series(4)[0], ["a", "b", None, "a"], {}, "found none for series 2"),
        (series(4)[0], None, {}, "Expected labels"),
        ([np.ones((2, 9)), np.ones((3, 9))], ["a", "b"], {}, "in series 1, as in the first, found 3"),
        (np.ones((4, 9)), [0, 1, 0, 1], {}, r"shape \[channels, steps\], found \[9\]"),
        ([np.full((1, 5), np.nan)], ["a"], {}, "no value at all"),
        ([], [], {}, "at least one series"),
        (*series(4), {"class_weights": {"fast": 1.0}}, "class_weights of the classes fast, slow"),
        (*series(4), {"class_weights": "even"}, "class_weights 'balanced' or"),
        (*series(4), {"folds": 3}, "folds of at most 2"),
    ],
)
def test_unusable_samples_are_refused(
    base: Classifier, values: Any, labels: Any, options: dict[str, Any], message: str
) -> None:
    with pytest.raises(InputError, match=message):
        base.fit(values, labels, **options)


def test_wrong_use_is_refused(base: Classifier, tuned: Classifier, tmp_path: Path) -> None:
    values, labels = series(4)
    with pytest.raises(InputError, match="Call fit first"):
        base.predict(values)
    with pytest.raises(InputError, match="Call fit first"):
        base.save_pretrained(tmp_path / "nothing")
    with pytest.raises(InputError, match="the classes 'fast', 'slow', found 'medium' too"):
        tuned.evaluate(values, ["medium", *labels[1:]])
    with pytest.raises(InputError, match="Expected 2 channels in series 0, as in those of the fit, found 1"):
        tuned.predict([np.ones((1, 9))])
    with pytest.raises(InputError, match="fine-tuned already"):
        tuned.fit(values, labels)
    assert not (tmp_path / "nothing").exists()


def test_numbers_are_classes_by_size() -> None:
    from tracetune.estimators.labelled import class_numbers

    numbers, classes = class_numbers([10, 2.0, 10, 1], 4, None)
    assert classes == ["1", "2", "10"]
    assert numbers.tolist() == [2, 1, 2, 0]
    assert class_numbers(["1.0", "10", "2.00"], 3, classes)[0].tolist() == [0, 2, 1]  # as other programs write them
    with pytest.raises(InputError, match=r"found '1\.5' too"):
        class_numbers(["1.5"], 1, classes)
