"""Short series at finer resolutions, given or chosen by a backtest on their past."""

from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from tests.tiny import save_tiny, tiny_backbone
from tracetune import Adjustment, Forecaster, LinearProbe
from tracetune.base.errors import InputError
from tracetune.data.reading.read import panel_from_frame
from tracetune.estimators.forecasting.resolution_choice import backtest_windows, choose_resolution, gain_without_season
from tracetune.fitting.config import FitConfig
from tracetune.training.config import TrainingConfig

H = 4


def yearly(lengths: tuple[int, ...] = (14, 20, 17, 25), seed: int = 0) -> pd.DataFrame:
    rng = np.random.default_rng(seed)
    return pd.concat(
        pd.DataFrame(
            {
                "item_id": f"item{item}",
                "timestamp": np.arange(2000, 2000 + length),
                "target": 10.0 ** (item % 3) * (20 + rng.normal(size=length).cumsum()),
            }
        )
        for item, length in enumerate(lengths)
    )


def forecaster(resolution: object = None, adjustment: Adjustment | None = None) -> Forecaster:
    return Forecaster.from_backbone(
        tiny_backbone(),
        H,
        resolution=resolution,
        adjustment=adjustment,
        device="cpu",  # type: ignore[arg-type]
    )


def points(model: Forecaster, frame: pd.DataFrame) -> np.ndarray:
    return model.predict_df(frame)["predictions"].to_numpy()


def test_the_choice_is_that_of_forecasts_of_what_came() -> None:
    frame = yearly()
    panel = panel_from_frame(frame)
    choice = choose_resolution(forecaster().forecast_model, panel, "cpu")
    windows = backtest_windows([series.values[0] for series in panel], H)  # noqa: PD011 - not a pandas object
    errors = {
        k: [
            np.abs(next(forecaster(k, choice.adjustment).predict_arrays([past[None]])) - truth).mean()
            for past, truth in windows
        ]
        for k in choice.errors
    }  # fmt: skip
    level = np.mean(list(errors.values()), axis=0)
    assert list(choice.errors) == [1, 2, 3, 4, 6, 8]
    for k, found in choice.errors.items():
        assert found == pytest.approx(np.mean(errors[k] / level), rel=1e-3)
    best = sorted(sorted(choice.errors, key=lambda k: choice.errors[k])[:3])
    together = [
        np.abs(next(forecaster(best, choice.adjustment).predict_arrays([past[None]])) - truth).mean()
        for past, truth in windows
    ]
    error = np.mean(together / level)
    assert choice.resolutions == (tuple(best) if error < choice.errors[1] else (1,))
    plain = [np.abs(next(forecaster().predict_arrays([past[None]])) - truth).mean() for past, truth in windows]
    assert choice.ratio == pytest.approx(min(error, choice.errors[1]) / np.mean(plain / level), rel=1e-3)
    assert choice.windows == len(windows)


def test_a_season_is_taken_out_where_it_pays(tmp_path: Path) -> None:
    steps = np.arange(60)
    wave = np.tile(np.random.default_rng(1).normal(size=7), 9)[:60]
    frames = [
        pd.DataFrame({"item_id": f"item{item}", "timestamp": steps, "target": item + 0.01 * steps + 5 * wave})
        for item in range(3)
    ]
    frame = pd.concat(frames)
    chosen = forecaster().choose_resolution(frame, season=7)
    assert chosen.adjustment.season == 7
    expected = np.concatenate([item + 0.01 * np.arange(60, 64) + 5 * np.tile(wave[:7], 10)[60:64] for item in range(3)])
    assert np.abs(points(chosen, frame) - expected).mean() < 0.5 * np.abs(points(forecaster(), frame) - expected).mean()
    config = FitConfig(method=LinearProbe(), head_training=TrainingConfig(max_steps=1), guard_margin=0.0)
    base = Forecaster.from_pretrained(save_tiny(tmp_path / "base"), H, device="cpu")
    tuned = base.choose_resolution(frame, season=7).fit(frame, config=config)
    tuned.save_pretrained(tmp_path / "tuned")
    again = Forecaster.from_pretrained(tmp_path / "tuned", device="cpu")
    assert again.adjustment.season == 7
    np.testing.assert_allclose(points(again, frame), points(tuned, frame), rtol=1e-6)


def rising(count: int = 6) -> pd.DataFrame:
    rng = np.random.default_rng(5)
    steps = np.arange(30)
    return pd.concat(
        pd.DataFrame(
            {
                "item_id": f"item{item}",
                "timestamp": 1990 + steps,
                "target": 50 + (item + 1) * steps + 0.3 * rng.normal(size=30),
            }
        )
        for item in range(count)
    )


def test_a_trend_is_taken_out_where_it_pays_and_saved(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    frame = rising()
    chosen = forecaster().choose_resolution(frame)
    assert chosen.adjustment == Adjustment(trend=1.0)
    assert "without 100% of the trend: error 0." in caplog.text
    truth = np.concatenate([50 + (item + 1) * np.arange(30, 34) for item in range(6)])
    assert np.abs(points(chosen, frame) - truth).mean() < 0.3 * np.abs(points(forecaster(), frame) - truth).mean()
    base = Forecaster.from_pretrained(save_tiny(tmp_path / "base"), H, adjustment=Adjustment(0.5), device="cpu")
    config = FitConfig(method=LinearProbe(), head_training=TrainingConfig(max_steps=1), guard_margin=0.0)
    tuned = base.fit(frame, config=config)
    tuned.save_pretrained(tmp_path / "tuned")
    again = Forecaster.from_pretrained(tmp_path / "tuned", device="cpu")
    assert again.adjustment == Adjustment(trend=0.5)
    np.testing.assert_allclose(points(again, frame), points(tuned, frame), rtol=1e-6)
    card = (tmp_path / "tuned" / "README.md").read_text()
    assert "adjustment=Adjustment(trend=0.5, season=1)" in card and "import Adjustment, ForecastModel" in card
    with pytest.raises(InputError, match="without 50% of the trend of its series, found nothing"):
        Forecaster.from_pretrained(tmp_path / "tuned", adjustment=Adjustment())


def test_an_adjustment_that_is_given_stays() -> None:
    frame = rising(3)
    given = forecaster("auto", Adjustment(0.25)).choose_resolution(frame)
    assert given.adjustment == Adjustment(0.25) and len(given.resolutions) == 3
    assert not forecaster().choose_resolution(frame, trend=0.0).adjustment.changes


def test_windows_of_the_backtest_end_before_what_they_forecast() -> None:
    values = np.arange(23.0)
    windows = backtest_windows([values], H)
    assert [len(past) for past, _ in windows] == [15, 19]  # not 3, 7, 11, with less than half the length
    assert [len(past) for past, _ in backtest_windows([values[:7]], H)] == [3]
    assert all(truth[0] == len(past) and truth.shape == (H,) for past, truth in windows)
    gap = values.copy()
    gap[19:] = np.nan
    assert [len(past) for past, _ in backtest_windows([gap], H)] == [15]


def test_channels_count_alike_whatever_their_magnitude() -> None:
    frame = yearly((30, 40))
    wide = frame.assign(other=frame.groupby("item_id")["target"].transform(lambda cells: cells[::-1].to_numpy()))
    parts = [wide[["item_id", "timestamp", name]].rename(columns={name: "target"}) for name in ("target", "other")]
    long = pd.concat([parts[0], parts[1].assign(item_id="other " + parts[1]["item_id"])])
    model = forecaster().forecast_model
    channels = ["target", "other"]
    panels = [panel_from_frame(wide, target=channels), panel_from_frame(long)]
    both = [choose_resolution(model, panel, "cpu") for panel in panels]
    assert both[0].errors == pytest.approx(both[1].errors, rel=1e-5) and both[0].windows == both[1].windows
    larger = wide.assign(other=1e6 * wide["other"])
    found = choose_resolution(model, panel_from_frame(larger, target=channels), "cpu")
    assert found.errors == pytest.approx(both[0].errors, rel=1e-4)


def test_at_numbered_steps_the_season_that_series_have_is_tried(caplog: pytest.LogCaptureFixture) -> None:
    wave = np.tile(np.random.default_rng(1).normal(size=7), 9)[:60]
    frame = pd.DataFrame({"timestamp": np.arange(60), "target": 0.01 * np.arange(60) + 5 * wave})
    assert forecaster().choose_resolution(frame).adjustment.season == 7
    assert forecaster().choose_resolution(frame, season=1).adjustment.season == 1
    caplog.clear()
    forecaster().evaluate(frame)
    assert "repeat after 7: season=7 compares with the seasonal naive forecast" in caplog.text
    caplog.clear()
    forecaster("auto").evaluate(frame, season=7)
    assert "repeat after" not in caplog.text and "a season of 7" in caplog.text


def test_auto_forecasts_as_the_chosen_resolutions_do() -> None:
    frame = yearly()
    auto, chosen = forecaster("auto"), forecaster().choose_resolution(frame)
    assert auto.chooses_resolution and not chosen.chooses_resolution
    np.testing.assert_array_equal(points(auto, frame), points(forecaster(chosen.resolutions, chosen.adjustment), frame))
    past = frame.groupby("item_id").head(10)
    expected = forecaster().choose_resolution(past).evaluate(frame, test_length=H).overall
    found = auto.evaluate(frame.groupby("item_id").head(14), test_length=H).overall
    assert found["windows"].tolist() == expected["windows"].tolist()


def test_series_without_a_past_to_test_on_are_forecast_as_they_are(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level("INFO")
    assert forecaster().choose_resolution(yearly((5, 6))).resolutions == (1,)
    assert "no series is long enough" in caplog.text


def test_a_fit_at_a_finer_resolution_is_saved_with_it(tmp_path: Path) -> None:
    frame = yearly((30, 40, 35, 28))
    base = save_tiny(tmp_path / "base")
    start = Forecaster.from_pretrained(base, H, resolution=(2, 4), device="cpu")
    config = FitConfig(method=LinearProbe(), head_training=TrainingConfig(max_steps=2), guard_margin=0.0)
    tuned = start.fit(frame, config=config)
    tuned.save_pretrained(tmp_path / "tuned")
    again = Forecaster.from_pretrained(tmp_path / "tuned", device="cpu")
    assert again.resolutions == tuned.resolutions == (2, 4)
    np.testing.assert_allclose(points(again, frame), points(tuned, frame), rtol=1e-6)
    assert "resolution=[2, 4]" in (tmp_path / "tuned" / "README.md").read_text()
    levels = again.predict_df(frame, [0.1, 0.9])
    assert (levels["0.1"] <= levels["predictions"]).all() and (levels["predictions"] <= levels["0.9"]).all()
    with pytest.raises(InputError, match=r"fine-tuned at resolution=\[2, 4\], found resolution=3"):
        Forecaster.from_pretrained(tmp_path / "tuned", resolution=3)
    with pytest.raises(InputError, match="keeps its resolution"):
        again.choose_resolution(frame)


def test_a_fit_chooses_by_its_training_part(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level("INFO")
    config = FitConfig(method=LinearProbe(), head_training=TrainingConfig(max_steps=1))
    tuned = forecaster("auto").fit(yearly((30, 40, 35, 28)), config=config)
    assert len(tuned.resolutions) == 3 and not tuned.chooses_resolution
    assert "in a backtest of" in caplog.text


@pytest.mark.parametrize("resolution", [1, 4, (1, 3)])
def test_series_of_one_step_and_constant_ones_are_forecast(resolution: object) -> None:
    model = forecaster(resolution)
    values = [np.array([[7.0]]), np.array([[1.0, 2.0]]), np.full((1, 30), 3.5), np.array([[np.nan, 5.0, np.nan]])]
    forecasts = list(model.predict_arrays(values))
    assert all(np.isfinite(forecast).all() for forecast in forecasts)
    np.testing.assert_array_equal(forecasts[0], np.full((1, H), 7.0))
    np.testing.assert_array_equal(forecasts[2], np.full((1, H), 3.5))
    np.testing.assert_array_equal(forecasts[3], np.full((1, H), 5.0))


def test_missing_series_and_arrays_with_auto_are_refused() -> None:
    with pytest.raises(InputError, match="found none"):
        list(forecaster(4).predict_arrays([np.full((1, 9), np.nan)]))
    with pytest.raises(InputError, match="Choose first"):
        forecaster("auto").predict_arrays([np.ones((1, 9))])
    with pytest.raises(InputError, match="or 'auto'"):
        forecaster("best")


def weekly_shape(steps: int = 120, noise: float = 0.2) -> pd.DataFrame:
    """Three daily series with a week that is no wave."""
    rng = np.random.default_rng(1)
    days = pd.date_range("2024-01-01", periods=steps)
    week = np.resize(rng.normal(size=7), steps)
    rows = [5 * week + noise * rng.normal(size=steps) for _ in range(3)]
    return pd.concat(
        pd.DataFrame({"item_id": f"item{item}", "timestamp": days, "target": row}) for item, row in enumerate(rows)
    )


def test_the_gain_without_a_season_is_that_of_its_forecasts() -> None:
    frame = weekly_shape()
    panel = panel_from_frame(frame)
    plain, without = forecaster(), forecaster(adjustment=Adjustment(season=7))
    windows = backtest_windows([series.values[0] for series in panel], H)  # noqa: PD011 - not a pandas object
    errors = np.array(
        [
            [np.abs(next(each.predict_arrays([past[None]])) - truth).mean() for past, truth in windows]
            for each in (plain, without)
        ]
    )
    relative = (errors / errors.mean(axis=0)).mean(axis=1)
    found = gain_without_season(plain.forecast_model, panel, "cpu", 7)
    assert found == pytest.approx(1 - relative[1] / relative[0], rel=1e-3)
    assert found > 0.3
    assert gain_without_season(plain.forecast_model, panel, "cpu", 1) is None
    assert gain_without_season(plain.forecast_model, panel, "cpu", 60) is None  # fewer than three seasons of past
    assert gain_without_season(plain.forecast_model, panel_from_frame(yearly()), "cpu", 4) is None


def test_a_season_that_is_better_taken_out_is_said(caplog: pytest.LogCaptureFixture) -> None:
    frame = weekly_shape()
    said = "Without their season of 7 steps the model would forecast these series better"
    forecaster().suggest_resolution(frame)
    assert said in caplog.text
    assert "resolution='auto'" in caplog.text
    for quiet in (forecaster(adjustment=Adjustment(season=7)), forecaster("auto"), forecaster(2)):
        caplog.clear()
        quiet.suggest_resolution(frame)
        assert caplog.text == ""
    config = FitConfig(method=LinearProbe(), head_training=TrainingConfig(max_steps=1))
    forecaster().fit(frame, config=config).suggest_resolution(frame)
    assert caplog.text.count(said) == 1  # by the fit, which looks at the training part
