"""A method trains at one learning rate; or several are tried, and what does best on validation competes."""

import logging
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch

from tests.fitting.short_fits import FORECASTING, fitted, short_data
from tests.tiny import tiny_backbone
from tracetune import AdaLora, FitConfig, Full, InputError, SelectionConfig, Trace, TrainingConfig
from tracetune.adapters.options import AdaLoraOptions
from tracetune.fitting import learning_rate, method_phase
from tracetune.fitting.candidates import Candidates
from tracetune.fitting.fit import tune
from tracetune.fitting.learning_rate import AUTO_RATES
from tracetune.fitting.methods import Method
from tracetune.fitting.trained import MethodReport, Shrinkage, TrainedAdapters, TriedRate
from tracetune.tasks.task import TrainingData
from tracetune.training.run import Run

AUTO = FitConfig(
    method="lora",
    start="zero-shot",
    guard_margin=0.0,
    training=TrainingConfig(max_steps=16, batch_size=16, evaluations=2, learning_rate="auto"),
)


@pytest.fixture(scope="module")
def data() -> TrainingData:
    return short_data()


def at(rate: float, **settings: Any) -> FitConfig:
    return replace(AUTO, training=replace(AUTO.training, learning_rate=rate, **settings))


def test_the_rate_that_is_best_after_a_quarter_trains_for_all_steps(
    data: TrainingData, monkeypatch: pytest.MonkeyPatch
) -> None:
    tuned, seconds = method_phase._tuned, iter((1.0, 2.0, 4.0, 8.0))
    with monkeypatch.context() as clock:
        clock.setattr(method_phase, "_tuned", lambda *given: replace(tuned(*given), seconds=next(seconds)))
        auto = fitted(data, AUTO)
    *tried, whole = auto.record.validation["learning_rates"]
    assert [(each["learning_rate"], each["steps"]) for each in tried] == [(rate, 4) for rate in AUTO_RATES]
    best = min(tried, key=lambda each: each["validation_loss"])
    assert (whole["learning_rate"], whole["steps"], whole["taken"]) == (best["learning_rate"], 16, True)
    alone = fitted(data, at(best["learning_rate"]))
    assert alone.record.candidates == auto.record.candidates
    assert alone.record.validation | {"learning_rates": []} == auto.record.validation | {"learning_rates": []}
    assert alone.record.validation["learning_rates"] == []
    weights = alone.model.state_dict()
    assert all(torch.equal(weight, weights[name]) for name, weight in auto.model.state_dict().items())
    short = fitted(data, at(tried[0]["learning_rate"], max_steps=4)).record
    assert short.candidates[-1]["validation_loss"] == tried[0]["validation_loss"]
    taken = [each["taken"] for each in (*tried, whole)].index(True)
    assert auto.record.seconds["learning_rates"] == 15.0 - (1.0, 2.0, 4.0, 8.0)[taken]
    assert auto.record.to_json()["seconds"].keys() == {"lora", "learning_rates"}


def test_a_short_training_competes_where_the_whole_one_is_worse(
    data: TrainingData, monkeypatch: pytest.MonkeyPatch
) -> None:
    tuned = method_phase._tuned

    def diverging(candidates: Candidates, data: TrainingData, config: FitConfig, run: Run) -> Any:
        found = tuned(candidates, data, config, run)
        return replace(found, rate=replace(found.rate, validation_loss=None)) if run.folder.name == "lora" else found

    monkeypatch.setattr(learning_rate, "AUTO_RATES", (8e-3,))
    monkeypatch.setattr(method_phase, "_tuned", diverging)
    found = fitted(data, AUTO).record
    short, whole = found.validation["learning_rates"]
    assert (short["taken"], whole["taken"], whole["validation_loss"]) == (True, False, None)
    assert found.candidates[-1]["validation_loss"] == short["validation_loss"]


@pytest.mark.parametrize("whole_is_taken", [True, False])
def test_nobody_is_told_to_train_longer_where_that_was_worse(
    data: TrainingData, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture, whole_is_taken: bool
) -> None:
    rates = (TriedRate(8e-3, 4, 1.0, taken=not whole_is_taken), TriedRate(8e-3, 16, 1.0, taken=whole_is_taken))
    losses = np.ones(len(data.validation))
    trained = TrainedAdapters([], 0.0, 0, MethodReport(), {}, rates=rates)
    tuned = SimpleNamespace(
        model=None, losses=losses, shrinkage=Shrinkage(8 / 3, losses, {}, ended_early=True), trained=trained
    )
    monkeypatch.setattr(method_phase, "_at_best_rate", lambda *_: tuned)
    with Run.at(None) as run:
        method_phase.add_tuned(Candidates(data), data, AUTO, run)
    assert ("Train longer" in caplog.text) == whole_is_taken


def test_what_selection_says_is_not_said_for_every_rate(
    data: TrainingData, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    selection = logging.getLogger("tracetune.selection.rounds.plan")

    def tuned(candidates: Candidates, data: TrainingData, config: FitConfig, run: Run) -> Any:
        selection.warning("Choosing modules takes a while.")
        return SimpleNamespace(rate=TriedRate(config.training.only_rate(), 4, 1.0))

    monkeypatch.setattr(method_phase, "_tuned", tuned)
    with Run.at(None) as run:
        assert len(list(method_phase.trials(Candidates(data), data, AUTO, run))) == len(AUTO_RATES)
    assert "Choosing modules" not in caplog.text
    selection.warning("Choosing modules takes a while.")
    assert "Choosing modules" in caplog.text


SELECTION = SelectionConfig(keep=5, cost_share=1.0, scoring_batches=2, batch_size=16)


@pytest.mark.parametrize("method", [Trace(SELECTION), AdaLora(AdaLoraOptions(init_r=3, target_r=2)), Full()])
def test_every_method_tries_rates_and_goes_on_from_checkpoints(
    data: TrainingData, method: Method, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(learning_rate, "AUTO_RATES", (5e-4, 8e-3))
    config = replace(AUTO, method=method, training=replace(AUTO.training, max_steps=12))
    first = fitted(data, config, tmp_path)
    rates = Full.auto_rates if isinstance(method, Full) else (5e-4, 8e-3)
    assert {path.name for path in tmp_path.glob("*/")} >= {method.name, *(f"rate-{rate:g}" for rate in rates)}
    again = fitted(data, config, tmp_path)
    assert again.record.candidates == first.record.candidates
    assert again.record.validation == first.record.validation
    weights = first.model.state_dict()
    assert all(torch.equal(weight, weights[name]) for name, weight in again.model.state_dict().items())
    with pytest.raises(InputError, match=r"training\.learning_rate 'auto' there, 0\.0005 here"):
        fitted(data, replace(config, training=replace(config.training, learning_rate=5e-4)), tmp_path)


def test_a_quarter_that_is_too_short_for_the_method_is_refused_before_any_training(data: TrainingData) -> None:
    late = Trace(SelectionConfig(warmup_steps=5, final_step=8))
    with pytest.raises(
        InputError, match=r"learning_rate='auto' tries each rate for 4 of the 16 steps, too few.*'trace'"
    ):
        fitted(data, replace(AUTO, method=late))


def test_what_chooses_nothing_takes_a_number(data: TrainingData) -> None:
    with Run.at(None) as run, pytest.raises(InputError, match="a number for learning_rate, found 'auto'"):
        tune(FORECASTING, tiny_backbone(), data, AUTO, run)
    assert TrainingConfig(learning_rate=1e-3).only_rate() == 1e-3
    with pytest.raises(InputError, match="learning_rate above 0, or 'auto', found 'fast'"):
        TrainingConfig(learning_rate="fast")  # type: ignore[arg-type]
