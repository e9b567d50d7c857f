"""What is taken out of contexts and put back: lines by least squares, seasons, and what a head makes of them."""

import numpy as np
import pytest
import torch

from tests.tiny import CONTEXT, tiny_backbone
from tracetune.base.errors import InputError
from tracetune.heads.config import HeadConfig
from tracetune.tasks.forecasting.adjustment import UNADJUSTED, Adjustment, slope_of
from tracetune.tasks.forecasting.model import ForecastModel


def test_the_slope_is_that_of_least_squares_over_what_is_observed() -> None:
    values = torch.from_numpy(np.random.default_rng(0).normal(size=(2, 3, 40)).cumsum(-1))
    observed = torch.from_numpy(np.random.default_rng(1).random((2, 3, 40)) > 0.3)
    values[0, 0, 7] = torch.nan
    found = slope_of(values, observed.float())
    for row, channel in np.ndindex(2, 3):
        seen = observed[row, channel].numpy() & ~values[row, channel].isnan().numpy()
        expected = np.polyfit(np.arange(40)[seen], values[row, channel].numpy()[seen], 1)[0]
        assert found[row, channel, 0] == pytest.approx(expected, rel=1e-9)


def test_two_steps_and_constants_have_no_trend() -> None:
    values = torch.tensor([[[9.0, 9.0, 1.0, 2.0], [5.0, 5.0, 5.0, 5.0]]])
    observed = torch.tensor([[[0, 0, 1, 1], [1, 1, 1, 1]]])
    assert not slope_of(values, observed).any()


@pytest.mark.parametrize("share", [0.5, 1.0])
def test_what_is_taken_out_goes_on_after_the_context(share: float) -> None:
    steps = np.arange(53.0)
    whole = torch.from_numpy(3 * steps + 4 * np.tile([1.0, -2.0, 0.5, 0.5], 14)[:53])[None, None]
    past, added = Adjustment(share, 4).apply(whole[..., :48], torch.ones(1, 1, 48), 5)
    line = past[0, 0].numpy()
    np.testing.assert_allclose(np.diff(line), 3 * (1 - share), atol=0.1)  # the season is that of a moving average
    expected = line[-1] + 3 * (1 - share) * np.arange(1, 6) + added[0, 0].numpy()
    np.testing.assert_allclose(expected, whole[0, 0, 48:].numpy(), atol=0.5)


def test_nothing_is_taken_out_by_default() -> None:
    values = torch.randn(2, 1, 30)
    past, added = UNADJUSTED.apply(values, torch.ones_like(values), 6)
    torch.testing.assert_close(past, values)
    assert not added.any() and not UNADJUSTED.changes and UNADJUSTED.describe() == ""


@pytest.mark.parametrize("resolution", [1, (1, 3)])
@pytest.mark.parametrize("tokens", ["future", "context"])
def test_forecasts_follow_what_is_added_to_all_of_a_series(resolution: int | tuple[int, ...], tokens: str) -> None:
    backbone = tiny_backbone()
    torch.nn.init.zeros_(backbone.token_to_patch.bias)
    line, adjustment = 2.0 * torch.arange(45), Adjustment(trend=1.0)
    past = torch.from_numpy(np.random.default_rng(3).normal(size=40)).float()[None, None]
    head = HeadConfig("projection", 2, tokens=tokens)
    for config in (None, head):
        how = {"resolution": resolution, "adjustment": adjustment}
        model = ForecastModel.from_backbone(backbone, 5, config, **how).eval()  # type: ignore[arg-type]
        with torch.no_grad():
            level = model(past).forecast
            tilted = model(past + line[:40]).forecast
        torch.testing.assert_close(tilted, level + line[40:], rtol=1e-3, atol=1e-3)


def test_a_head_on_tokens_of_the_future_begins_with_the_zero_shot_forecast() -> None:
    backbone = tiny_backbone()
    torch.nn.init.zeros_(backbone.token_to_patch.bias)
    past = torch.from_numpy(np.random.default_rng(3).normal(size=40).cumsum()).float()[None, None]
    head, how = HeadConfig("projection", 2, tokens="future"), {"resolution": (1, 3), "adjustment": Adjustment(0.5)}
    with torch.no_grad():
        zero_shot = ForecastModel.from_backbone(backbone, 5, **how).eval()(past).forecast  # type: ignore[arg-type]
        started = ForecastModel.from_backbone(backbone, 5, head, **how).eval()(past).forecast  # type: ignore[arg-type]
    torch.testing.assert_close(started, zero_shot, rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize(
    ("how", "message"), [({"trend": 1.5}, "share from 0 to 1"), ({"season": 0}, "at least 1 step")]
)
def test_other_numbers_are_refused(how: dict[str, float], message: str) -> None:
    with pytest.raises(InputError, match=message):
        Adjustment(**how)  # type: ignore[arg-type]


def reference(row: np.ndarray, resolutions: tuple[int, ...], adjustment: Adjustment, horizon: int) -> np.ndarray:
    """Return a forecast by NumPy around the backbone: line and odd season out, stretched, averaged, put back."""
    season, steps = adjustment.season, np.arange(len(row))
    reach = season // 2
    around = [row[at - reach : at + reach + 1].mean() if reach <= at < len(row) - reach else np.nan for at in steps]
    phases = np.array([np.nanmean((row - around)[phase::season]) for phase in range(season)])
    phases -= phases.mean()
    left = row - phases[steps % season]
    seen = ~np.isnan(row)
    slope = adjustment.trend * np.polyfit(steps[seen], left[seen], 1)[0]
    left = left - slope * (steps - len(row))
    forecasts = []
    for k in resolutions:
        points = np.full(k * len(row), np.nan)
        for at in steps:
            points[at * k + k - 1] = left[at]
            for between in range(1, k) if at else ():  # NaN where one of the two is
                points[at * k + between - 1] = left[at - 1] + (left[at] - left[at - 1]) * between / k
        points[: -k * (CONTEXT // k)] = np.nan  # whole steps alone are read
        points[max(len(points) - k * (CONTEXT // k), 0) :][: k - 1] = np.nan  # before the first of them
        context = torch.from_numpy(np.pad(points, (CONTEXT, 0), constant_values=np.nan)[-CONTEXT:]).float()
        with torch.no_grad():
            found = tiny_backbone().forecast(context.reshape(1, 1, -1), None, k * horizon)
        forecasts.append(found.double().flatten().numpy()[k - 1 :: k])
    after = len(row) + np.arange(horizon)
    return np.mean(forecasts, axis=0) + slope * (after - len(row)) + phases[after % season]


@pytest.mark.parametrize("resolutions", [(3,), (2, 4)])
@pytest.mark.parametrize("gaps", [(), (4, 17)])
def test_resolution_trend_and_season_go_together(resolutions: tuple[int, ...], gaps: tuple[int, ...]) -> None:
    rng = np.random.default_rng(0)
    row = 30 + 0.2 * np.arange(24) + np.resize([3.0, -2.0, -1.0], 24) + 0.3 * rng.normal(size=24)
    row[list(gaps)] = np.nan
    how = Adjustment(trend=0.5, season=3)
    model = ForecastModel.from_backbone(tiny_backbone(), 4, None, 24, "", resolutions, how).eval()
    with torch.no_grad():
        found = model(torch.from_numpy(row).float().reshape(1, 1, -1)).forecast.flatten().numpy()
    np.testing.assert_allclose(found, reference(row, resolutions, how, 4), rtol=1e-4)
