import numpy as np
import pandas as pd
import pytest
import utilsforecast.losses as reference
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays
from sklearn.metrics import mean_absolute_error, mean_pinball_loss, mean_squared_error

from tracetune.base.errors import InputError
from tracetune.evaluation import metrics

SERIES, HORIZON, PAST, SEASON = 5, 12, 48, 4


@pytest.fixture(scope="module")
def case():
    random = np.random.default_rng(0)
    return {
        "past": random.normal(5, 2, (SERIES, PAST)),
        "y_true": random.normal(5, 2, (SERIES, HORIZON)),
        "y_pred": random.normal(5, 2, (SERIES, HORIZON)),
        "quantiles": np.sort(random.normal(5, 2, (SERIES, HORIZON, 3)), axis=-1),
    }


@pytest.fixture(scope="module")
def frame(case):
    return pd.DataFrame(
        {
            "unique_id": np.repeat(np.arange(SERIES), HORIZON),
            "ds": np.tile(np.arange(PAST, PAST + HORIZON), SERIES),
            "y": case["y_true"].ravel(),
            "model": case["y_pred"].ravel(),
            "model-lo-80": case["quantiles"][..., 0].ravel(),
            "model-hi-80": case["quantiles"][..., 2].ravel(),
        }
    )


@pytest.mark.parametrize(
    ("metric", "expected", "factor"),
    [
        (metrics.mse, reference.mse, 1),
        (metrics.mae, reference.mae, 1),
        (metrics.smape, reference.smape, 200),  # theirs runs from 0 to 1
    ],
)
def test_each_series_scores_as_in_utilsforecast(case, frame, metric, expected, factor):
    theirs = expected(frame, ["model"])["model"].to_numpy()
    np.testing.assert_allclose(metric(case["y_true"], case["y_pred"], axis=-1), factor * theirs, rtol=1e-12)


def test_mase_of_each_series_as_in_utilsforecast(case, frame):
    train = pd.DataFrame(
        {
            "unique_id": np.repeat(np.arange(SERIES), PAST),
            "ds": np.tile(np.arange(PAST), SERIES),
            "y": case["past"].ravel(),
        }
    )
    theirs = reference.mase(frame, ["model"], seasonality=SEASON, train_df=train)["model"].to_numpy()
    scale = metrics.naive_scale(case["past"], SEASON)
    assert scale.shape == (SERIES, 1)
    np.testing.assert_allclose(metrics.mase(case["y_true"], case["y_pred"], axis=-1, scale=scale), theirs, rtol=1e-12)


def test_quantile_losses_and_coverage_as_in_utilsforecast(case, frame):
    low, high = case["quantiles"][..., 0], case["quantiles"][..., 2]
    theirs = reference.quantile_loss(frame, {"model": "model-lo-80"}, q=0.1)["model"].to_numpy()
    np.testing.assert_allclose(metrics.quantile_loss(case["y_true"], low, axis=-1, quantile=0.1), theirs, rtol=1e-12)
    theirs = reference.coverage(frame, ["model"], level=80)["model"].to_numpy()
    np.testing.assert_allclose(metrics.coverage(case["y_true"], low, high, axis=-1), theirs, rtol=1e-12)


def test_means_over_everything_as_in_scikit_learn(case):
    y_true, y_pred = case["y_true"], case["y_pred"]
    assert metrics.mse(y_true, y_pred) == pytest.approx(mean_squared_error(y_true, y_pred))
    assert metrics.mae(y_true, y_pred) == pytest.approx(mean_absolute_error(y_true, y_pred))
    ours = metrics.quantile_loss(y_true, y_pred, quantile=0.3)
    assert ours == pytest.approx(mean_pinball_loss(y_true, y_pred, alpha=0.3))


def test_masked_and_missing_steps_do_not_count():
    y_true = np.array([[1.0, 2.0, np.nan], [4.0, 5.0, 6.0]])
    y_pred = np.array([[2.0, 2.0, 9.0], [4.0, np.nan, 8.0]])
    future_mask = np.array([[1, 1, 1], [1, 0, 1]])
    assert metrics.mse(y_true, y_pred, future_mask) == pytest.approx((1 + 0 + 0 + 4) / 4)
    np.testing.assert_allclose(metrics.mae(y_true, y_pred, future_mask, axis=-1), [0.5, 1.0])


def test_a_missing_forecast_of_a_step_that_counts_is_not_hidden():
    assert np.isnan(metrics.mae([1.0, 2.0], [1.0, np.nan]))
    assert np.isnan(metrics.coverage([1.0, 2.0], [0.0, np.nan], [2.0, 3.0]))
    assert metrics.coverage([1.0, np.nan], [0.0, np.nan], [2.0, np.nan]) == 1


def test_a_mean_over_no_step_is_nan():
    np.testing.assert_allclose(metrics.mse([[1.0], [2.0]], [[1.0], [4.0]], [[0], [1]], axis=-1), [np.nan, 4.0])


def test_smape_of_two_zeros_is_zero():
    assert metrics.smape([0.0, 1.0], [0.0, 3.0]) == pytest.approx((0 + 200 * 2 / 4) / 2)


def test_series_without_a_scale_are_left_out_of_mase():
    past = np.array([[1.0, 1.0, 1.0], [1.0, 3.0, 5.0], [np.nan, np.nan, 2.0]])
    scale = metrics.naive_scale(past)
    np.testing.assert_allclose(scale[:, 0], [0.0, 2.0, np.nan])
    assert metrics.mase(np.ones((3, 2)), np.zeros((3, 2)), scale=scale) == pytest.approx(0.5)


def test_owa_is_one_for_the_reference_itself_and_a_mean_of_ratios():
    assert metrics.owa(12.0, 1.5, 12.0, 1.5) == 1.0
    assert metrics.owa(6.0, 3.0, 12.0, 1.5) == pytest.approx((0.5 + 2.0) / 2)


def test_shapes_that_differ_are_refused():
    with pytest.raises(InputError, match=r"one shape, found \[2\] and \[3\]"):
        metrics.mse([1.0, 2.0], [1.0, 2.0, 3.0])


def test_quantiles_that_do_not_fit_are_refused():
    with pytest.raises(InputError, match=r"between 0 and 1, found 1\.5"):
        metrics.quantile_loss([1.0], [1.0], quantile=1.5)


@given(
    truth=arrays.arrays(np.float32, (23, 4), elements=st.floats(-100, 100, width=32)),
    mask=arrays.arrays(np.bool_, (23, 4)),
    batch_size=st.integers(1, 23),
)
def test_the_accumulator_equals_the_metric_over_everything_for_any_batch_size(truth, mask, batch_size):
    forecast = np.roll(truth, 1, axis=0)
    accumulator = metrics.MetricAccumulator(("mse", "mae", "smape"))
    for start in range(0, len(truth), batch_size):
        part = slice(start, start + batch_size)
        accumulator.update(truth[part], forecast[part], mask[part])
    found = accumulator.compute()
    assert accumulator.steps == mask.sum()
    for name, metric in (("mse", metrics.mse), ("mae", metrics.mae), ("smape", metrics.smape)):
        np.testing.assert_allclose(found[name], metric(truth, forecast, mask), rtol=1e-10)


def test_float32_batches_are_summed_in_double_precision():
    accumulator = metrics.MetricAccumulator(("mae",))
    for _ in range(1000):
        accumulator.update(np.full(1000, 0.1, np.float32), np.zeros(1000, np.float32))
    assert accumulator.compute()["mae"] == pytest.approx(float(np.float32(0.1)), rel=1e-12)


def test_an_unknown_metric_names_the_known_ones():
    with pytest.raises(InputError, match=r"Unknown metric 'rmse'.*Known: mae, mse, smape"):
        metrics.MetricAccumulator(("rmse",))
