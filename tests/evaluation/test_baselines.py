import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from statsforecast.models import AutoETS, SeasonalNaive
from statsforecast.utils import AirPassengers
from statsmodels.tsa.seasonal import seasonal_decompose
from statsmodels.tsa.stattools import acf

from tracetune.base.errors import InputError
from tracetune.data.datasets import load_dataset
from tracetune.evaluation.baselines import auto_ets, auto_theta, naive2, repeat_last, seasonal_naive
from tracetune.evaluation.metrics import mase, naive_scale, smape

NAN = np.nan


def test_repeat_last_takes_the_last_observed_value():
    past = np.array([[1.0, 2.0, 3.0], [4.0, 5.0, NAN], [NAN, NAN, NAN]])
    np.testing.assert_array_equal(repeat_last(past, 2), [[3.0, 3.0], [5.0, 5.0], [NAN, NAN]])


@settings(max_examples=25)
@given(season=st.integers(1, 8), seasons=st.integers(1, 4), extra=st.integers(0, 7), horizon=st.integers(1, 20))
def test_seasonal_naive_equals_statsforecast(season, seasons, extra, horizon):
    past = np.random.default_rng(0).normal(size=season * seasons + extra)
    expected = SeasonalNaive(season).forecast(past, horizon)["mean"]
    np.testing.assert_array_equal(seasonal_naive(past, season, horizon), expected)


def test_seasonal_naive_fills_a_phase_from_the_season_before_and_else_from_the_last_value():
    past = np.array([[1.0, 2.0, 3.0, 4.0, NAN, 6.0], [NAN, 2.0, 3.0, NAN, 5.0, 6.0]])
    np.testing.assert_array_equal(seasonal_naive(past, 3, 4), [[4.0, 2.0, 6.0, 4.0], [6.0, 5.0, 6.0, 6.0]])


def test_a_context_shorter_than_the_season_falls_back_to_the_last_value():
    np.testing.assert_array_equal(seasonal_naive(np.array([[1.0, 2.0]]), 4, 6), [[2.0, 2.0, 1.0, 2.0, 2.0, 2.0]])


def test_leading_dimensions_are_kept():
    past = np.arange(24.0).reshape(2, 3, 4)
    assert repeat_last(past, 5).shape == (2, 3, 5)
    np.testing.assert_array_equal(seasonal_naive(past, 2, 3), past[..., [2, 3, 2]])


def test_a_season_below_one_is_refused():
    with pytest.raises(InputError, match="at least 1 step, found 0"):
        seasonal_naive(np.ones(4), 0, 2)


@pytest.mark.parametrize("length", [144, 143, 139])
def test_naive2_adjusts_by_the_classical_decomposition(length):
    past = AirPassengers[:length]
    seasonal = seasonal_decompose(past, model="multiplicative", period=12).seasonal
    expected = past[-1] / seasonal[-1] * seasonal[length - 12 : length]
    np.testing.assert_allclose(naive2(past, 12, 12), expected)


def test_naive2_with_an_odd_season():
    past = np.tile([1.0, 2.0, 6.0], 10) * np.exp(np.random.default_rng(0).normal(0, 0.02, 30))
    seasonal = seasonal_decompose(past, model="multiplicative", period=3).seasonal
    np.testing.assert_allclose(naive2(past, 3, 3), past[-1] / seasonal[-1] * seasonal[-3:])


@pytest.mark.parametrize(
    "past",
    [
        np.tile([1.0, 2.0, 3.0, 4.0], 2),  # fewer than three seasons
        np.tile([-1.0, 2.0, 3.0, 4.0], 9),  # not positive
        np.full(40, 3.0),  # constant
    ],
    ids=["short", "negative", "constant"],
)
def test_naive2_repeats_the_last_value_where_there_is_no_season(past):
    np.testing.assert_array_equal(naive2(past, 4, 5), np.full(5, past[-1]))


@pytest.mark.filterwarnings("ignore:acf currently returns:FutureWarning")
def test_naive2_adjusts_where_the_autocorrelation_leaves_its_90_percent_interval():
    adjusted = 0
    for seed in range(40):
        past = np.random.default_rng(seed).uniform(1, 2, 100)
        correlations, intervals = acf(past, nlags=4, alpha=0.1, bartlett_confint=True)
        significant = abs(correlations[4]) > intervals[4, 1] - correlations[4]
        assert (np.ptp(naive2(past, 4, 4)) > 0) == significant
        adjusted += significant
    assert 0 < adjusted < 12  # 10 % of noise passes for seasonal


@pytest.mark.parametrize(
    ("name", "published_smape", "published_mase"), [("m4_hourly", 18.383, 2.395), ("m4_weekly", 9.161, 2.777)]
)
def test_naive2_has_the_scores_published_for_m4(name, published_smape, published_mase):
    try:
        data = load_dataset(name)
    except InputError as error:
        pytest.skip(str(error))
    season, horizon = data.info.seasonality, data.info.horizons[0]
    past = [series.values[0][~np.isnan(series.values[0])].astype(np.float64) for series in data.panel]
    truth = np.stack([series.values[0] for series in data.test_panel])
    forecast = np.stack([naive2(values, season, horizon) for values in past])
    scale = np.stack([naive_scale(values, season) for values in past])
    assert smape(truth, forecast) == pytest.approx(published_smape, abs=6e-4)
    assert mase(truth, forecast, scale=scale) == pytest.approx(published_mase, abs=6e-4)


def test_auto_ets_forecasts_series_of_unequal_length_and_with_gaps():
    long, short = AirPassengers, AirPassengers[:40].copy()
    gappy = short.copy()
    gappy[[0, 7]] = NAN
    forecast = auto_ets([long, short, gappy], season=12, prediction_length=12)
    assert forecast.shape == (3, 12)
    np.testing.assert_allclose(forecast[0], AutoETS(season_length=12).forecast(long, 12)["mean"])
    np.testing.assert_allclose(forecast[1], AutoETS(season_length=12).forecast(short, 12)["mean"])
    short[[0, 7]] = short[[1, 6]]
    np.testing.assert_allclose(forecast[2], AutoETS(season_length=12).forecast(short, 12)["mean"])


def test_auto_ets_keeps_the_order_of_more_than_ten_series():
    levels = [float(level) for level in range(1, 13)]
    forecast = auto_ets([np.full(20, level) for level in levels], season=1, prediction_length=2)
    np.testing.assert_allclose(forecast, np.repeat(np.array(levels)[:, None], 2, axis=1))


def test_auto_ets_refuses_a_series_without_values():
    with pytest.raises(InputError, match="Series 1 has no observed value"):
        auto_ets([np.ones(20), np.full(5, NAN)], season=1, prediction_length=2)


def test_auto_theta_forecasts_as_statsforecast_does() -> None:
    from statsforecast.models import AutoTheta

    values = 100 + np.arange(30) + np.random.default_rng(0).normal(size=30)
    found = auto_theta([values, values[:20]], 4, 6)
    np.testing.assert_allclose(found[0], AutoTheta(season_length=4).forecast(values, 6)["mean"])
    assert found.shape == (2, 6)
