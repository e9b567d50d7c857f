"""Widths follow the last forecasts of a series: wider after misses, narrower where everything held."""

import numpy as np
import pandas as pd
import pytest

from tests.tiny import CONTEXT, HORIZON, tiny_forecast_model
from tracetune.base.errors import InputError
from tracetune.estimators.forecasting.forecaster import Forecaster
from tracetune.estimators.forecasting.recalibration import (
    RATE,
    earlier_origins,
    error_sizes,
    origins_before,
    width_factors,
)
from tracetune.estimators.intervals import ResidualQuantiles

LEVELS = np.array([0.05, 0.1, 0.25, 0.75, 0.9, 0.95])


def forecaster(offsets: tuple[float, ...] = (-1.2, -1.0, -0.5, 0.5, 1.0, 1.2)) -> Forecaster:
    values = np.tile(np.array(offsets), (HORIZON, 1))
    return Forecaster(
        tiny_forecast_model(), "tiny", intervals=ResidualQuantiles(LEVELS, values), trace={}, device="cpu"
    )


def frame(values: np.ndarray) -> pd.DataFrame:
    return pd.DataFrame({"timestamp": pd.date_range("2024-01-01", periods=len(values), freq="h"), "target": values})


def test_the_factor_is_the_closed_form() -> None:
    """All inside, then all outside: two steps of the logarithm; missing steps do not count."""
    inside, outside = np.full((1, 4), 0.5), np.full((1, 4), 99.0)
    half_seen = np.array([[99.0, np.nan, 0.5, np.nan]])
    assert width_factors([], 2).tolist() == [1.0, 1.0]
    assert width_factors([inside], 1)[0] == pytest.approx(np.exp(-0.2 * RATE))
    assert width_factors([inside, outside], 1)[0] == pytest.approx(np.exp(0.6 * RATE))
    assert width_factors([half_seen], 1)[0] == pytest.approx(np.exp(0.3 * RATE))
    assert width_factors([np.full((1, 4), np.nan)], 1)[0] == 1.0


def test_sizes_are_in_units_of_the_half_on_their_side() -> None:
    half_widths = np.array([[-2.0, 1.0], [0.0, 1.0]])
    sizes = error_sizes(np.array([[-1.0, -1.0], [3.0, 0.0], [np.nan, 2.0]]), half_widths)
    np.testing.assert_array_equal(sizes, [[0.5, np.inf], [3.0, 0.0], [np.nan, 2.0]])


def test_in_the_long_run_misses_are_as_frequent_as_asked_whatever_the_errors() -> None:
    """The guarantee of adaptive conformal inference: here for errors whose size triples on the way."""
    random = np.random.default_rng(0)
    errors = random.standard_t(3, size=(600, 1, 8)) * np.linspace(0.5, 1.5, 600)[:, None, None]
    misses, sizes = [], []
    for error in errors:
        sizes.append(error_sizes(error, np.tile([-1.0, 1.0], (8, 1))))
        misses.append((sizes[-1] > width_factors(sizes[:-1], 1)[0]).mean())
    assert np.mean(misses) == pytest.approx(0.2, abs=0.01)
    assert np.mean(misses[:300]) == pytest.approx(0.2, abs=0.03)


def test_earlier_origins_are_a_horizon_apart_and_see_enough() -> None:
    past = np.arange(20.0)[None]
    assert earlier_origins(past, 4, 8, 3) == [8, 12, 16]
    assert earlier_origins(past, 4, 8, 99) == [4, 8, 12, 16]
    assert earlier_origins(past[:, :7], 4, 8, 3) == []
    gap = past.copy()
    gap[0, :8] = np.nan
    assert earlier_origins(gap, 4, 8, 99) == [12, 16]


def test_origins_before_share_no_step() -> None:
    available = [2, 8, 10, 12, 13, 17, 20]
    assert origins_before(20, available, 4, 9) == [2, 8, 13]  # 13 ends by 17, 8 by 12, 2 by 6
    assert origins_before(20, available, 4, 2) == [8, 13]
    assert origins_before(5, available, 4, 2) == []


def test_a_series_whose_forecasts_miss_gets_wider_quantiles_and_the_same_points() -> None:
    noisy = np.random.default_rng(0).normal(size=CONTEXT + 12 * HORIZON)
    narrow, wide = forecaster((-0.02, -0.01, -0.005, 0.005, 0.01, 0.02)), forecaster((-99, -98, -50, 50, 98, 99))
    for model, wider in ((narrow, True), (wide, False)):
        plain = model.predict_df(frame(noisy), [0.1, 0.9], recalibrate=0)
        followed = model.predict_df(frame(noisy), [0.1, 0.9])
        pd.testing.assert_series_equal(plain["predictions"], followed["predictions"])
        widths = [(each["0.9"] - each["0.1"]).mean() for each in (plain, followed)]
        assert (widths[1] > widths[0]) == wider
    assert widths[1] / widths[0] == pytest.approx(np.exp(-8 * 0.2 * RATE), rel=1e-4)  # all inside, eight times


def test_frames_give_what_one_frame_gives() -> None:
    random = np.random.default_rng(1)
    items = [frame(random.normal(size=length)).assign(item_id=str(length)) for length in (40, 90, CONTEXT + 70)]
    model = forecaster()
    apart = pd.concat(model.predict_frames(items, [0.1, 0.9]), ignore_index=True)
    pd.testing.assert_frame_equal(apart, model.predict_df(pd.concat(items), [0.1, 0.9]).reset_index(drop=True))


def test_a_backtest_takes_widths_from_what_came_before_each_origin_only() -> None:
    """Its intervals are those that a prediction from each origin gives."""
    values = np.random.default_rng(2).normal(size=CONTEXT + 12 * HORIZON) * np.linspace(1, 9, CONTEXT + 12 * HORIZON)
    model = forecaster((-0.3, -0.2, -0.1, 0.1, 0.2, 0.3))
    found = model.evaluate(frame(values), test_length=2 * HORIZON, stride=HORIZON, season=1).coverage
    inside = []
    for origin in (len(values) - 2 * HORIZON, len(values) - HORIZON):
        quantiles = model.predict_df(frame(values[:origin]), [0.1, 0.9])
        truth = values[origin : origin + HORIZON]
        inside.append((truth >= quantiles["0.1"]) & (truth <= quantiles["0.9"]))
    row = found[(found["level"] == 0.8) & (found["period"] == "all")].iloc[0]
    assert row["coverage"] == pytest.approx(np.mean(inside))


@pytest.mark.parametrize("count", [-1, 2.5, True, "8"])
def test_what_is_no_number_of_origins_is_refused(count: object) -> None:
    with pytest.raises(InputError, match="recalibrate"):
        forecaster().predict_df(frame(np.arange(100.0)), [0.5], recalibrate=count)  # type: ignore[arg-type]
