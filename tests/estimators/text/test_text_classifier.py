"""TextClassifier end to end on tiny encoders: fit, predict, evaluate, save and load, texts, pairs and tables."""

import json
import logging
import warnings
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import polars as pl
import pyarrow as pa
import pytest
import torch
from peft import PeftModel
from sklearn.metrics import f1_score, matthews_corrcoef

from tests.tiny_text import reviews, save_tiny_text
from tracetune import InputError, SelectionConfig, TextClassifier, Trace, TrainingConfig
from tracetune.backbones.text_encoder_loading import load_text_encoder
from tracetune.estimators.text.evaluation import text_scores
from tracetune.estimators.text.fit import text_fit_config
from tracetune.heads.pooled import PooledHeadConfig
from tracetune.tasks.text import TextClassification

CLASSES = ["negative", "positive"]
TRACE = Trace(SelectionConfig(keep=0.5, interval=0.3, scoring_batches=1, batch_size=16))


def quick(method: Any, rate: float = 1e-2) -> Any:
    training = TrainingConfig(num_train_epochs=8, batch_size=16, evaluations=4, learning_rate=rate)
    config = text_fit_config(method)
    return type(config)(method=config.method, head_training=training, training=training, shrink="none")


@pytest.fixture(scope="module")
def base(tmp_path_factory: pytest.TempPathFactory) -> TextClassifier:
    return TextClassifier.from_pretrained(save_tiny_text(tmp_path_factory.mktemp("bert")), device="cpu")


@pytest.fixture(scope="module")
def tuned(base: TextClassifier) -> TextClassifier:
    return base.fit(*reviews(160), quick(TRACE))


def test_it_learns_and_measures(tuned: TextClassifier) -> None:
    texts, labels = reviews(60, seed=1)
    probabilities = tuned.predict(texts)
    np.testing.assert_allclose(probabilities.sum(axis=1), 1.0)
    chosen = tuned.classify(texts)
    assert (chosen == labels).mean() > 0.75
    assert [each["name"] for each in tuned.trace["candidates"]] == ["head", "trace"]
    found = tuned.evaluate(texts, labels)
    measured = found.scores.set_index("classifier")
    assert found.accuracy == (chosen == labels).mean()
    assert found.per_class["class"].tolist() == CLASSES
    assert found.confusion.to_numpy().sum() == 60
    assert measured.loc["model", "accuracy"] == (chosen == labels).mean()
    assert measured.loc["model", "f1"] == pytest.approx(f1_score(labels, chosen, pos_label="positive"))
    assert measured.loc["model", "matthews"] == pytest.approx(matthews_corrcoef(labels, chosen))
    truth = probabilities[np.arange(60), [CLASSES.index(label) for label in labels]]
    assert measured.loc["model", "log_loss"] == pytest.approx(-np.log(truth).mean())
    assert measured.loc["most frequent class", ["accuracy", "matthews"]].tolist() == [0.5, 0]
    np.testing.assert_allclose(tuned.predict(texts[:3]), probabilities[:3], atol=1e-6)  # whatever shares the batch


@pytest.mark.parametrize(
    ("family", "method"),
    [
        ("minilm", "linear_probe"),
        ("roberta", "adalora"),
        ("distilbert", TRACE),
        ("bert", "full"),
        ("gpt2", TRACE),
        ("deberta", "lora"),
        ("esm", "lora"),
        ("layoutlm", "linear_probe"),
        ("t5", "lora"),
        ("t5", "full"),
        ("bart", "full"),
    ],
)
def test_saved_and_loaded_probabilities_are_equal(tmp_path: Path, family: str, method: Any) -> None:
    texts, labels = reviews(48)
    base = TextClassifier.from_pretrained(save_tiny_text(tmp_path / "base", family), device="cpu")
    training = TrainingConfig(max_steps=8, batch_size=16, evaluations=2, learning_rate=1e-2)
    config = type(quick("lora"))(
        method=method, head_training=training, training=training, shrink="none", guard_margin=0.0
    )
    tuned = base.fit(texts, labels, config)
    tuned.save_pretrained(tmp_path / "run")
    loaded = TextClassifier.from_pretrained(tmp_path / "run", device="cpu")
    np.testing.assert_array_equal(loaded.predict(texts), tuned.predict(texts))
    record = json.loads((tmp_path / "run" / "trace.json").read_text())
    assert (record["task"], record["classes"], record["pairs"]) == ("text", CLASSES, False)
    assert "TextClassifier.from_pretrained" in (tmp_path / "run" / "README.md").read_text()


@pytest.mark.parametrize("method", ["lora", "full"])
def test_a_model_of_the_first_layers_comes_back_as_it_was(tmp_path: Path, method: str) -> None:
    texts, labels = reviews(32)
    folder = save_tiny_text(tmp_path / "base", "minilm")
    tuned = TextClassifier.from_pretrained(folder, layers=2, device="cpu").fit(texts, labels, quick(method))
    tuned.save_pretrained(tmp_path / "run")
    loaded = TextClassifier.from_pretrained(tmp_path / "run", device="cpu")
    assert len(loaded.backbone.blocks) == 2
    np.testing.assert_array_equal(loaded.predict(texts), tuned.predict(texts))
    assert "read by the first 2 layers" in (tmp_path / "run" / "README.md").read_text()
    with pytest.raises(InputError, match="fine-tuned for layers=2"):
        TextClassifier.from_pretrained(tmp_path / "run", layers=1, device="cpu")


@pytest.mark.parametrize(("family", "layers"), [("minilm", 2), ("gpt2", None)])
def test_merged_probabilities_are_equal_and_come_back(tmp_path: Path, family: str, layers: int | None) -> None:
    texts, labels = reviews(48)
    folder = save_tiny_text(tmp_path / "base", family)
    base = TextClassifier.from_pretrained(folder, layers=layers, device="cpu")
    with pytest.raises(InputError, match="knows no classes"):
        base.merge()
    tuned = base.fit(texts, labels, replace(quick("lora"), guard_margin=0.0))
    expected = tuned.predict(texts)
    merged = tuned.merge()
    assert isinstance(tuned.model, PeftModel) and not isinstance(merged.model, PeftModel)
    np.testing.assert_allclose(merged.predict(texts), expected, atol=1e-5)
    np.testing.assert_array_equal(tuned.predict(texts), expected)  # which is as it was
    assert merged.merge() is merged
    merged.save_pretrained(tmp_path / "merged")
    loaded = TextClassifier.from_pretrained(tmp_path / "merged", device="cpu")
    np.testing.assert_array_equal(loaded.predict(texts), merged.predict(texts))
    assert (
        loaded.classes == CLASSES and loaded.evaluate(texts, labels).accuracy == tuned.evaluate(texts, labels).accuracy
    )


def test_plain_peft_loads_the_adapter(tuned: TextClassifier, tmp_path: Path) -> None:
    tuned.save_pretrained(tmp_path / "run")
    encoder = load_text_encoder(tuned.base_name)
    model = TextClassification(2, 32).model(encoder, PooledHeadConfig())
    plain = PeftModel.from_pretrained(model, str(tmp_path / "run")).eval()
    named, _ = encoder.tokenize(["a good film"], None, 32)
    with torch.no_grad():
        logits = plain(torch.tensor(named["input_ids"]), torch.ones(1, len(named["input_ids"][0]))).logits
    np.testing.assert_allclose(logits.softmax(-1), tuned.predict(["a good film"]), atol=1e-6)
    with pytest.raises(InputError, match="fine-tuned for max_length=32"):
        TextClassifier.from_pretrained(tmp_path / "run", 16)


def test_a_table_comes_back_as_its_kind_with_all_its_texts(base: TextClassifier) -> None:
    texts, labels = reviews(20)
    tuned = base.fit(texts, labels, method="linear_probe")
    frame = pd.DataFrame({"reference": range(20), "predictions": texts})
    found = tuned.predict_df(pl.from_pandas(frame), text_column="predictions")
    assert isinstance(found, pl.DataFrame)
    assert found.columns == ["reference", "predictions", "predictions_", *CLASSES]
    assert found["predictions"].to_list() == texts
    drawn = frame.sample(5, random_state=0)
    pd.testing.assert_index_equal(tuned.predict_df(drawn, text_column="predictions").index, drawn.index)
    named = drawn.rename_axis("row")  # becomes a column, as wherever tables are read
    assert tuned.predict_df(named, text_column="predictions")["row"].tolist() == drawn.index.tolist()
    arrow = tuned.predict_df(pa.Table.from_pandas(frame), text_column="predictions")
    assert isinstance(arrow, pa.Table)
    assert arrow["predictions_"].to_pylist() == found["predictions_"].to_list()


def test_f1_of_several_classes_is_that_of_scikit_learn() -> None:
    labels, chosen = np.array([0, 0, 1, 1, 1]), np.array([0, 2, 1, 1, 0])
    found = text_scores(np.eye(4)[chosen], labels)
    assert found["f1"] == pytest.approx(f1_score(labels, chosen, average="macro"))


def test_a_table_without_labels_is_asked_for_those_of_the_fit(base: TextClassifier) -> None:
    texts, labels = reviews(40)
    frame = pd.DataFrame({"review": texts, "stars": labels})
    fitted = base.fit(frame, config=quick("linear_probe"))
    with pytest.raises(InputError, match="labels in a column 'stars', as in training, found column 'review'"):
        fitted.evaluate(frame[["review"]])


def test_rare_classes_count_as_much_as_others_where_classes_are_balanced(
    base: TextClassifier, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    texts, judged = reviews(200)
    praised = np.array([label == "positive" for label in judged])
    labels = np.where(praised & (np.random.default_rng(0).uniform(size=200) < 0.3), "rare", "usual")
    with caplog.at_level(logging.WARNING):
        plain = base.fit(texts, labels, method="linear_probe")
        assert "50 texts that were held out the model names class 'usual' whatever it is given" in caplog.text
        assert "class_weights='balanced'" in caplog.text
        assert plain.trace["never_named"] == ["rare"]
        caplog.clear()
        assert plain.evaluate(texts, labels).scores["matthews"][0] == 0
        assert "On 200 texts the model names class 'usual' whatever it is given" in caplog.text
        caplog.clear()
        balanced = base.fit(texts, labels, method="linear_probe", class_weights="balanced")
        assert balanced.evaluate(texts, labels).scores["matthews"][0] > 0.2
        assert "names" not in caplog.text
    plain.save_pretrained(tmp_path / "plain")
    balanced.save_pretrained(tmp_path / "balanced")
    assert "it names class 'usual' whatever it is given" in (tmp_path / "plain" / "README.md").read_text()
    assert "whatever" not in (tmp_path / "balanced" / "README.md").read_text()
    expected = [200 / 2 / (labels == name).sum() for name in ("rare", "usual")]
    loaded = TextClassifier.from_pretrained(tmp_path / "balanced", device="cpu")
    assert loaded.trace["class_weights"] == pytest.approx(expected)
    np.testing.assert_array_equal(loaded.predict(texts), balanced.predict(texts))


def test_pairs_in_a_table_and_texts_that_are_too_long(
    base: TextClassifier, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    first, labels = reviews(40)
    second, _ = reviews(40, seed=5)
    frame = pd.DataFrame({"sentence1": first, "sentence2": second, "label": labels})
    short = TextClassifier(base.backbone, base.base_name, 12, device="cpu")
    with caplog.at_level(logging.WARNING):
        tuned = short.fit(frame, method="linear_probe")
    assert "texts in columns 'sentence1' and 'sentence2' and labels in column 'label'" in caplog.text
    assert f"{tuned.trace['data']['cut']} of 40 texts are longer than max_length=12 tokens: the rest" in caplog.text
    found = tuned.predict_df(frame.drop(columns="label"))
    assert list(found.columns) == ["sentence1", "sentence2", "predictions", *CLASSES]
    np.testing.assert_array_equal(found[CLASSES], tuned.predict(list(zip(first, second, strict=True))))
    assert tuned.evaluate(frame).scores["samples"].tolist() == [40, 40]
    tuned.save_pretrained(tmp_path / "run")
    assert TextClassifier.from_pretrained(tmp_path / "run", device="cpu").max_length == 12
    with pytest.raises(InputError, match="pairs of texts, as in training"):
        tuned.predict(first)


@pytest.mark.parametrize(
    ("texts", "labels", "message"),
    [
        (["a good film"] * 4, ["x"] * 4, "at least two classes, found only 'x'"),
        (["a good film"] * 4, ["x", "y"], "a label for each of 4 texts, found 2"),
        (["a good film"] * 4, ["x", None, "y", "x"], "found none for text 1"),
        (["a good film"] * 4, None, "Expected labels"),
        (["good", "", "bad"], ["x", "y", "x"], "row 1, found an empty one"),
        (["good", "bad"], ["x", "y"], "at least two samples of some class"),
    ],
)
def test_unusable_texts_are_refused(base: TextClassifier, texts: Any, labels: Any, message: str) -> None:
    with pytest.raises(InputError, match=message):
        base.fit(texts, labels)


def test_wrong_use_is_refused(base: TextClassifier, tuned: TextClassifier, tmp_path: Path) -> None:
    texts, labels = reviews(4)
    with pytest.raises(InputError, match="Call fit first"):
        base.predict(texts)
    with pytest.raises(InputError, match="Call fit first"):
        base.save_pretrained(tmp_path / "nothing")
    with pytest.raises(InputError, match="the classes 'negative', 'positive', found 'mixed' too"):
        tuned.evaluate(texts, ["mixed", *labels[1:]])
    with pytest.raises(InputError, match="fine-tuned already"):
        tuned.fit(texts, labels)
    with pytest.raises(InputError, match="max_length between 3 and 32"):
        TextClassifier(base.backbone, base.base_name, 64, device="cpu")
    with pytest.raises(InputError, match="single texts, as in training"):
        tuned.predict([("a", "b")])
    assert not (tmp_path / "nothing").exists()


def test_one_class_on_both_sides_is_measured_without_a_warning() -> None:
    with warnings.catch_warnings(action="error"):
        assert text_scores(np.array([[0.9, 0.1], [0.8, 0.2]]), np.array([0, 0]))["matthews"] == 0


def test_a_picture_shows_the_texts_that_it_is_least_sure_of(tuned: TextClassifier) -> None:
    texts, _ = reviews(40, seed=2)
    probabilities = tuned.predict(texts)
    drawn = tuned.plot(texts, probabilities=probabilities)
    unsure = np.argsort(probabilities.max(axis=1), kind="stable")[:6]
    assert [axes.get_title(loc="left") for axes in drawn.axes] == [texts[row] for row in unsure]
    widths = [bar.get_width() for bar in drawn.axes[0].patches]
    assert widths == pytest.approx(sorted(probabilities[unsure[0]], reverse=True))
    assert len(tuned.plot(pd.DataFrame({"text": texts[:3]})).axes) == 4  # three of them are seen
    with pytest.raises(InputError, match="A list has no columns"):
        tuned.plot(texts, text_column="text")


def test_a_class_of_one_text_trains_and_is_said(base: TextClassifier, caplog: pytest.LogCaptureFixture) -> None:
    texts, labels = reviews(40)
    with caplog.at_level(logging.WARNING):
        tuned = base.fit([*texts, "story"], [*labels, "mixed"], method="linear_probe")
    assert tuned.classes == ["mixed", *CLASSES]
    assert "Too few samples to hold one out: validation says nothing of class 'mixed'." in caplog.text


def test_classes_that_are_alike_are_said(base: TextClassifier, caplog: pytest.LogCaptureFixture) -> None:
    texts, labels = reviews(40)
    with caplog.at_level(logging.WARNING):
        labels[::5] = ["Positive "] * 8
        tuned = base.fit(texts, labels, method="linear_probe")
    assert len(tuned.classes) == 3
    assert "differ in case or white space only are taken for different: 'Positive ', 'positive'." in caplog.text


def test_texts_on_both_sides_are_said(base: TextClassifier, tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    texts, labels = reviews(40)
    texts = [f"{text} {' '.join(['end'] * number)}" for number, text in enumerate(texts)]  # all different
    others, other_labels = reviews(20, seed=3)
    with caplog.at_level(logging.WARNING):
        clean = base.fit(texts, labels, method="linear_probe")
        assert "stood among" not in caplog.text
        twice = base.fit(texts * 2, labels * 2, method="linear_probe")
    repeated = twice.trace["data"]["repeated"]
    assert repeated > 10
    assert f"{repeated} of 20 texts that were held out stood among the training texts too" in caplog.text
    clean.save_pretrained(tmp_path / "clean")
    twice.save_pretrained(tmp_path / "twice")
    assert "stood among" not in (tmp_path / "clean" / "README.md").read_text()
    assert f"{repeated} of 20 texts" in (tmp_path / "twice" / "README.md").read_text()
    loaded = TextClassifier.from_pretrained(tmp_path / "clean", device="cpu")
    caplog.clear()
    with caplog.at_level(logging.WARNING):
        loaded.evaluate(others, other_labels)
        assert "table of the fit" not in caplog.text
        loaded.evaluate([texts[3].upper() + " ", *others], [labels[3], *other_labels])
        accuracy = (loaded.classify(others) == other_labels).mean()
        assert "1 of 21 texts stood in the table of the fit: scores are optimistic by them." in caplog.text
        assert f"Accuracy on the other 20: {accuracy:.4g}" in caplog.text
        loaded.evaluate(texts, labels)
        assert "40 of 40 texts stood in the table of the fit: scores say nothing of other texts" in caplog.text


def test_unknown_options_of_reading_are_refused(base: TextClassifier) -> None:
    with pytest.raises(TypeError, match="columm"):
        base.scored_modules(["a", "b"] * 8, [0, 1] * 8, columm="text")


def test_importance_refuses_settings_that_it_does_not_read(base: TextClassifier) -> None:
    with pytest.raises(InputError, match="validation='last' changes nothing for texts"):
        base.scored_modules(["a", "b"] * 8, [0, 1] * 8, replace(text_fit_config("lora"), validation="last"))


def test_texts_that_the_tokenizer_cannot_read_are_said(
    base: TextClassifier, tuned: TextClassifier, caplog: pytest.LogCaptureFixture
) -> None:
    tuned.predict(["good film", "the story is dull"])
    assert "cannot read" not in caplog.text
    tuned.predict(["good film", "это было прекрасно", "🙂🙂", "good"])
    assert "The tokenizer cannot read 2 of 4 texts" in caplog.text


def test_the_first_token_of_a_decoder_is_no_text(tmp_path: Path) -> None:
    decoder = TextClassifier.from_pretrained(save_tiny_text(tmp_path, "gpt2"), device="cpu")
    config = replace(quick("linear_probe"), head=PooledHeadConfig("first"))
    with pytest.raises(InputError, match="pooling='mean' with a decoder \\(GPT2Model\\), found 'first'"):
        decoder.fit(*reviews(40), config)
