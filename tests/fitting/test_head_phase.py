"""The head's phase: a closed-form start is never lost, with and without a cache."""

from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import torch

from tests.tiny import CONTEXT, HORIZON, seasonal_frame, tiny_forecast_model
from tracetune import FitConfig, HeadConfig, InputError, LinearProbe, TrainingConfig
from tracetune.data.reading.read import panel_from_frame
from tracetune.data.splits import fit_split
from tracetune.data.windows import batches
from tracetune.fitting import head_phase
from tracetune.fitting.head_phase import train_head
from tracetune.heads.solvers.ridge import fit_ridge
from tracetune.tasks.forecasting.data import forecast_data
from tracetune.tasks.forecasting.model import Forecasting
from tracetune.tasks.task import TrainingData
from tracetune.training.measure import validation_loss
from tracetune.training.run import Run

TRAINING = TrainingConfig(max_steps=4, batch_size=16, evaluations=2, learning_rate=1e-6, head_learning_rate=1e-6)
TASK = Forecasting(HORIZON, CONTEXT)
RIDGE = FitConfig(
    method=LinearProbe(), head=HeadConfig("projection", beta=2), head_start="solved", head_training=TRAINING
)


@pytest.fixture(scope="module")
def data() -> TrainingData:
    panel = panel_from_frame(seasonal_frame())
    return forecast_data(panel, fit_split(panel, HORIZON), 64, HORIZON, 1, 16, 64)


def ridge_loss(data: TrainingData) -> float:
    """Validation loss of the closed form, from features computed apart."""
    model = tiny_forecast_model()
    rows = [[model.features(batch) for batch in batches(part, 50)] for part in (data.train, data.validation)]
    assert model.head is not None
    return fit_ridge(model.head, *rows).validation_loss


@pytest.mark.parametrize("cache_bytes", [None, 0])
def test_a_ridge_start_is_at_least_the_closed_form(data: TrainingData, tmp_path: Path, cache_bytes: int | None) -> None:
    model = tiny_forecast_model()
    train_head(TASK, model, data, replace(RIDGE, cache_bytes=cache_bytes), Run(tmp_path))
    assert validation_loss(model, data.validation) <= ridge_loss(data) * (1 + 1e-4)


def test_steps_that_only_do_harm_are_taken_back(data: TrainingData, tmp_path: Path) -> None:
    wild = replace(TRAINING, head_learning_rate=3.0)
    model = tiny_forecast_model()
    train_head(TASK, model, data, replace(RIDGE, head_training=wild), Run(tmp_path))
    assert validation_loss(model, data.validation) == pytest.approx(ridge_loss(data), rel=1e-4)


def test_gradient_leaves_the_closed_form_out(data: TrainingData, tmp_path: Path) -> None:
    model = tiny_forecast_model()
    assert model.head is not None
    before = model.head.down.weight.detach().clone()  # type: ignore[union-attr]
    train_head(TASK, model, data, replace(RIDGE, head_start="gradient"), Run(tmp_path))
    moved = (model.head.down.weight - before).abs().max()  # type: ignore[union-attr]
    assert 0 < moved < 1e-3  # by a few small steps; the closed form is elsewhere
    solved = tiny_forecast_model()
    train_head(TASK, solved, data, RIDGE, Run(tmp_path / "solved"))
    assert (solved.head.down.weight - before).abs().max() > 100 * moved  # type: ignore[union-attr]


@pytest.mark.parametrize(("head_start", "same"), [("solved", True), ("gradient", False)])
def test_a_head_in_closed_form_trains_on_without_dropout(
    data: TrainingData, tmp_path: Path, head_start: str, same: bool
) -> None:
    model = tiny_forecast_model()
    train_head(TASK, model, data, replace(RIDGE, head_start=head_start), Run(tmp_path))
    (batch,) = batches(torch.utils.data.Subset(data.validation, range(8)), 8)
    with torch.no_grad():
        training, evaluating = model.train()(**batch).forecast, model.eval()(**batch).forecast
    assert torch.equal(training, evaluating) == same


def test_an_unknown_start_is_refused() -> None:
    with pytest.raises(InputError, match="head_start"):
        FitConfig(head_start="slovd")


def test_a_step_without_any_loss_is_not_taken_back(data: TrainingData, monkeypatch: pytest.MonkeyPatch) -> None:
    model = tiny_forecast_model()
    assert model.head is not None
    solution = 0.5, {name: torch.zeros_like(weight) for name, weight in model.head.state_dict().items()}
    perfect = SimpleNamespace(state=SimpleNamespace(best_metric=0.0, log_history=[]))
    monkeypatch.setattr(head_phase, "build_trainer", lambda *given, **options: perfect)
    monkeypatch.setattr(head_phase, "train", lambda trainer: None)
    head_phase._descend(model, model, data, RIDGE, Run(Path()), solution)
    assert any(weight.any() for weight in model.head.parameters())


@pytest.mark.parametrize(
    ("training", "features"),
    [
        ({"max_steps": 2}, 32),
        ({"max_steps": 4}, 64),
        ({"max_steps": 40}, None),
        ({"epoch_windows": 16, "num_train_epochs": 10, "max_steps": -1}, 20),
        ({"epoch_windows": 30, "num_train_epochs": 10, "max_steps": -1}, 30),
        ({"epoch_windows": "all", "num_train_epochs": 10, "max_steps": -1}, None),
    ],
)
def test_of_very_many_samples_as_many_are_read_as_the_training_sees_or_an_epoch_has(
    data: TrainingData, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, training: dict[str, Any], features: int | None
) -> None:
    monkeypatch.setattr(head_phase, "_MANY", 20)
    model, read = tiny_forecast_model(), []
    computed = model.features
    monkeypatch.setattr(model, "features", lambda batch: read.append(len(batch["past_values"])) or computed(batch))
    train_head(TASK, model, data, replace(RIDGE, head_training=replace(TRAINING, **training)), Run(tmp_path))
    assert sum(read) - len(data.validation) == (len(data.train) if features is None else features)
