"""The head's phase: a closed-form start is never lost, with and without a cache."""

from dataclasses import replace
from pathlib import Path

import pytest
import torch

from tests.tiny import HORIZON, seasonal_frame, tiny_forecast_model
from tracetune import FitConfig, HeadConfig, InputError, TrainingConfig
from tracetune.data.frames import panel_from_frame
from tracetune.data.splits import fit_split
from tracetune.estimators.head_phase import train_head
from tracetune.heads.ridge import fit_ridge
from tracetune.tasks.forecast_data import ForecastData, batches, forecast_data, validation_loss
from tracetune.tasks.forecasting import frozen_features

TRAINING = TrainingConfig(max_steps=4, batch_size=16, evaluations=2, learning_rate=1e-6, head_learning_rate=1e-6)
RIDGE = FitConfig(
    method="linear_probe", head=HeadConfig("projection", beta=2), head_start="ridge", head_training=TRAINING
)


@pytest.fixture(scope="module")
def data() -> ForecastData:
    panel = panel_from_frame(seasonal_frame())
    return forecast_data(panel, fit_split(panel, HORIZON), 64, HORIZON, 1, 16, 64)


def ridge_loss(data: ForecastData) -> float:
    """Validation loss of the closed form, from features computed apart."""
    model = tiny_forecast_model()
    rows = [[frozen_features(model, batch) for batch in batches(part, 50)] for part in (data.train, data.validation)]
    assert model.head is not None
    return fit_ridge(model.head, *rows).validation_loss


@pytest.mark.parametrize("cache_bytes", [None, 0])
def test_a_ridge_start_is_at_least_the_closed_form(data: ForecastData, tmp_path: Path, cache_bytes: int | None) -> None:
    model = tiny_forecast_model()
    train_head(model, data, replace(RIDGE, cache_bytes=cache_bytes), tmp_path, "cpu", ())
    assert validation_loss(model, data.validation) <= ridge_loss(data) * (1 + 1e-4)


def test_steps_that_only_do_harm_are_taken_back(data: ForecastData, tmp_path: Path) -> None:
    wild = replace(TRAINING, head_learning_rate=3.0)
    model = tiny_forecast_model()
    train_head(model, data, replace(RIDGE, head_training=wild), tmp_path, "cpu", ())
    assert validation_loss(model, data.validation) == pytest.approx(ridge_loss(data), rel=1e-4)


def test_gradient_leaves_the_closed_form_out(data: ForecastData, tmp_path: Path) -> None:
    model = tiny_forecast_model()
    assert model.head is not None
    before = model.head.down.weight.detach().clone()  # type: ignore[union-attr]
    train_head(model, data, replace(RIDGE, head_start="gradient"), tmp_path, "cpu", ())
    torch.testing.assert_close(model.head.down.weight, before, atol=1e-3, rtol=0)  # type: ignore[union-attr]


@pytest.mark.parametrize(("head_start", "same"), [("ridge", True), ("gradient", False)])
def test_a_head_in_closed_form_trains_on_without_dropout(
    data: ForecastData, tmp_path: Path, head_start: str, same: bool
) -> None:
    model = tiny_forecast_model()
    train_head(model, data, replace(RIDGE, head_start=head_start), tmp_path, "cpu", ())
    (batch,) = batches(torch.utils.data.Subset(data.validation, range(8)), 8)
    with torch.no_grad():
        training, evaluating = model.train()(**batch).forecast, model.eval()(**batch).forecast
    assert torch.equal(training, evaluating) == same


def test_an_unknown_start_is_refused() -> None:
    with pytest.raises(InputError, match="head_start"):
        FitConfig(head_start="rigde")
