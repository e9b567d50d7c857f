"""MOMENT: outputs equal momentfm's, files interchange, any context length, gaps."""

import json
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.backbones.peer import GEOMETRIES, moment_config, peer_model, save_peer
from tests.tiny import CONTEXT, PATCH, tiny_backbone
from tracetune.backbones.loading import load_backbone, weights_digest
from tracetune.backbones.moment import Moment, MomentConfig
from tracetune.backbones.normalisation import interpolate_gaps, normalise
from tracetune.base.errors import InputError
from tracetune.heads.config import HeadConfig
from tracetune.tasks.forecasting.model import ForecastModel

TOLERANCE = 1e-5
SMALL_ENCODER_PARAMETERS = 35_332_800  # published count, with the unused token embedding


def tiny_moment(patch_len: int = 8, seq_len: int = 64, **options: object) -> Moment:
    geometry = {"d_model": 32, "d_kv": 16, "d_ff": 48, "num_layers": 2, "num_heads": 2}
    t5_config = {"feed_forward_proj": "gated-gelu", "dropout_rate": 0.1, **geometry}
    return Moment(MomentConfig(t5_config=t5_config, patch_len=patch_len, seq_len=seq_len, **options)).eval()


def input_masks(batch: int, length: int) -> dict[str, torch.Tensor]:
    prefix = torch.ones(batch, length)
    prefix[:, : length // 5 + 3] = 0
    scattered = (torch.rand(batch, length) > 0.02).float()
    return {"observed": torch.ones(batch, length), "prefix": prefix, "scattered": scattered}


def assert_close(ours: torch.Tensor, theirs: torch.Tensor) -> None:
    scale = max(1.0, float(theirs.abs().max()))  # errors grow with the scale that the series are brought back to
    torch.testing.assert_close(ours, theirs, atol=TOLERANCE * scale, rtol=TOLERANCE)


def assert_equal_outputs(tmp_path: Path, config: dict, channels: tuple[int, ...]) -> None:
    peer = peer_model(config)
    ours = load_backbone(save_peer(peer, tmp_path, config))
    length, patch = config["seq_len"], config["patch_len"]
    for count in channels:
        series = torch.randn(2, count, length).cumsum(-1)
        for input_mask in input_masks(2, length).values():
            hidden = torch.rand(2, length // patch) < 0.3
            visible = 1 - hidden.repeat_interleave(patch, dim=-1).float()
            with torch.no_grad():
                theirs = peer(x_enc=series, input_mask=input_mask, mask=visible).reconstruction
                assert_close(ours(series, input_mask, hidden), theirs)
                theirs = peer.embed(x_enc=series, input_mask=input_mask).embeddings
                assert_close(ours.embed(series, input_mask), theirs)
                theirs = peer.short_forecast(x_enc=series, input_mask=input_mask.clone(), forecast_horizon=20).forecast
                assert_close(ours.forecast(series, input_mask, 20), theirs)


def assert_equal_forecasts(tmp_path: Path, config: dict, channels: tuple[int, ...]) -> None:
    peer = peer_model(config, task_name="forecasting", forecast_horizon=24)
    reconstruction = peer_model(config)
    for module in ("patch_embedding", "encoder"):
        getattr(reconstruction, module).load_state_dict(getattr(peer, module).state_dict())
    folder = save_peer(reconstruction, tmp_path, config)
    ours = ForecastModel.from_pretrained(str(folder), 24, HeadConfig("flatten")).eval()
    ours.head.output.load_state_dict(peer.head.linear.state_dict())
    for count in channels:
        series = torch.randn(2, count, config["seq_len"]).cumsum(-1)
        for input_mask in input_masks(2, config["seq_len"]).values():
            with torch.no_grad():
                theirs = peer(x_enc=series, input_mask=input_mask).forecast
                assert_close(ours(series, input_mask).forecast, theirs)


@pytest.mark.parametrize(("seq_len", "patch_len"), [(512, 8), (128, 16)])
def test_reconstruction_embedding_and_short_forecast_equal_momentfm(
    tmp_path: Path, seq_len: int, patch_len: int
) -> None:
    assert_equal_outputs(tmp_path, moment_config(GEOMETRIES["small"], seq_len, patch_len), channels=(1, 7))


def test_forecasts_equal_momentfm(tmp_path: Path) -> None:
    assert_equal_forecasts(tmp_path, moment_config(GEOMETRIES["small"]), channels=(1, 7))


@pytest.mark.slow
@pytest.mark.parametrize("geometry", ["base", "large"])
def test_large_geometries_equal_momentfm(tmp_path: Path, geometry: str) -> None:
    config = moment_config(GEOMETRIES[geometry])
    assert_equal_outputs(tmp_path / "reconstruction", config, channels=(1, 7))
    assert_equal_forecasts(tmp_path / "forecasting", config, channels=(1, 7))


def test_saved_weights_load_into_momentfm(tmp_path: Path) -> None:
    config = moment_config({"d_model": 64, "d_ff": 96, "num_layers": 2, "num_heads": 2}, seq_len=128)
    ours = Moment(MomentConfig.from_dict(config)).eval()
    ours.save_pretrained(tmp_path)
    peer = peer_model(config).__class__.from_pretrained(tmp_path, model_kwargs={"task_name": "reconstruction"}).eval()
    series, input_mask = torch.randn(2, 3, 128), torch.ones(2, 128)
    with torch.no_grad():
        assert_close(ours.embed(series, input_mask), peer.embed(x_enc=series, input_mask=input_mask).embeddings)


def test_unused_token_embedding_is_dropped() -> None:
    model = Moment(MomentConfig.from_dict(moment_config(GEOMETRIES["small"])))
    token_embedding = 32128 * 512
    assert (
        sum(parameter.numel() for parameter in model.encoder.parameters()) == SMALL_ENCODER_PARAMETERS - token_embedding
    )


def test_saving_and_loading_keeps_everything(tmp_path: Path) -> None:
    model = tiny_moment(partial_patches="fill", other={"task_name": "reconstruction"})
    model.save_pretrained(tmp_path)
    loaded = load_backbone(tmp_path)
    assert loaded.config.to_dict() == model.config.to_dict()
    assert weights_digest(loaded) == weights_digest(model)


@pytest.mark.parametrize("length", [5, 64, 61, 200, 700])
def test_any_context_length_works(length: int) -> None:
    model = tiny_moment()
    series = torch.randn(3, 2, length)
    tokens, statistics = model.encode(series)
    assert tokens.shape == (3, 2, -(-length // 8), 32)
    assert statistics.location.shape == (3, 2, 1)
    assert model(series).shape == series.shape
    assert torch.isfinite(model.forecast(series, None, 10)).all()


def test_left_padding_equals_masked_steps() -> None:
    model = tiny_moment()
    series = torch.randn(2, 1, 61)
    padded = torch.cat([torch.full((2, 1, 3), torch.nan), series], dim=-1)
    torch.testing.assert_close(model.encode(series)[0], model.encode(padded)[0])


def test_normalisation_keeps_no_state_between_inputs() -> None:
    model = tiny_moment()
    first, second = torch.randn(2, 1, 64) + 100, torch.randn(2, 1, 64) * 50
    _, statistics = model.encode(first)
    model.encode(second)
    torch.testing.assert_close(statistics.location, first.mean(-1, keepdim=True))


def test_a_long_horizon_is_forecast_in_pieces() -> None:
    model = tiny_moment()
    forecast = model.forecast(torch.randn(1, 1, 64), None, 100)
    assert forecast.shape == (1, 1, 100)
    assert torch.isfinite(forecast).all()


@pytest.mark.parametrize("partial_patches", ["mask", "fill"])
def test_nothing_observed_gives_finite_output(partial_patches: str) -> None:
    model = tiny_moment(partial_patches=partial_patches)
    output = model(torch.full((1, 2, 64), torch.nan), torch.zeros(1, 64))
    assert torch.isfinite(output).all()


def test_filled_gaps_hardly_change_a_smooth_series() -> None:
    steps = torch.arange(64.0)
    series = torch.sin(steps / 7).view(1, 1, 64)
    observed = torch.ones(1, 1, 64)
    observed[..., 3::8] = 0  # one step of every patch is missing
    whole = tiny_moment(partial_patches="fill")
    tokens, _ = whole.encode(series)
    filled, _ = whole.encode(torch.where(observed > 0, series, torch.nan), observed)
    torch.testing.assert_close(filled, tokens, atol=0.05, rtol=0.05)


@settings(max_examples=50)
@given(st.integers(1, 40), st.integers(0, 2**32 - 1))
def test_gap_filling_equals_numpy_interpolation(length: int, seed: int) -> None:
    rng = np.random.default_rng(seed)
    values, observed = rng.normal(size=length).astype(np.float32), rng.random(length) < 0.5
    filled = interpolate_gaps(torch.tensor(values), torch.tensor(observed)).numpy()
    steps = np.arange(length)
    expected = np.interp(steps, steps[observed], values[observed]) if observed.any() else np.zeros(length)
    np.testing.assert_allclose(filled, expected, atol=1e-5)


def test_normalise_ignores_what_is_hidden() -> None:
    values = torch.tensor([[[1.0, 3.0, 500.0, torch.nan]]])
    normalised, statistics = normalise(values, torch.tensor([[[True, True, False, False]]]))
    assert statistics.location.item() == 2.0
    assert statistics.scale.item() == pytest.approx(1.0, abs=1e-4)
    assert torch.isfinite(normalised).all()


def test_damaged_weights_are_refused(tmp_path: Path) -> None:
    tiny_moment().save_pretrained(tmp_path)
    weights = tmp_path / "model.safetensors"
    weights.write_bytes(weights.read_bytes()[:-100])
    with pytest.raises(InputError, match="damaged or truncated"):
        load_backbone(tmp_path)


def test_weights_of_another_geometry_are_refused(tmp_path: Path) -> None:
    tiny_moment().save_pretrained(tmp_path)
    config = json.loads((tmp_path / "config.json").read_text())
    config["patch_len"] = config["patch_stride_len"] = 16
    (tmp_path / "config.json").write_text(json.dumps(config))
    with pytest.raises(InputError, match="do not fit"):
        load_backbone(tmp_path)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"patch_stride_len": 4}, "patch_stride_len equal to patch_len"),
        ({"revin_affine": True}, "revin_affine=false"),
        ({"partial_patches": "drop"}, "'mask' or 'fill'"),
    ],
)
def test_unusable_geometry_is_refused(change: dict, message: str) -> None:
    config = moment_config({"d_model": 32, "d_ff": 48, "num_layers": 1, "num_heads": 2}) | change
    with pytest.raises(InputError, match=message):
        MomentConfig.from_dict(config)


def test_missing_t5_config_is_refused() -> None:
    with pytest.raises(InputError, match="no 't5_config'"):
        MomentConfig.from_dict({"seq_len": 512})


def test_unknown_model_suggests_the_nearest() -> None:
    with pytest.raises(InputError, match=r"Did you mean .*tracetune/tiny"):
        load_backbone("tracetune-tiny")


def test_unreachable_hub_is_reported() -> None:
    with pytest.raises(InputError, match=r"Downloading it from the Hugging Face hub failed"):
        load_backbone("AutonLab/MOMENT-1-smal")


def test_empty_patches_before_short_series_make_no_difference() -> None:
    backbone = tiny_backbone()
    past = torch.full((2, 1, 64), torch.nan)
    past[0, 0, -20:], past[1, 0, -9:] = torch.randn(20).cumsum(-1), torch.randn(9)
    with torch.no_grad():
        whole, statistics = backbone.encode_future(past, None, 12)
        only, same = backbone.encode_future(past, None, 12, future_only=True)
        forecast = backbone.forecast(past, None, 12)
    torch.testing.assert_close(only, whole[..., -2:, :])
    torch.testing.assert_close(forecast, statistics.denormalise(backbone.reconstruction(whole[..., -2:, :]))[..., :12])
    assert torch.equal(same.location, statistics.location)


def test_an_embedding_is_the_mean_over_observed_patches_of_every_channel() -> None:
    model = tiny_backbone()
    series = torch.randn(2, 2, CONTEXT)
    series[:, 1, : 2 * PATCH] = torch.nan  # of the second channel alone
    alone = [model.embed(series[:, channel : channel + 1]) for channel in range(2)]
    patches = [CONTEXT // PATCH, CONTEXT // PATCH - 2]
    expected = sum(count * each for count, each in zip(patches, alone, strict=True)) / sum(patches)
    torch.testing.assert_close(model.embed(series), expected)
