"""Series read at a finer resolution: stretched, forecast, and every k-th point taken."""

import numpy as np
import pytest
import torch

from tests.tiny import CONTEXT, HORIZON, tiny_backbone
from tracetune.base.errors import InputError
from tracetune.heads.config import HeadConfig
from tracetune.tasks.forecasting.model import ForecastModel
from tracetune.tasks.forecasting.resolution import checked_resolutions, longest_resolution, stretch


def stretched(values: list[float], resolution: int) -> tuple[list[float], list[float]]:
    row = torch.tensor(values).reshape(1, 1, -1)
    points, observed = stretch(row.nan_to_num(), (~row.isnan()).float(), resolution)
    return points.flatten().tolist(), observed.flatten().tolist()


def test_points_lie_on_straight_lines_and_end_with_the_last_step() -> None:
    values = np.random.default_rng(0).normal(size=9)
    points, observed = stretched(values.tolist(), 4)
    expected = np.interp(np.arange(3, 36), np.arange(9) * 4 + 3, values)
    np.testing.assert_allclose(points[3:], expected, rtol=1e-5)
    assert observed == [0.0] * 3 + [1.0] * 33
    assert points[3::4] == torch.tensor(values, dtype=torch.float32).tolist()


def test_points_beside_a_missing_step_are_missing() -> None:
    points, observed = stretched([1.0, float("nan"), 3.0, 5.0], 2)
    assert observed == [0, 1, 0, 0, 0, 1, 1, 1]
    assert points == [0, 1, 0, 0, 0, 3, 4, 5]


def test_resolution_1_is_the_series_as_it_is() -> None:
    past = torch.randn(3, 1, CONTEXT)
    plain = ForecastModel.from_backbone(tiny_backbone(), HORIZON).eval()
    one = ForecastModel.from_backbone(tiny_backbone(), HORIZON, resolution=1).eval()
    with torch.no_grad():
        assert torch.equal(plain(past).forecast, one(past).forecast)
        assert torch.equal(plain(past).forecast, tiny_backbone().forecast(past, None, HORIZON))


def test_every_kth_point_is_the_forecast_of_a_step() -> None:
    past = torch.randn(2, 1, 10).cumsum(-1)
    model = ForecastModel.from_backbone(tiny_backbone(), 6, resolution=3).eval()
    points = np.stack([np.interp(np.arange(28) / 3, np.arange(10), row[0]) for row in past.numpy()])
    padded = torch.full((2, 1, CONTEXT), torch.nan)
    padded[:, 0, -28:] = torch.from_numpy(points)
    with torch.no_grad():
        expected = tiny_backbone().forecast(padded, None, 18)[..., 2::3]
        torch.testing.assert_close(model(past).forecast, expected, rtol=1e-4, atol=1e-4)


def test_forecasts_of_several_resolutions_are_averaged() -> None:
    past = torch.randn(2, 1, 12).cumsum(-1)
    single = [ForecastModel.from_backbone(tiny_backbone(), 6, None, 20, "", k).eval() for k in (1, 2, 4)]
    model = ForecastModel.from_backbone(tiny_backbone(), 6, None, 20, "", (4, 1, 2)).eval()
    with torch.no_grad():
        expected = torch.stack([one(past).forecast for one in single]).mean(0)
        torch.testing.assert_close(model(past).forecast, expected)
        assert torch.equal(model(past).scale, single[0](past).scale)


@pytest.mark.parametrize("tokens", ["all", "future"])
@pytest.mark.parametrize(("kind", "beta"), [("flatten", 1), ("projection", 2), ("convolution", 2)])
@pytest.mark.parametrize("resolution", [3, (1, 2, 5)])
def test_a_head_begins_with_the_zero_shot_forecast(
    kind: str, beta: int, tokens: str, resolution: int | tuple[int, ...]
) -> None:
    past, backbone = torch.randn(3, 1, 30).cumsum(-1), tiny_backbone()
    torch.nn.init.zeros_(backbone.token_to_patch.bias)  # of which several resolutions make an average scale
    head = HeadConfig(kind, beta, tokens=tokens)
    with torch.no_grad():
        zero_shot = ForecastModel.from_backbone(backbone, 5, resolution=resolution).eval()(past).forecast
        model = ForecastModel.from_backbone(backbone, 5, head, resolution=resolution).eval()
        torch.testing.assert_close(model(past).forecast, zero_shot, rtol=1e-4, atol=1e-4)
    assert model.kept_directions is not None


def test_losses_are_those_of_the_steps() -> None:
    past, future = torch.randn(2, 1, 12), torch.randn(2, 1, 6)
    model = ForecastModel.from_backbone(tiny_backbone(), 6, HeadConfig("projection", 2), resolution=4).eval()
    with torch.no_grad():
        output = model(past, None, future)
        features = model.features(
            {"past_values": past, "input_mask": torch.ones_like(past), "future_values": future,
             "future_mask": torch.ones_like(future)}
        )  # fmt: skip
        assert model.head is not None
        again = model.loss(model.head(features["tokens"]), features).sample_losses
    expected = (output.forecast - future).square().mean(dim=(1, 2))
    torch.testing.assert_close(output.sample_losses, expected)
    torch.testing.assert_close(again, expected)


def test_a_context_holds_fewer_steps_at_a_finer_resolution() -> None:
    past = torch.randn(1, 1, 60)
    model = ForecastModel.from_backbone(tiny_backbone(), 4, resolution=4).eval()
    assert model.context_length == CONTEXT
    with torch.no_grad():
        assert torch.equal(model(past).forecast, model(past[..., -16:]).forecast)


def test_a_horizon_that_does_not_fit_is_refused() -> None:
    assert longest_resolution(tiny_backbone(), HORIZON) == 2
    with pytest.raises(InputError, match=r"resolution of at most 2, found 3: 3 points for each of 12 steps"):
        ForecastModel.from_backbone(tiny_backbone(), HORIZON, resolution=3)


@pytest.mark.parametrize("given", [0, -1, True, 1.5, (), (2, 0), "4", None])
def test_other_than_whole_numbers_are_refused(given: object) -> None:
    with pytest.raises(InputError, match="resolution"):
        checked_resolutions(given)
