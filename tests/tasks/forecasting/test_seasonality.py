"""Seasonal adjustment of contexts: classical decomposition, and only where there is a season."""

import numpy as np
import pytest
import torch
from statsmodels.tsa.seasonal import seasonal_decompose

from tests.tiny import tiny_backbone
from tracetune.heads.config import HeadConfig
from tracetune.tasks.forecasting.adjustment import Adjustment
from tracetune.tasks.forecasting.model import ForecastModel
from tracetune.tasks.forecasting.seasonality import repeat_season, seasonal_component


def seasonal(length: int, season: int, seed: int = 0) -> np.ndarray:
    rng = np.random.default_rng(seed)
    wave = np.tile(rng.normal(size=season), length // season + 1)[:length]
    return 0.02 * np.arange(length) + 2 * wave + 0.3 * rng.normal(size=length)


@pytest.mark.parametrize("season", [4, 7, 12])
@pytest.mark.parametrize("length", [60, 65])
def test_the_component_is_that_of_classical_decomposition(season: int, length: int) -> None:
    values = seasonal(length, season)
    expected = seasonal_decompose(values, model="additive", period=season).seasonal
    padded = torch.zeros(1, 2, 80, dtype=torch.float64)
    padded[0, 1, -length:] = torch.from_numpy(values)
    observed = torch.zeros(1, 2, 80)
    observed[0, 1, -length:] = 1
    component = seasonal_component(padded, observed, season)
    steps = repeat_season(component, torch.arange(-length, 0))
    np.testing.assert_allclose(steps[0, 1], expected, atol=1e-9)
    assert not component[0, 0].any()  # nothing observed


def test_noise_trends_and_less_than_three_seasons_have_no_season() -> None:
    rows = np.stack([np.random.default_rng(3).normal(size=48), np.arange(48.0), np.ones(48)])
    values = torch.from_numpy(rows)[None]
    assert not seasonal_component(values, torch.ones_like(values), 12).any()
    short = torch.from_numpy(seasonal(35, 12))[None, None]
    assert not seasonal_component(short, torch.ones_like(short), 12).any()


def test_missing_steps_are_left_out() -> None:
    values = torch.from_numpy(seasonal(96, 6))[None, None]
    whole = seasonal_component(values, torch.ones_like(values), 6)
    observed = torch.ones_like(values)
    observed[..., 40:44] = 0
    gappy = seasonal_component(torch.where(observed > 0, values, 1e6), observed, 6)
    assert (whole - gappy).abs().max() < 0.2


@pytest.mark.parametrize("resolution", [1, (1, 3)])
def test_a_head_begins_with_the_zero_shot_forecast(resolution: int | tuple[int, ...]) -> None:
    past = torch.from_numpy(seasonal(40, 5)).float()[None, None]
    backbone = tiny_backbone()
    torch.nn.init.zeros_(backbone.token_to_patch.bias)
    head = HeadConfig("projection", 2, tokens="future")
    with torch.no_grad():
        zero_shot = (
            ForecastModel.from_backbone(backbone, 5, resolution=resolution, adjustment=Adjustment(season=5))
            .eval()(past)
            .forecast
        )
        plain = ForecastModel.from_backbone(backbone, 5, resolution=resolution).eval()(past).forecast
        model = ForecastModel.from_backbone(
            backbone, 5, head, resolution=resolution, adjustment=Adjustment(season=5)
        ).eval()
        torch.testing.assert_close(model(past).forecast, zero_shot, rtol=1e-4, atol=1e-4)
        features = model.features(
            {"past_values": past, "input_mask": torch.ones_like(past), "future_values": zero_shot + 1,
             "future_mask": torch.ones(1, 1, 5)}
        )  # fmt: skip
        assert model.head is not None
        loss = model.loss(model.head(features["tokens"]), features).loss
    assert (zero_shot - plain).abs().max() > 0.1
    torch.testing.assert_close(loss, torch.tensor(1.0), rtol=1e-3, atol=1e-3)
