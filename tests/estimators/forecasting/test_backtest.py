"""Backtests: the model's own forecasts, naive ones that see the whole past, several origins, finite numbers."""

import logging

import numpy as np
import pandas as pd
import pytest

from tests.tiny import CONTEXT, HORIZON, seasonal_frame, tiny_forecast_model
from tracetune import Forecaster, InputError
from tracetune.data.reading.read import panel_from_frame
from tracetune.estimators.forecasting.backtest_part import last_part
from tracetune.estimators.intervals import LEVELS, ResidualQuantiles


@pytest.fixture(scope="module")
def forecaster() -> Forecaster:
    values = np.sort(np.random.default_rng(0).normal(size=(HORIZON, len(LEVELS))), axis=1)
    intervals = ResidualQuantiles(np.array(LEVELS), values)
    return Forecaster(tiny_forecast_model(), "tiny", intervals=intervals, device="cpu")


def test_what_is_measured_is_what_is_predicted(forecaster: Forecaster) -> None:
    """The last window's errors are those of predict_df on what lies before it."""
    frame = seasonal_frame()
    found = forecaster.evaluate(frame, test_length=HORIZON)
    history, truth = frame.groupby("item_id").head(240 - HORIZON), frame.groupby("item_id").tail(HORIZON)
    errors = forecaster.predict_df(history)["predictions"].to_numpy() - truth["target"].to_numpy()
    rows = found.items[found.items["forecaster"] == "model"]
    np.testing.assert_allclose(rows["mae"], np.abs(errors).reshape(2, -1).mean(axis=1), rtol=1e-7)
    np.testing.assert_allclose(rows["bias"], errors.reshape(2, -1).mean(axis=1), rtol=1e-7)  # float32, other batches
    assert rows["item_id"].tolist() == ["item0", "item1"]
    assert found.items["forecaster"].tolist() == ["model", "repeat last", "seasonal naive (24)"] * 2


def test_several_origins_at_other_hours_by_default(forecaster: Forecaster) -> None:
    panel = panel_from_frame(seasonal_frame())
    part = last_part(panel, HORIZON, None, None, 24)
    assert part.stride == 11  # below the horizon, and it shares no divisor with the day
    assert part.ranges == [(240 - HORIZON - 4 * 11, 240)] * 2
    found = forecaster.evaluate(seasonal_frame())
    assert (found.overall["windows"] == 10).all()
    assert set(found.coverage["level"]) == {0.5, 0.8, 0.9}
    assert found.coverage["coverage"].between(0, 1).all()


def test_short_series_have_fewer_origins_and_the_shortest_none(
    forecaster: Forecaster, caplog: pytest.LogCaptureFixture
) -> None:
    long, short = seasonal_frame(items=1), seasonal_frame(items=3)
    frame = pd.concat([long, short[short["item_id"] == "item1"][:30], short[short["item_id"] == "item2"][:HORIZON]])
    with caplog.at_level(logging.WARNING):
        found = forecaster.evaluate(frame)
    rows = found.items[found.items["forecaster"] == "model"].set_index("item_id")["windows"]
    assert rows.to_dict() == {"item0": 5, "item1": 1}
    assert "1 of 3 items are too short or empty for a test" in caplog.text


def test_the_seasonal_naive_forecast_sees_the_whole_past(forecaster: Forecaster) -> None:
    """A season longer than the context, but not than the past: the series repeats exactly, so the error is 0."""
    season = CONTEXT + 10
    values = np.tile(np.random.default_rng(1).normal(size=season), 4)
    frame = pd.DataFrame({"item_id": "a", "timestamp": np.arange(len(values)), "target": values})
    errors = forecaster.evaluate(frame, season=season).overall.set_index("forecaster")["mse"]
    assert errors[f"seasonal naive ({season})"] == 0.0
    assert errors["repeat last"] > 0.1


def test_a_season_longer_than_the_past_is_left_out_with_a_word(
    forecaster: Forecaster, caplog: pytest.LogCaptureFixture
) -> None:
    with caplog.at_level(logging.WARNING):
        table = forecaster.evaluate(seasonal_frame(), season=1440).overall
    assert table["forecaster"].tolist() == ["model", "repeat last"]
    assert "seasonal naive (1440) is left out" in caplog.text


def test_missing_values_count_nowhere(forecaster: Forecaster) -> None:
    frame = seasonal_frame(items=1)
    frame.loc[frame.index[-5:], "target"] = np.nan
    found = forecaster.evaluate(frame, test_length=HORIZON)
    assert np.isfinite(found.items["mae"]).all()
    assert found.coverage.iloc[0]["steps"] == HORIZON - 5
    frame["target"] = np.where(np.arange(len(frame)) < 200, frame["target"], np.nan)
    with pytest.raises(InputError, match="Every value of the test part is missing"):
        forecaster.evaluate(frame, test_length=20)


@pytest.mark.parametrize("magnitude", [1e200, 1e300, 1e-200])
def test_errors_of_every_magnitude_are_those_of_ordinary_numbers(forecaster: Forecaster, magnitude: float) -> None:
    frame = seasonal_frame(items=1)
    frame["target"] /= frame["target"].abs().max()
    plain = forecaster.evaluate(frame)
    scaled = forecaster.evaluate(frame.assign(target=frame["target"] * magnitude))
    numbers = plain.overall.columns[1:]
    np.testing.assert_allclose(scaled.overall[numbers], plain.overall[numbers], rtol=1e-4)
    np.testing.assert_allclose(scaled.items["mae"] / magnitude, plain.items["mae"], rtol=1e-4)


def test_wrong_use_is_refused(forecaster: Forecaster) -> None:
    for options, message in (
        ({"stride": 0}, "Expected stride of at least 1, found 0"),
        ({"season": 0}, "Expected season of at least 1 step"),
        ({"test_length": HORIZON - 1}, f"Expected test_length of at least the horizon, {HORIZON}"),
        ({"test_length": 240}, "Expected test_length below the longest series, 240 steps"),
    ):
        with pytest.raises(InputError, match=message):
            forecaster.evaluate(seasonal_frame(), **options)
    with pytest.raises(InputError, match=f"Expected prediction_length below the longest series, {HORIZON} steps"):
        forecaster.evaluate(seasonal_frame(length=HORIZON))


def test_series_without_mase_are_counted(forecaster: Forecaster, caplog: pytest.LogCaptureFixture) -> None:
    """Of a series no longer than a season, or constant, no seasonal naive error is there to divide by."""
    lengths, random = {"long": 120, "short": HORIZON + 10, "constant": 120}, np.random.default_rng(0)
    frame = pd.concat(
        pd.DataFrame(
            {
                "item_id": name,
                "timestamp": pd.date_range("2024-01-01", periods=steps, freq="h"),
                "target": 5.0 if name == "constant" else random.normal(size=steps),
            }
        )
        for name, steps in lengths.items()
    )
    found = forecaster.evaluate(frame, test_length=HORIZON, season=24)
    assert "mase is a mean over 1 of 3 series: the pasts of the others are constant, or not longer than" in caplog.text
    mase = found.items[found.items["forecaster"] == "model"].set_index("item_id")["mase"]
    assert mase.notna().to_dict() == {"long": True, "short": False, "constant": False}
    assert found.overall["mase"][0] == mase["long"]
    caplog.clear()
    forecaster.evaluate(frame[frame["item_id"] == "long"], test_length=HORIZON, season=24)
    assert "mase" not in caplog.text
