"""Errors over rolling origins: equal to utilsforecast's, coverage counted by period."""

import numpy as np
import pandas as pd
import pytest
from utilsforecast import losses

from tracetune.evaluation.backtest import Coverage, ErrorSums, Evaluation, Scale

RNG = np.random.default_rng(0)
PAST = RNG.normal(size=(3, 1, 50)).cumsum(axis=2) + 20
TRUTH = RNG.normal(size=(3, 4, 1, 6)) * 3 + 20  # items, windows, channels, steps
FORECAST = TRUTH + RNG.normal(size=TRUTH.shape) + 0.3
SEASON = 7


def measured() -> ErrorSums:
    sums = ErrorSums(items=3, channels=1)
    for item in range(3):
        scale = Scale.of(PAST[item], SEASON, PAST[item].std(axis=1))
        for window in range(4):
            truth = TRUTH[item, window].copy()
            truth[:, window] = np.nan
            sums.add(item, truth, FORECAST[item, window], scale)
    return sums


def long_frame() -> pd.DataFrame:
    item, window, _, step = np.indices(TRUTH.shape)
    frame = {"unique_id": item, "origin": window, "ds": step, "y": TRUTH, "f": FORECAST}
    whole = pd.DataFrame({name: values.ravel() for name, values in frame.items()})
    return whole[whole["ds"] != whole["origin"]]


def test_errors_of_items_equal_utilsforecast() -> None:
    found, frame = measured().items(), long_frame()
    for name, metric in (("mae", losses.mae), ("rmse", losses.rmse), ("bias", losses.bias), ("wape", losses.nd)):
        np.testing.assert_allclose(found[name], metric(frame, ["f"])["f"], rtol=1e-9, err_msg=name)
    np.testing.assert_allclose(found["smape"], 200 * losses.smape(frame, ["f"])["f"], rtol=1e-9)
    past = pd.DataFrame({"unique_id": np.repeat(range(3), 50), "ds": np.tile(range(50), 3), "y": PAST.ravel()})
    expected = losses.mase(frame, ["f"], seasonality=SEASON, train_df=past)["f"]
    np.testing.assert_allclose(found["mase"], expected, rtol=1e-9)
    assert (found["windows"] == 4).all()


def test_errors_of_all_are_pooled_in_deviations_and_averaged_over_items() -> None:
    sums, frame = measured(), long_frame()
    overall, items = sums.overall(), sums.items()
    scaled = (frame["f"] - frame["y"]) / PAST.std(axis=2)[frame["unique_id"], 0]
    assert overall["mse"] == pytest.approx((scaled**2).mean())
    assert overall["mae"] == pytest.approx(scaled.abs().mean())
    for name in ("mase", "wape", "smape", "relative_bias"):
        assert overall[name] == pytest.approx(items[name].mean())
    assert overall["windows"] == 12


def test_ratios_without_a_denominator_are_left_out() -> None:
    sums = ErrorSums(2, 1)
    constant = np.zeros((1, 30))
    for item, truth in enumerate((np.zeros((1, 2)), np.ones((1, 2)))):
        sums.add(item, truth, truth + 1, Scale.of(constant, 1, np.ones(1)))
    assert sums.items()["wape"].tolist() == pytest.approx([np.nan, 1.0], nan_ok=True)
    assert sums.items()["mase"].isna().all()
    assert sums.overall()["wape"] == 1.0


def test_large_magnitudes_do_not_overflow() -> None:
    sums = ErrorSums(1, 1)
    truth = np.array([[1e300, -1e300]])
    sums.add(0, truth, -truth, Scale(np.array([[1e300]]), np.array([[1e300]])))
    item = sums.items().iloc[0]
    assert (item["mae"], item["rmse"], item["mase"]) == (2e300, 2e300, 2.0)
    assert sums.overall()["mse"] == 4.0


def test_coverage_is_counted_by_period() -> None:
    coverage = Coverage((0.5, 0.8), start=0, stop=80)
    assert coverage.quantile_levels() == [0.25, 0.75, 0.1, 0.9]
    truth = np.array([[0.0, 0.0, 0.0, np.nan, 5.0]])
    quantiles = np.broadcast_to([-1.0, 1.0, -9.0, 9.0], (1, 5, 4))
    coverage.add(np.array([0, 20, 39, 40, 80]), truth, quantiles)
    table = coverage.table(datetimes=False)
    narrow = table[table["level"] == 0.5].set_index("period")
    assert narrow["coverage"].to_dict() == {"all": 0.75, "1": 1.0, "2": 1.0, "4": 0.0}
    assert narrow["steps"].to_dict() == {"all": 4, "1": 1, "2": 2, "4": 1}
    assert narrow.loc["2", ["start", "end"]].tolist() == [20, 40]
    assert (table.loc[table["level"] == 0.8, "coverage"] == 1).all()


def test_the_worst_and_the_median_item_are_named() -> None:
    names, mase = ["model"] * 5 + ["naive"] * 5, [3.0, 1.0, np.nan, 9.0, 2.0] * 2
    items = pd.DataFrame({"item_id": list("abcde") * 2, "forecaster": names, "mase": mase, "wape": 0.0})
    found = Evaluation(pd.DataFrame(), items, pd.DataFrame())
    assert found.worst_items(2)["item_id"].tolist() == ["d", "a"]
    assert found.median_item()["item_id"].tolist() == ["e"]
