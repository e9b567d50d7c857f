"""Chronos-Bolt behind the protocol: its numbers are those of the original pipeline on the original class."""

import builtins
import json
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import torch
from peft import PeftModel
from safetensors.torch import load_file, save_file

from tests.tiny import seasonal_frame
from tracetune import FitConfig, Forecaster, ForecastModel, HeadConfig, InputError, Lora, Trace, TrainingConfig
from tracetune.adapters.lora import target_layers
from tracetune.backbones.chronos_bolt import ChronosBolt
from tracetune.backbones.loading import load_backbone
from tracetune.selection.config import SelectionConfig
from tracetune.tasks.forecasting.losses import quantile_loss_per_sample

chronos_bolt = pytest.importorskip("chronos.chronos_bolt")
from transformers import T5Config  # noqa: E402  # after the check for the extra

CONTEXT, PATCH, WIDTH, PASS = 64, 8, 16, 8
LEVELS = [0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9]


def original(reg_token: bool = True) -> Any:
    """A small random model of the original class, weights large enough for quantiles to differ."""
    torch.manual_seed(0)
    config = T5Config(
        d_model=WIDTH,
        d_kv=8,
        d_ff=32,
        num_layers=2,
        num_decoder_layers=1,
        num_heads=2,
        feed_forward_proj="relu",
        dropout_rate=0.1,
        decoder_start_token_id=0,
        pad_token_id=0,
        initializer_factor=0.3,
        chronos_config={
            "context_length": CONTEXT,
            "prediction_length": PASS,
            "input_patch_size": PATCH,
            "input_patch_stride": PATCH,
            "quantiles": LEVELS,
            "use_reg_token": reg_token,
        },
    )
    return chronos_bolt.ChronosBoltModelForForecasting(config).eval()


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("bolt")
    original().save_pretrained(path)
    return path


@pytest.fixture(scope="module")
def pipeline(folder: Path) -> Any:
    return chronos_bolt.ChronosBoltPipeline.from_pretrained(str(folder))


@pytest.mark.parametrize("horizon", [5, PASS, 2 * PASS + 3])
def test_quantiles_are_those_of_the_original_pipeline(folder: Path, pipeline: Any, horizon: int) -> None:
    backbone = load_backbone(folder)
    generator = torch.Generator().manual_seed(1)
    values = 10 + torch.randn(3, 100, generator=generator).cumsum(-1)  # longer than the model's context
    values[1, 70:80] = torch.nan
    values[2, :60] = torch.nan
    expected, median = pipeline.predict_quantiles(values, prediction_length=horizon, quantile_levels=LEVELS)
    mask = (~values.isnan()).float()
    with torch.no_grad():
        given = values.nan_to_num(nan=7.0).unsqueeze(1), mask.unsqueeze(1), horizon
        quantiles, points = backbone.forecast_quantiles(*given), backbone.forecast(*given)
    assert quantiles.shape == (3, 1, horizon, len(LEVELS))
    torch.testing.assert_close(quantiles[:, 0], expected, rtol=1e-5, atol=1e-5)
    torch.testing.assert_close(points[:, 0], median, rtol=1e-5, atol=1e-5)
    assert backbone.num_passes(CONTEXT, horizon) == -(-horizon // PASS)


def test_forecasts_of_frames_are_those_of_the_original_pipeline(folder: Path, pipeline: Any) -> None:
    frame = seasonal_frame(items=2, length=50)
    levels = [0.1, 0.5, 0.75, 0.9]
    forecast = Forecaster.from_pretrained(folder, 12, device="cpu").predict_df(frame, quantile_levels=levels)
    contexts = [torch.tensor(one["target"].to_numpy(np.float32)) for _, one in frame.groupby("item_id")]
    expected, median = pipeline.predict_quantiles(contexts, prediction_length=12, quantile_levels=LEVELS)
    scale = np.repeat([float(one.std()) for one in contexts], 12)

    def column(name: str) -> np.ndarray:
        return forecast[name].to_numpy() / scale

    def original_column(level: float) -> np.ndarray:
        return expected[..., LEVELS.index(level)].flatten().numpy() / scale

    np.testing.assert_allclose(column("predictions"), median.flatten().numpy() / scale, atol=1e-5)
    for level in (0.1, 0.5, 0.9):
        np.testing.assert_allclose(column(str(level)), original_column(level), atol=1e-5)
    np.testing.assert_allclose(column("0.75"), (original_column(0.7) + original_column(0.8)) / 2, atol=1e-5)
    assert np.ptp(column("0.9") - column("0.1")) > 1e-3


def test_a_backtest_measures_the_quantiles_of_the_model(folder: Path) -> None:
    """Their levels are 0.1 to 0.9, so that the 90 % interval is none of theirs."""
    frame = seasonal_frame(items=1, length=160)
    forecaster = Forecaster.from_pretrained(folder, prediction_length=PASS, device="cpu")
    found = forecaster.evaluate(frame, test_length=PASS).coverage
    whole = found[found["period"] == "all"].set_index("level")["coverage"]
    assert whole.index.tolist() == [0.5, 0.8]
    history, truth = frame[:-PASS], frame["target"].to_numpy()[-PASS:]
    quantiles = forecaster.predict_df(history, [0.1, 0.25, 0.75, 0.9])
    for low, high, level in (("0.25", "0.75", 0.5), ("0.1", "0.9", 0.8)):
        inside = (truth >= quantiles[low]) & (truth <= quantiles[high])
        assert whole[level] == inside.mean()


def test_levels_beyond_those_of_the_model_are_refused(folder: Path) -> None:
    with pytest.raises(InputError, match=r"between 0\.1 and 0\.9, found 0\.05"):
        Forecaster.from_pretrained(folder, 4, device="cpu").predict_df(
            seasonal_frame(items=1, length=50), quantile_levels=[0.05]
        )


@pytest.mark.parametrize("reg_token", [True, False])
def test_tokens_are_those_of_the_encoder(reg_token: bool) -> None:
    model = original(reg_token)
    backbone = ChronosBolt(model)
    for steps in (CONTEXT, 50, 3, 100):
        values = torch.randn(2, 3, steps)
        with torch.no_grad():
            tokens, statistics = backbone.encode(values)
            expected, (location, scale), *_ = model.encode(context=values.flatten(0, 1))
        assert tokens.shape == (2, 3, backbone.num_patches(steps), WIDTH)
        torch.testing.assert_close(tokens.flatten(0, 1), expected)
        torch.testing.assert_close(statistics.location.flatten(0, 1), location)
        torch.testing.assert_close(statistics.scale.flatten(0, 1), scale)
    with pytest.raises(InputError, match="cannot hide patches"):
        backbone.encode(values, patch_mask=torch.zeros(2, 13, dtype=torch.bool))


def test_quantile_loss_is_that_of_the_original_class() -> None:
    model = original()
    context, target = torch.randn(4, CONTEXT), torch.randn(4, PASS)
    target[0, 2] = torch.nan
    with torch.no_grad():
        output = model(context=context, target=target.clone())
        quantiles = ChronosBolt(model).forecast_quantiles(context.unsqueeze(1), None, PASS)
    scale = context.std(-1, correction=0)
    observed = ~target.isnan()
    losses = quantile_loss_per_sample(quantiles, LEVELS, target.nan_to_num().unsqueeze(1), observed.unsqueeze(1))
    torch.testing.assert_close((losses * observed.sum(-1) / scale).mean(), output.loss, rtol=1e-5, atol=1e-5)


def test_the_published_layout_is_read_and_written(folder: Path, tmp_path: Path) -> None:
    backbone = load_backbone(folder)
    backbone.save_pretrained(tmp_path / "again")
    before, after = (load_file(path / "model.safetensors") for path in (folder, tmp_path / "again"))
    assert before.keys() == after.keys()
    assert all(torch.equal(before[key], after[key]) for key in before)
    assert json.loads((tmp_path / "again" / "config.json").read_text())["chronos_config"]["quantiles"] == LEVELS
    state = torch.get_rng_state()
    load_backbone(tmp_path / "again")
    assert torch.equal(torch.get_rng_state(), state)


def test_damaged_folders_are_refused(folder: Path, tmp_path: Path) -> None:
    config, weights = json.loads((folder / "config.json").read_text()), load_file(folder / "model.safetensors")

    def refused(message: str, new_config: dict[str, Any], new_weights: dict[str, torch.Tensor]) -> None:
        (tmp_path / "config.json").write_text(json.dumps(new_config))
        save_file(new_weights, tmp_path / "model.safetensors")
        with pytest.raises(InputError, match=message):
            load_backbone(tmp_path)

    lacking = {key: tensor for key, tensor in weights.items() if key != "output_patch_embedding.output_layer.weight"}
    refused("missing .*output_layer", config, lacking)
    refused("(?s)do not fit.*size mismatch", {**config, "d_model": 32}, weights)
    refused(
        "Expected chronos_config", {key: value for key, value in config.items() if key != "chronos_config"}, weights
    )
    odd = {**config["chronos_config"], "colour": "blue"}
    refused("describes no Chronos-Bolt model", {**config, "chronos_config": odd}, weights)
    levels = {**config["chronos_config"], "quantiles": [*LEVELS[:4], 0.45, *LEVELS[5:]]}
    refused("with 0.5 in chronos_config", {**config, "chronos_config": levels}, weights)


def test_the_extra_is_named(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    real = builtins.__import__

    def without_chronos(name: str, *arguments: Any, **options: Any) -> Any:
        if name.startswith("chronos"):
            raise ImportError("No module named 'chronos'")
        return real(name, *arguments, **options)

    monkeypatch.setattr(builtins, "__import__", without_chronos)
    with pytest.raises(InputError, match=r"pip install 'tracetune\[chronos\]'"):
        load_backbone(folder)


def quick(method: Any, **options: Any) -> FitConfig:
    training = TrainingConfig(max_steps=12, batch_size=16, evaluations=2, learning_rate=5e-3)
    return FitConfig(method=method, training=training, head_training=training, guard_margin=0.0, **options)


TRACE = Trace(SelectionConfig(keep=6, warmup_steps=2, final_step=8, interval=3, cost_share=1.0, scoring_batches=2))


@pytest.mark.parametrize("method", [Lora(), TRACE])
def test_quantiles_are_tuned_from_zero_shot(folder: Path, method: Any, tmp_path: Path) -> None:
    frame = seasonal_frame(items=1, length=160)
    base = Forecaster.from_pretrained(folder, PASS, device="cpu")
    tuned = base.fit(frame, config=quick(method, start="zero-shot"))
    assert tuned.trace is not None
    assert tuned.trace["winner"] == method.name  # a random model leaves much to learn
    assert tuned.forecast_model.head is None
    history = pd.DataFrame(frame)
    levels = [0.1, 0.35, 0.9]
    forecast = tuned.predict_df(history, quantile_levels=levels)
    tuned.save_pretrained(tmp_path / "tuned")
    assert (tmp_path / "tuned" / "adapter_config.json").is_file()
    again = Forecaster.from_pretrained(tmp_path / "tuned", device="cpu").predict_df(history, quantile_levels=levels)
    pd.testing.assert_frame_equal(forecast, again, rtol=1e-6)
    plain = PeftModel.from_pretrained(ForecastModel(load_backbone(folder), None, PASS, CONTEXT), tmp_path / "tuned")
    batch = {"past_values": torch.randn(2, 1, CONTEXT), "input_mask": torch.ones(2, 1, CONTEXT)}
    with torch.no_grad():
        torch.testing.assert_close(plain.eval()(**batch).quantiles, tuned.model(**batch).quantiles)
    assert not np.allclose(forecast["0.9"], base.predict_df(history, quantile_levels=levels)["0.9"])


def test_head_on_tokens_of_the_encoder(folder: Path) -> None:
    frame = seasonal_frame(items=1, length=160)
    base = Forecaster.from_pretrained(folder, PASS, device="cpu")
    tuned = base.fit(frame, config=quick("linear_probe", head=HeadConfig("projection", beta=2)))
    assert tuned.trace is not None
    assert [one["name"] for one in tuned.trace["candidates"]] == ["zero-shot", "head"]
    assert tuned.trace["winner"] == "head"
    forecast = tuned.predict_df(frame, quantile_levels=[0.01, 0.9])  # of validation errors
    assert (forecast["0.01"] <= forecast["0.9"]).all()


def test_the_decoder_is_not_adapted_under_a_head_which_never_runs_it(folder: Path) -> None:
    backbone = load_backbone(folder)
    zero_shot = target_layers(ForecastModel.from_backbone(backbone, PASS))
    with_head = target_layers(ForecastModel.from_backbone(backbone, PASS, HeadConfig("projection", beta=2)))
    assert with_head == [name for name in zero_shot if ".decoder." not in name]
    assert 0 < len(with_head) < len(zero_shot)
