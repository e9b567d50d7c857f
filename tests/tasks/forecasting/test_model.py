"""Forecast models: shapes, losses, missing values, contexts of other lengths, heads on cached features."""

import pytest
import torch

from tests.tiny import HORIZON, tiny_backbone, tiny_forecast_model
from tracetune.base.errors import InputError
from tracetune.tasks.forecasting.losses import squared_error_per_sample
from tracetune.tasks.forecasting.model import ForecastModel


def windows(batch: int = 5) -> dict[str, torch.Tensor]:
    series = torch.randn(batch, 1, 64 + HORIZON).cumsum(-1)
    return {
        "past_values": series[..., :64],
        "input_mask": torch.ones(batch, 1, 64),
        "future_values": series[..., 64:],
        "future_mask": torch.ones(batch, 1, HORIZON),
    }


def test_forecast_and_losses_have_their_shapes() -> None:
    output = tiny_forecast_model()(**windows())
    assert output.forecast.shape == (5, 1, HORIZON)
    assert output.scale.shape == (5, 1, 1)
    assert output.sample_losses.shape == (5,)
    torch.testing.assert_close(output.loss, output.sample_losses.mean())


def test_without_a_future_there_is_no_loss() -> None:
    batch = windows()
    output = tiny_forecast_model()(batch["past_values"])
    assert output.loss is None


def test_unobserved_future_steps_do_not_count() -> None:
    forecast, future = torch.zeros(1, 1, 4), torch.tensor([[[1.0, 2.0, 100.0, 100.0]]])
    losses = squared_error_per_sample(forecast, future, torch.tensor([[[1.0, 1.0, 0.0, 0.0]]]))
    assert losses.tolist() == [2.5]


def test_forecasts_follow_shift_and_scale_of_the_input() -> None:
    model, past = tiny_forecast_model(), windows()["past_values"]
    torch.testing.assert_close(model(past * 50 + 300).forecast, model(past).forecast * 50 + 300, rtol=1e-3, atol=1e-2)


@pytest.mark.parametrize("length", [10, 64, 100])
def test_contexts_of_other_lengths_are_padded_or_cut(length: int) -> None:
    model, past = tiny_forecast_model(), torch.randn(2, 3, length)
    assert model(past).forecast.shape == (2, 3, HORIZON)
    if length > 64:
        torch.testing.assert_close(model(past).forecast, model(past[..., -64:]).forecast)


def test_no_head_means_the_backbone_s_own_forecast() -> None:
    backbone = tiny_backbone()
    past = torch.randn(2, 1, 64)
    model = ForecastModel.from_backbone(backbone, HORIZON).eval()
    torch.testing.assert_close(model(past).forecast, backbone.forecast(past, None, HORIZON))


def test_head_and_loss_on_features_give_the_model_s_losses() -> None:
    model, batch = tiny_forecast_model(), windows()
    cached = model.loss(model.head(model.features(batch)["tokens"]), model.features(batch))
    torch.testing.assert_close(cached.sample_losses, model(**batch).sample_losses, atol=1e-6, rtol=1e-6)


def test_a_frozen_backbone_stays_in_evaluation_mode() -> None:
    model = tiny_forecast_model()
    assert model.train().backbone.training
    for parameter in model.backbone.parameters():
        parameter.requires_grad_(False)
    assert not model.train().backbone.training
    assert model.head.training


@pytest.mark.parametrize("sizes", [{"prediction_length": 0}, {"prediction_length": 3, "context_length": 0}])
def test_lengths_below_one_are_refused(sizes: dict[str, int]) -> None:
    with pytest.raises(InputError, match="of at least 1, found 0"):
        ForecastModel.from_backbone(tiny_backbone(), **sizes)
