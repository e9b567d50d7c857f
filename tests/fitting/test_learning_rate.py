"""A method without a given learning rate takes its own for the task."""

import logging
from dataclasses import replace
from pathlib import Path

import pytest
import torch

from tests.fitting.short_fits import FORECASTING, fitted, short_data
from tests.tiny import CONTEXT, tiny_backbone
from tracetune import FitConfig, InputError, Lora, TrainingConfig
from tracetune.estimators.classification.config import classifier_config
from tracetune.estimators.text.fit import text_fit_config
from tracetune.fitting.config import with_method
from tracetune.fitting.fit import tune
from tracetune.fitting.learning_rate import with_rate
from tracetune.fitting.methods import METHODS
from tracetune.tasks.classification.model import Classification
from tracetune.tasks.task import LearningRates, Task, TrainingData
from tracetune.tasks.text import TextClassification
from tracetune.training.run import Run

RATE = LearningRates.weights
SERIES, TEXTS = Classification(2, 1, CONTEXT), TextClassification(2, 16)
SHORT = FitConfig(
    method="full",
    start="zero-shot",
    guard_margin=0.0,
    training=TrainingConfig(max_steps=4, batch_size=16, evaluations=2),
)


@pytest.fixture(scope="module")
def data() -> TrainingData:
    return short_data()


def at(rate: float) -> FitConfig:
    return replace(SHORT, training=replace(SHORT.training, learning_rate=rate))


@pytest.mark.parametrize(
    ("task", "config", "adapters", "weights"),
    [
        (FORECASTING, FitConfig(), 5e-4, 1.6e-4),
        (SERIES, classifier_config(), 3e-3, 5e-5),
        (TEXTS, text_fit_config("trace"), 2e-3, 5e-5),
    ],
)
def test_adapters_take_the_rate_of_the_task_and_all_weights_a_lower_one(
    task: Task, config: FitConfig, adapters: float, weights: float
) -> None:
    found = {name: with_rate(with_method(config, name), task).training.learning_rate for name in METHODS}
    assert found.pop("full") == weights
    assert found.pop("linear_probe") is None
    assert set(found.values()) == {adapters}


@pytest.mark.parametrize("given", [5e-4, "auto"])
def test_a_rate_that_is_given_stays(given: float) -> None:
    config = FitConfig(method="full", training=TrainingConfig(learning_rate=given))
    assert with_rate(config, FORECASTING) == config


def test_the_rate_that_was_taken_is_recorded_and_logged(data: TrainingData, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO, "tracetune.fitting.learning_rate")
    own = fitted(data, SHORT)
    assert f"full takes a learning rate of {RATE:g} for forecasting" in caplog.text
    assert own.record.to_json()["config"]["training"]["learning_rate"] == RATE
    given = fitted(data, at(RATE))
    assert given.record.candidates == own.record.candidates
    weights = given.model.state_dict()
    assert all(torch.equal(weight, weights[name]) for name, weight in own.model.state_dict().items())
    peak = max(entry["learning_rate"] for entry in own.record.history["full"] if "learning_rate" in entry)
    assert peak <= RATE


def test_a_run_goes_on_whether_its_rate_was_given_or_its_own(data: TrainingData, tmp_path: Path) -> None:
    first = fitted(data, SHORT, tmp_path)
    assert fitted(data, at(RATE), tmp_path).record.candidates == first.record.candidates
    with pytest.raises(InputError, match=rf"training\.learning_rate {RATE:g} there, 0\.0005 here"):
        fitted(data, at(5e-4), tmp_path)


def test_what_trains_without_a_guard_takes_it_too(data: TrainingData, monkeypatch: pytest.MonkeyPatch) -> None:
    taken = []
    adapt = Lora.adapt
    monkeypatch.setattr(
        Lora, "adapt", lambda method, *given: taken.append(given[-1].learning_rate) or adapt(method, *given)
    )
    with Run.at(None) as run:
        tune(FORECASTING, tiny_backbone(), data, replace(SHORT, method=Lora()), run)
    assert taken == [5e-4]


def test_without_a_method_a_rate_has_to_be_given() -> None:
    with pytest.raises(InputError, match="a number for learning_rate, found None: no method says its own here"):
        TrainingConfig().only_rate()
