"""Classification: losses, solved heads, resampling, and the same fit as forecasting, which knows neither."""

from typing import Any

import numpy as np
import pytest
import torch
from sklearn.linear_model import LogisticRegression

from tests.tiny import CONTEXT, tiny_backbone
from tracetune.base.errors import InputError
from tracetune.fitting.config import FitConfig
from tracetune.fitting.fit import fit
from tracetune.fitting.methods import METHODS, Lora, Trace
from tracetune.fitting.run import Run
from tracetune.heads.classification import ClassificationHead, ClassificationHeadConfig
from tracetune.heads.head import Head
from tracetune.heads.logistic import INVERSE_PENALTIES, fit_logistic
from tracetune.selection.schedule import SelectionConfig
from tracetune.tasks.classification import Classification, LabelledSeries, labelled_data, resampled, split_samples
from tracetune.training.measure import sample_losses
from tracetune.training.trainer import TrainingConfig

CLASSES, CHANNELS = 3, 2


def waves(samples: int, seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    """Sines of three periods with noise, in two channels."""
    rng = np.random.default_rng(seed)
    labels = np.arange(samples) % CLASSES
    steps = np.arange(CONTEXT)
    phase = rng.uniform(0, 6.28, (samples, CHANNELS, 1))
    values = np.sin(2 * np.pi * steps / (8 * 2.0 ** labels[:, None, None]) + phase)
    return (values + 0.3 * rng.normal(size=values.shape)).astype(np.float32), labels


def tiny_classifier() -> Any:
    torch.manual_seed(1)
    return Classification(CLASSES, CHANNELS, CONTEXT).model(tiny_backbone(), ClassificationHeadConfig()).eval()


def test_losses_are_cross_entropies_of_the_logits() -> None:
    values, labels = map(torch.from_numpy, waves(6))
    output = tiny_classifier()(values, labels)
    assert output.logits.shape == (6, CLASSES)
    expected = -output.logits.log_softmax(-1)[torch.arange(6), labels]
    torch.testing.assert_close(output.sample_losses, expected)
    torch.testing.assert_close(output.loss, expected.mean())


def test_level_and_deviation_reach_the_head() -> None:
    """A backbone sees neither: two series that differ in them alone would be one."""
    model, (values, _) = tiny_classifier(), waves(1)
    one = torch.from_numpy(values)
    with torch.no_grad():
        assert not torch.allclose(model(one).logits, model(5 * one).logits, atol=1e-4)
        assert not torch.allclose(model(one).logits, model(one + 3).logits, atol=1e-4)


def test_a_solved_head_is_scikit_learns_logistic_regression() -> None:
    generator = torch.Generator().manual_seed(0)
    batches = [
        {"tokens": torch.randn(40, CHANNELS, 4, 3, generator=generator), "labels": torch.arange(40) % CLASSES}
        for _ in range(2)
    ]
    head = ClassificationHead(CHANNELS, 3, CLASSES).eval()
    found = fit_logistic(head, batches[:1], batches[1:])
    tokens = batches[0]["tokens"]
    features = torch.cat([tokens.mean(2), tokens.amax(2)], dim=1).flatten(1).double().numpy()
    standard = (features - features.mean(0)) / features.std(0)
    reference = LogisticRegression(C=found.inverse_penalty, max_iter=2000).fit(standard, batches[0]["labels"])
    with torch.no_grad():
        ours = head(tokens).softmax(-1)
    np.testing.assert_allclose(ours, reference.predict_proba(standard), atol=1e-4)
    assert found.validation_loss == min(found.losses)
    assert len(found.losses) == len(INVERSE_PENALTIES)
    assert isinstance(head, Head)


def test_two_classes_share_one_logit() -> None:
    generator = torch.Generator().manual_seed(0)
    labels = torch.arange(30) % 2
    tokens = torch.randn(30, 1, 4, 3, generator=generator) + labels[:, None, None, None]
    head = ClassificationHead(1, 3, 2).eval()
    found = fit_logistic(head, [{"tokens": tokens, "labels": labels}], [{"tokens": tokens, "labels": labels}])
    with torch.no_grad():
        loss = torch.nn.functional.cross_entropy(head(tokens), labels).item()
    assert loss == pytest.approx(found.validation_loss, rel=1e-4)
    assert loss < 0.3


def test_a_class_that_nothing_trains_is_refused() -> None:
    batch = [{"tokens": torch.randn(4, 1, 4, 3), "labels": torch.zeros(4, dtype=torch.int64)}]
    with pytest.raises(InputError, match=r"found none of \[1\]"):
        fit_logistic(ClassificationHead(1, 3, 2), batch, batch)


def test_series_of_any_length_fill_the_context() -> None:
    short, gaps = np.array([[0.0, 1.0, 2.0]]), np.array([[0.0, np.nan, np.nan, 3.0, 4.0]])
    found = resampled([short, gaps], 5)
    np.testing.assert_allclose(found[:, 0], [[0, 0.5, 1, 1.5, 2], [0, 1, 2, 3, 4]])
    assert np.isnan(resampled([np.full((1, 3), np.nan)], 5)).all()


def test_every_class_trains_and_all_but_single_samples_validate() -> None:
    labels = np.array([0] * 10 + [1] * 2 + [2])
    train, validation = split_samples(labels, 0.2, seed=0)
    assert np.bincount(labels[train]).tolist() == [8, 1, 1]
    assert np.bincount(labels[validation], minlength=3).tolist() == [2, 1, 0]
    assert sorted([*train, *validation]) == list(range(13))
    with pytest.raises(InputError, match="one of each"):
        split_samples(np.arange(3), 0.2, seed=0)


SELECTION = SelectionConfig(
    keep=5, warmup_steps=1, final_step=4, interval=1, scoring_batches=1, batch_size=16, cost_share=1.0
)


@pytest.mark.parametrize("method", [Trace(SELECTION), Lora(), METHODS["linear_probe"](), METHODS["full"]()])
def test_the_fit_knows_no_task(method: Any) -> None:
    values, labels = waves(90)
    data = labelled_data(values, labels, 0.3, seed=0)
    training = TrainingConfig(max_steps=6, batch_size=16, evaluations=2, learning_rate=5e-3)
    config = FitConfig(method=method, head_training=training, training=training)
    task = Classification(CLASSES, CHANNELS, CONTEXT)
    with Run.at(None) as run:
        fitted = fit(task, tiny_backbone(), data, config, run)
    record = fitted.record.to_json()
    names = ["head"] if method.name == "linear_probe" else ["head", method.name]
    assert [each["name"] for each in record["candidates"]] == names
    losses = {each["name"]: each["validation_loss"] for each in record["candidates"]}
    assert losses[record["winner"]] < 0.5 * np.log(CLASSES)
    if method.name == "trace":
        assert len(record["selection"]["kept"]) == 5
    test = LabelledSeries(*waves(60, seed=1))
    assert sample_losses(fitted.model, test).mean() < 0.6 * np.log(CLASSES)


def test_another_task_s_start_or_head_is_refused() -> None:
    values, labels = waves(30)
    data = labelled_data(values, labels, 0.3, seed=0)
    task = Classification(CLASSES, CHANNELS, CONTEXT)
    with Run.at(None) as run, pytest.raises(InputError, match="'zero-shot'"):
        fit(task, tiny_backbone(), data, FitConfig(method=Lora(), start="zero-shot"), run)
