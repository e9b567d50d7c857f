"""Forecaster end to end on a tiny model: fit, predict, evaluate, save, load, with and without tracetune."""

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch
from peft import PeftModel

from tests.tiny import HORIZON, save_tiny, seasonal_frame
from tracetune import FitConfig, Forecaster, ForecastModel, HeadConfig, InputError, Lora, LoraOptions, TrainingConfig
from tracetune.estimators.forecasting import epoch_bound


def quick(method: object = "lora", **options: object) -> FitConfig:
    training = TrainingConfig(num_train_epochs=2, batch_size=32, evaluations=3, learning_rate=5e-3)
    return FitConfig(
        method=method, head=HeadConfig("projection", beta=2), head_training=training, training=training, **options
    )


@pytest.fixture(scope="module")
def tuned(base: Forecaster) -> Forecaster:
    return base.fit(seasonal_frame(), config=quick())


def test_fitting_improves_on_the_model_as_loaded(tuned: Forecaster) -> None:
    losses = {candidate["name"]: candidate["validation_loss"] for candidate in tuned.trace["candidates"]}
    assert set(losses) == {"zero-shot", "head", "lora"}
    assert tuned.trace["winner"] == [each["name"] for each in tuned.trace["candidates"] if each["better"]][-1]
    assert max(losses["head"], losses["lora"]) < 0.8 * losses["zero-shot"]


def test_fitting_leaves_the_base_untouched(base: Forecaster, tuned: Forecaster) -> None:
    assert base.trace is None
    assert base.forecast_model.head is None
    assert not isinstance(base.model, PeftModel)


def test_predictions_have_the_usual_columns(tuned: Forecaster) -> None:
    frame = seasonal_frame()
    forecast = tuned.predict_df(frame, [0.1, 0.5, 0.9])
    assert list(forecast.columns) == ["item_id", "timestamp", "target_name", "predictions", "0.1", "0.5", "0.9"]
    assert len(forecast) == 2 * HORIZON
    first = forecast[forecast["item_id"] == "item1"]["timestamp"].iloc[0]
    assert first == frame["timestamp"].max() + pd.Timedelta(hours=1)
    assert (forecast["0.1"] <= forecast["0.9"]).all()
    assert np.isfinite(forecast["predictions"]).all()


def test_forecasts_come_in_the_units_of_each_series(tuned: Forecaster) -> None:
    frame = seasonal_frame()
    forecast = tuned.predict_df(frame).groupby("item_id")["predictions"].mean()
    level = frame.groupby("item_id")["target"].apply(lambda values: values.tail(24).mean())
    assert (np.abs(np.log10(forecast / level)) < 0.5).all()


def test_nixtla_names_come_back(tuned: Forecaster) -> None:
    frame = seasonal_frame().rename(columns={"item_id": "unique_id", "timestamp": "ds", "target": "y"})
    assert list(tuned.predict_df(frame).columns)[:2] == ["unique_id", "ds"]


def test_saved_and_loaded_forecasts_are_equal(tuned: Forecaster, tmp_path: Path) -> None:
    frame = seasonal_frame()
    tuned.save_pretrained(tmp_path / "run")
    loaded = Forecaster.from_pretrained(tmp_path / "run", device="cpu")
    pd.testing.assert_frame_equal(loaded.predict_df(frame, [0.1]), tuned.predict_df(frame, [0.1]), check_exact=True)


def test_the_saved_folder_loads_with_plain_peft(tuned: Forecaster, base_folder: str, tmp_path: Path) -> None:
    tuned.save_pretrained(tmp_path / "run")
    trace = json.loads((tmp_path / "run" / "trace.json").read_text())
    fresh = ForecastModel.from_pretrained(base_folder, HORIZON, HeadConfig(**trace["head"]))
    plain = PeftModel.from_pretrained(fresh, str(tmp_path / "run")).eval()
    series = torch.randn(4, 1, 64)
    with torch.no_grad():
        assert (plain(series).forecast - tuned.model(series).forecast).abs().max().item() == 0.0


def test_merged_forecasts_agree(tuned: Forecaster) -> None:
    frame = seasonal_frame(items=1)
    merged = tuned.merge().predict_df(frame)["predictions"]
    np.testing.assert_allclose(merged, tuned.predict_df(frame)["predictions"], atol=1e-4)


def test_the_model_card_says_how_to_load_it(tuned: Forecaster, tmp_path: Path) -> None:
    tuned.save_pretrained(tmp_path / "run")
    card = (tmp_path / "run" / "README.md").read_text()
    assert "PeftModel.from_pretrained" in card
    assert f"prediction_length={HORIZON}" in card


@pytest.mark.parametrize("method", ["linear_probe", "dora", "full"])
def test_every_method_fits_saves_and_loads(base: Forecaster, tmp_path: Path, method: str) -> None:
    frame = seasonal_frame(items=1)
    tuned = base.fit(frame, config=quick(method))
    tuned.save_pretrained(tmp_path / "run")
    loaded = Forecaster.from_pretrained(tmp_path / "run", device="cpu")
    pd.testing.assert_frame_equal(loaded.predict_df(frame), tuned.predict_df(frame), check_exact=True)


def test_seeds_fix_the_result(base: Forecaster) -> None:
    frame = seasonal_frame(items=1)
    first, second = (base.fit(frame, config=quick()).predict_df(frame)["predictions"] for _ in range(2))
    np.testing.assert_array_equal(first, second)


def test_an_untrainable_run_falls_back_to_what_it_started_from(base: Forecaster, tmp_path: Path) -> None:
    """Constant validation data at the series' mean: no candidate can beat the others by training on noise."""
    ruinous = TrainingConfig(num_train_epochs=1, learning_rate=30.0, head_learning_rate=30.0, max_grad_norm=1e6)
    gradient = {"head": HeadConfig("flatten"), "head_start": "gradient", "head_training": ruinous}
    config = FitConfig(method="lora", start="head", training=ruinous, **gradient)
    frame = seasonal_frame(items=1)
    tuned = base.fit(frame, config=config)
    losses = {candidate["name"]: candidate["validation_loss"] for candidate in tuned.trace["candidates"]}
    assert tuned.trace["winner"] == "zero-shot"
    assert losses["zero-shot"] == min(losses.values())
    np.testing.assert_allclose(tuned.predict_df(frame)["predictions"], base.predict_df(frame)["predictions"], rtol=1e-6)
    tuned.save_pretrained(tmp_path / "run")
    loaded = Forecaster.from_pretrained(tmp_path / "run", device="cpu")
    pd.testing.assert_frame_equal(loaded.predict_df(frame), tuned.predict_df(frame), check_exact=True)


def test_validation_frames_choose_the_model(base: Forecaster) -> None:
    frame = seasonal_frame()
    early, late = frame[frame["timestamp"] < "2024-01-09"], frame[frame["timestamp"] >= "2024-01-09"]
    tuned = base.fit(early, late, quick("linear_probe"))
    assert tuned.trace["data"]["validation_windows"] == 2 * 3 * (16 - HORIZON + 1)  # series, periods, origins


def test_gaps_and_unequal_lengths_are_normal(base: Forecaster) -> None:
    frame = seasonal_frame(items=3)
    holes = frame.sample(frac=0.1, random_state=0).index
    frame.loc[holes, "target"] = np.nan
    frame = frame.drop(index=frame.index[250:300])  # a gap in item1
    frame = frame.drop(index=frame.index[-200:])  # item2 is short
    forecast = base.fit(frame, config=quick("linear_probe")).predict_df(frame)
    assert np.isfinite(forecast["predictions"]).all()
    assert len(forecast) == 3 * HORIZON


def test_a_constant_series_is_forecast_as_that_constant(base: Forecaster) -> None:
    frame = seasonal_frame(items=1).assign(target=7.0)
    np.testing.assert_array_equal(base.predict_df(frame)["predictions"], 7.0)


def test_evaluation_puts_the_naive_forecasts_beside(tuned: Forecaster) -> None:
    table = tuned.evaluate(seasonal_frame(), test_length=HORIZON).overall.set_index("forecaster")
    assert list(table.index) == ["model", "repeat last", "seasonal naive (24)"]
    assert (table["windows"] == 2).all()
    assert table.loc["model", "mse"] < table.loc["repeat last", "mse"]


def test_forecasts_are_clipped_at_zero_where_asked(base: Forecaster, tmp_path: Path, caplog: object) -> None:
    frame = seasonal_frame(items=1)[:-HORIZON]  # what follows is the low half of a day
    frame["target"] = np.maximum(frame["target"] - 1.2, 0.0)
    tuned = base.fit(frame, config=quick("linear_probe"))
    assert "non_negative=True keeps forecasts at or above 0" in caplog.text
    levels = [0.05, 0.5, 0.95]
    columns = ["predictions", *map(str, levels)]
    free = tuned.predict_df(frame, levels)[columns]
    assert free.to_numpy().min() < 0
    clipped = tuned.predict_df(frame, levels, non_negative=True)[columns]
    pd.testing.assert_frame_equal(clipped, free.clip(lower=0.0))

    caplog.clear()
    clips = base.fit(frame, config=quick("linear_probe"), non_negative=True)
    assert "non_negative" not in caplog.text
    clips.save_pretrained(tmp_path / "run")
    loaded = Forecaster.from_pretrained(tmp_path / "run", device="cpu")
    pd.testing.assert_frame_equal(loaded.predict_df(frame, levels)[columns], clipped)
    assert next(loaded.predict_arrays([frame["target"].to_numpy()[None]])).min() == 0.0
    pd.testing.assert_frame_equal(loaded.predict_df(frame, levels, non_negative=False)[columns], free)


@pytest.mark.parametrize("levels", [np.array([0.1, 0.9]), ["0.1", "0.9"], (0.1, 0.9, 0.1)])
def test_quantile_levels_come_in_many_forms(tuned: Forecaster, levels: object) -> None:
    forecast = tuned.predict_df(seasonal_frame(), levels)
    pd.testing.assert_frame_equal(forecast, tuned.predict_df(seasonal_frame(), [0.1, 0.9]))
    assert list(tuned.predict_df(seasonal_frame(), 0.1).columns)[-2:] == ["predictions", "0.1"]


def test_quantiles_never_cross_and_the_point_forecast_is_the_median(tuned: Forecaster) -> None:
    levels = [0.01, 0.1, 0.3, 0.45, 0.5, 0.55, 0.7, 0.9, 0.99]
    forecast = tuned.predict_df(seasonal_frame(), levels)
    assert (np.diff(forecast[list(map(str, levels))].to_numpy(), axis=1) >= 0).all()
    np.testing.assert_array_equal(forecast["0.5"], forecast["predictions"])


def test_an_interrupted_run_ends_where_an_uninterrupted_one_does(base: Forecaster, tmp_path: Path) -> None:
    frame = seasonal_frame(items=1)
    whole = base.fit(frame, config=quick(checkpoints=str(tmp_path / "whole")))
    again = base.fit(frame, config=quick(checkpoints=str(tmp_path / "whole")))  # every phase resumes at its end
    np.testing.assert_array_equal(again.predict_df(frame)["predictions"], whole.predict_df(frame)["predictions"])


def test_wrong_use_is_refused(base: Forecaster, base_folder: str, tuned: Forecaster, tmp_path: Path) -> None:
    with pytest.raises(InputError, match="Expected prediction_length"):
        Forecaster.from_pretrained(base_folder)
    with pytest.raises(InputError, match="Nothing to save"):
        base.save_pretrained(tmp_path / "nothing")
    with pytest.raises(InputError, match="Quantiles need a fitted forecaster"):
        base.predict_df(seasonal_frame(), [0.5])
    for levels, found in (([1.5], "1.5"), ([None], "None"), ("high", "'high'"), ({"low": 0.1}, "{'low': 0.1}")):
        with pytest.raises(InputError, match=f"Expected quantile_levels .* found {found}"):
            tuned.predict_df(seasonal_frame(), levels)
    with pytest.raises(InputError, match=r"between 0\.01 and 0\.99, found 0\.999"):
        tuned.predict_df(seasonal_frame(), [0.999])
    with pytest.raises(InputError, match="is fine-tuned already"):
        tuned.fit(seasonal_frame())
    with pytest.raises(InputError, match="Did you mean 'lora'"):
        FitConfig(method="lorra")
    with pytest.raises(InputError, match="Unknown reading option 'prediction_length'"):
        base.fit(seasonal_frame(), prediction_length=HORIZON)
    assert not (tmp_path / "nothing").exists()


def test_another_horizon_or_backbone_than_was_saved_is_refused(tuned: Forecaster, tmp_path: Path) -> None:
    tuned.save_pretrained(tmp_path / "run")
    with pytest.raises(InputError, match=f"prediction_length={HORIZON}, found prediction_length=5"):
        Forecaster.from_pretrained(tmp_path / "run", prediction_length=5)
    other = save_tiny(tmp_path / "other", seed=9)
    with pytest.raises(InputError, match="the weights differ"):
        Forecaster.from_pretrained(tmp_path / "run", base=other)


def test_lora_options_reach_peft(base: Forecaster, tmp_path: Path) -> None:
    options = LoraOptions(r=1, lora_alpha=3, target_modules=("*.q",))
    tuned = base.fit(seasonal_frame(items=1), config=quick(Lora(options)))
    if tuned.trace["winner"] == "lora":
        tuned.save_pretrained(tmp_path / "run")
        config = json.loads((tmp_path / "run" / "adapter_config.json").read_text())
        assert (config["r"], config["lora_alpha"], len(config["target_modules"])) == (1, 3, 2)
    else:
        assert tuned.trace["config"]["method"]["lora"]["target_modules"] == ("*.q",)


def test_fitting_follows_the_units_of_the_series(base: Forecaster) -> None:
    """The same losses and the same forecasts at magnitudes whose squares no number holds."""
    frame = seasonal_frame(items=1)
    plain = base.fit(frame, config=quick("linear_probe"))
    for magnitude in (1e250, 1e-250):
        scaled = frame.assign(target=frame["target"] * magnitude)
        tuned = base.fit(scaled, config=quick("linear_probe"))
        for found, expected in zip(tuned.trace["candidates"], plain.trace["candidates"], strict=True):
            assert found["validation_loss"] == pytest.approx(expected["validation_loss"], rel=1e-3)
        forecast = tuned.predict_df(scaled, [0.1])[["predictions", "0.1"]] / magnitude
        np.testing.assert_allclose(forecast, plain.predict_df(frame, [0.1])[["predictions", "0.1"]], atol=1e-3)
    with pytest.raises(InputError, match=r"at most 1e\+300 in magnitude, found larger ones in item 'item0'"):
        base.fit(frame.assign(target=frame["target"] * 1e307), config=quick("linear_probe"))


def test_zeros_are_learned_and_forecast_as_zeros(base: Forecaster) -> None:
    frame = seasonal_frame(items=1).assign(target=0.0)
    forecast = base.fit(frame, config=quick("linear_probe")).predict_df(frame, [0.1, 0.9])
    np.testing.assert_array_equal(forecast[["predictions", "0.1", "0.9"]], 0.0)


def test_epochs_of_long_series_are_bounded_and_that_is_said(
    base: Forecaster, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(epoch_bound, "EPOCH_WINDOWS", 64)
    tuned = base.fit(seasonal_frame(), config=FitConfig(method="linear_probe"))
    (said,) = (record.getMessage() for record in caplog.records if "epoch_windows" in record.getMessage())
    assert said.startswith("An epoch is 64 of the ")
    assert said.endswith("windows that can train, drawn anew each time; epoch_windows='all' takes all of them.")
    assert tuned.trace is not None
    assert tuned.trace["config"]["head_training"]["epoch_windows"] == 64
    assert tuned.history["head"][-1]["step"] <= 10
    caplog.clear()
    every = quick("linear_probe")
    every = replace(every, head_training=replace(every.head_training, epoch_windows="all"))
    base.fit(seasonal_frame(), config=every)
    assert "epoch_windows" not in caplog.text


def test_short_series_train_as_without_a_bound(base: Forecaster, caplog: pytest.LogCaptureFixture) -> None:
    tuned = base.fit(seasonal_frame(), config=quick())
    assert tuned.trace is not None
    phases = (tuned.trace["config"][name]["epoch_windows"] for name in ("head_training", "training"))
    assert list(phases) == ["all", "all"]
    assert "An epoch is" not in caplog.text
