"""Classifier end to end on a tiny model: fit, predict, evaluate, save and load, from arrays and tables."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from tests.tiny import save_tiny
from tracetune import Classifier, FitConfig, InputError, Trace, TrainingConfig
from tracetune.selection.schedule import SelectionConfig

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
def base(tmp_path_factory: pytest.TempPathFactory) -> Classifier:
    return Classifier.from_pretrained(save_tiny(tmp_path_factory.mktemp("base")), device="cpu")


@pytest.fixture(scope="module")
def tuned(base: Classifier) -> Classifier:
    selection = SelectionConfig(
        keep=4, warmup_steps=1, final_step=4, interval=1, scoring_batches=1, batch_size=16, cost_share=1.0
    )
    training = TrainingConfig(max_steps=6, batch_size=16, evaluations=2, learning_rate=2e-3)
    return base.fit(*series(60), FitConfig(method=Trace(selection), head_training=training, training=training))


def test_it_learns_and_gives_probabilities(tuned: Classifier) -> None:
    values, labels = series(40, seed=1)
    probabilities = tuned.predict(values)
    assert probabilities.shape == (40, 2)
    np.testing.assert_allclose(probabilities.sum(axis=1), 1.0)
    assert (tuned.classify(values) == labels).mean() > 0.9
    measured = tuned.evaluate(values, labels).set_index("classifier")
    assert measured.loc["model", "accuracy"] == (tuned.classify(values) == labels).mean()
    truth = probabilities[np.arange(40), [NAMES.index(label) for label in labels]]
    assert measured.loc["model", "log_loss"] == pytest.approx(-np.log(truth).mean())
    assert measured.loc["most frequent class", ["accuracy", "log_loss"]].tolist() == pytest.approx([0.5, np.log(2)])
    assert [each["name"] for each in tuned.trace["candidates"]] == ["head", "trace"]


def test_saved_and_loaded_probabilities_are_equal(tuned: Classifier, tmp_path: Path) -> None:
    values, _ = series(10, seed=2)
    tuned.save_pretrained(tmp_path / "run")
    loaded = Classifier.from_pretrained(tmp_path / "run", device="cpu")
    assert loaded.classes == tuned.classes == NAMES
    np.testing.assert_array_equal(loaded.predict(values), tuned.predict(values))
    assert json.loads((tmp_path / "run" / "trace.json").read_text())["task"] == "classification"
    assert "Classifier.from_pretrained" in (tmp_path / "run" / "README.md").read_text()
    with pytest.raises(InputError, match="fine-tuned for context_length=64"):
        Classifier.from_pretrained(tmp_path / "run", context_length=32)


def test_tables_are_classified_item_by_item(base: Classifier) -> None:
    tuned = base.fit(table(40), method="linear_probe", target=["a", "b"])
    test = table(20, seed=1)
    found = tuned.predict_df(test, target=["a", "b"])
    assert list(found.columns) == ["item_id", "predictions", "fast", "slow"]
    assert found["item_id"].tolist() == [f"s{index}" for index in range(20)]
    accuracy = (found["predictions"] == [NAMES[index % 2] for index in range(20)]).mean()
    assert accuracy > 0.8
    assert tuned.evaluate(test, target=["a", "b"])["accuracy"][0] == accuracy
    renamed = test.rename(columns={"item_id": "who", "label": "kind"})
    again = tuned.predict_df(renamed, label_column="kind", id_column="who", target=["a", "b"])
    assert again["predictions"].tolist() == found["predictions"].tolist()


@pytest.mark.parametrize(
    ("values", "labels", "message"),
    [
        (series(4)[0], ["a"] * 4, "at least two classes, found only 'a'"),
        (series(4)[0], ["a", "b"], "a label for each of 4 series, found 2"),
        (series(4)[0], ["a", "b", None, "a"], "found none for series 2"),
        (series(4)[0], None, "Expected labels"),
        ([np.ones((2, 9)), np.ones((3, 9))], ["a", "b"], "Expected 2 channels in series 1, found 3"),
        (np.ones((4, 9)), [0, 1, 0, 1], r"shape \[channels, steps\], found \[9\]"),
        ([np.full((1, 5), np.nan)], ["a"], "no value at all"),
        ([], [], "at least one series"),
    ],
)
def test_unusable_samples_are_refused(base: Classifier, values: Any, labels: Any, message: str) -> None:
    with pytest.raises(InputError, match=message):
        base.fit(values, labels)


def test_wrong_use_is_refused(base: Classifier, tuned: Classifier, tmp_path: Path) -> None:
    values, labels = series(4)
    with pytest.raises(InputError, match="Call fit first"):
        base.predict(values)
    with pytest.raises(InputError, match="Call fit first"):
        base.save_pretrained(tmp_path / "nothing")
    with pytest.raises(InputError, match="the classes fast, slow, found medium too"):
        tuned.evaluate(values, ["medium", *labels[1:]])
    with pytest.raises(InputError, match="Expected 2 channels in series 0, found 1"):
        tuned.predict([np.ones((1, 9))])
    with pytest.raises(InputError, match="fine-tuned already"):
        tuned.fit(values, labels)
    frame = table(4)
    with pytest.raises(InputError, match="labels in a column 'kind'"):
        base.fit(frame, label_column="kind")
    frame.loc[0, "label"] = "slow"
    with pytest.raises(InputError, match="one label an item, found 2 for item 's0'"):
        base.fit(frame)
    assert not (tmp_path / "nothing").exists()


def test_numbers_are_classes_by_size() -> None:
    from tracetune.estimators.labelled import class_numbers

    numbers, classes = class_numbers([10, 2.0, 10, 1], 4, None)
    assert classes == ["1", "2", "10"]
    assert numbers.tolist() == [2, 1, 2, 0]
