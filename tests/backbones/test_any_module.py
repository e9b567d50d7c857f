"""Modules of other people's making as backbones: described, checked, fine-tuned end to end."""

import doctest
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from peft import PeftModel
from torch import Tensor, nn

from tests.tiny import seasonal_frame
from tracetune import FitConfig, Forecaster, HeadConfig, InputError, LoraOptions, Trace, TrainingConfig, wrap_module
from tracetune.adapters.lora import add_lora
from tracetune.backbones import any_module
from tracetune.backbones.any_module import AnyModule
from tracetune.fitting.candidates import Candidates
from tracetune.selection.config import SelectionConfig
from tracetune.tasks.forecasting.model import ForecastModel

CONTEXT, PATCH, WIDTH, HORIZON = 48, 8, 16, 6


class Transformer(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.embed = nn.Linear(PATCH, WIDTH)
        layer = nn.TransformerEncoderLayer(WIDTH, 2, 32, batch_first=True)
        self.encoder = nn.TransformerEncoder(layer, 2, enable_nested_tensor=False)
        self.forecast_layer = nn.Linear(WIDTH, PATCH)

    def tokens(self, values: Tensor) -> Tensor:
        return self.encoder(self.embed(values.unflatten(-1, (-1, PATCH))))

    def forward(self, values: Tensor) -> Tensor:
        return self.forecast_layer(self.tokens(values)[:, -1])


class Recurrent(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.enter = nn.Linear(PATCH, WIDTH)
        self.gru = nn.GRU(WIDTH, WIDTH, batch_first=True)

    def forward(self, values: Tensor) -> tuple[Tensor, Tensor]:
        return self.gru(self.enter(values.unflatten(-1, (-1, PATCH))))


class Convolution(nn.Sequential):
    def __init__(self) -> None:
        super().__init__(nn.Conv1d(1, WIDTH, PATCH, stride=PATCH), nn.BatchNorm1d(WIDTH), nn.GELU())


def transformer(**options: Any) -> AnyModule:
    torch.manual_seed(0)
    described = {"context_length": CONTEXT, "width": WIDTH, "patch_length": PATCH, "encode": "tokens", **options}
    return wrap_module(Transformer(), **described).eval()


def recurrent(**options: Any) -> AnyModule:
    torch.manual_seed(0)
    described = {"context_length": CONTEXT, "width": WIDTH, "patch_length": PATCH, **options}
    return wrap_module(Recurrent(), **{"encode": lambda module, values, observed: module(values)[0], **described})


def convolution() -> AnyModule:
    torch.manual_seed(0)
    return wrap_module(
        Convolution(),
        context_length=CONTEXT,
        width=WIDTH,
        patch_length=PATCH,
        encode=lambda module, values, observed: module(values.unsqueeze(1)).transpose(1, 2),
    )


def quick(method: Any) -> FitConfig:
    training = TrainingConfig(max_steps=12, batch_size=16, evaluations=2, learning_rate=5e-3)
    return FitConfig(
        method=method, head=HeadConfig("projection", beta=2), training=training, head_training=replace(training)
    )


TRACE = Trace(SelectionConfig(keep=2, warmup_steps=2, final_step=8, interval=3, cost_share=1.0, scoring_batches=2))


@pytest.mark.parametrize(
    ("backbone", "method", "name"),
    [(transformer, TRACE, "trace"), (recurrent, "lora", "lora"), (convolution, "linear_probe", "head")],
)
def test_forecasting_is_fitted_end_to_end(backbone: Any, method: Any, name: str, tmp_path: Path) -> None:
    wrapped = backbone()
    before = {key: tensor.clone() for key, tensor in wrapped.state_dict().items()}
    frame = seasonal_frame(items=1, length=160)
    tuned = Forecaster.from_backbone(wrapped, HORIZON, device="cpu").fit(frame, config=quick(method))
    assert tuned.trace is not None
    candidates = [one["name"] for one in tuned.trace["candidates"]]
    assert candidates == (["head"] if name == "head" else ["head", name])
    after = wrapped.state_dict()
    assert all(torch.equal(after[key], tensor) for key, tensor in before.items())
    tuned.save_pretrained(tmp_path / "tuned")
    again = Forecaster.from_pretrained(tmp_path / "tuned", base=wrapped, device="cpu")
    want, got = (one.predict_df(frame)["predictions"].to_numpy() for one in (tuned, again))
    np.testing.assert_allclose(got, want, rtol=1e-6)
    assert np.isfinite(want).all()
    assert not isinstance(wrapped.module, PeftModel)
    with pytest.raises(InputError, match="weights differ"):
        other = backbone()
        with torch.no_grad():
            next(other.parameters()).add_(1.0)
        Forecaster.from_pretrained(tmp_path / "tuned", base=other, device="cpu")


@pytest.mark.parametrize("merged", [False, True])
def test_whole_weights_are_saved_and_come_back_into_the_module(
    merged: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(Candidates, "best", lambda self: list(self)[-1])  # the method, however it did
    frame = seasonal_frame(items=1, length=160)
    base = Forecaster.from_backbone(transformer(), HORIZON, device="cpu")
    tuned = base.fit(frame, config=quick("lora" if merged else "full"))
    assert tuned.trace is not None and tuned.trace["winner"] == ("lora" if merged else "full")
    tuned = tuned.merge()
    tuned.save_pretrained(tmp_path / "tuned")
    module = transformer()
    with torch.no_grad():
        next(module.parameters()).add_(1.0)  # other weights than those that were trained on
    again = Forecaster.from_pretrained(tmp_path / "tuned", base=module, device="cpu")
    want, got = (one.predict_df(frame)["predictions"].to_numpy() for one in (tuned, again))
    np.testing.assert_array_equal(got, want)
    with pytest.raises(InputError, match=r"base=wrap_module\(module"):
        Forecaster.from_pretrained(tmp_path / "tuned", device="cpu")
    with pytest.raises(InputError, match="do not fit"):
        Forecaster.from_pretrained(tmp_path / "tuned", base=recurrent(), device="cpu")


def test_what_comes_out_is_what_the_module_makes_of_normalised_series() -> None:
    backbone = transformer()
    values = 5 + 3 * torch.randn(2, 3, CONTEXT)
    with torch.no_grad():
        tokens, statistics = backbone.encode(values)
    mean, deviation = values.mean(-1, keepdim=True), values.std(-1, keepdim=True, correction=0) + 1e-5
    with torch.no_grad():
        expected = backbone.module.tokens(((values - mean) / deviation).flatten(0, 1))
    torch.testing.assert_close(tokens, expected.unflatten(0, (2, 3)), rtol=1e-4, atol=1e-5)
    torch.testing.assert_close(statistics.location, mean)
    torch.testing.assert_close(statistics.scale, deviation)


def test_gaps_are_filled_and_told() -> None:
    seen: list[tuple[Tensor, Tensor]] = []

    def encode(module: Any, values: Tensor, observed: Tensor) -> Tensor:
        seen.append((values, observed))
        return module.tokens(values)

    backbone = transformer(encode=encode)
    line = torch.arange(CONTEXT - 2.0).expand(1, 1, -1)  # padded on the left by two steps
    gaps = line.clone()
    gaps[..., 10:14] = torch.nan
    mask = torch.ones_like(gaps)
    mask[..., 20] = 0
    tokens = backbone.encode(gaps, mask).tokens
    assert tokens.shape == (1, 1, CONTEXT // PATCH, WIDTH)
    values, observed = seen[-1]
    assert (~observed[0]).nonzero().flatten().tolist() == [0, 1, 12, 13, 14, 15, 22]
    steps = values[0].diff()
    torch.testing.assert_close(steps[2:], steps[2].expand(CONTEXT - 3), rtol=1e-4, atol=1e-5)  # the line goes on
    assert steps[:2].abs().max() == 0  # the edge repeats the first step
    assert torch.isfinite(backbone.encode(torch.full((1, 1, CONTEXT), torch.nan)).tokens).all()


def test_adapters_count_where_pytorch_would_go_past_them() -> None:
    backbone = transformer()
    names = backbone.adapted_layers()
    assert names == ["module.embed", *(f"module.encoder.layers.{i}.linear{j}" for i in (0, 1) for j in (1, 2))]
    model = ForecastModel.from_backbone(backbone, HORIZON, HeadConfig("flatten"))
    adapted = add_lora(model, LoraOptions(r=2)).eval()
    values = torch.randn(2, 1, CONTEXT)
    with torch.no_grad():
        last = adapted(past_values=values).forecast
        for name in names:
            torch.nn.init.normal_(model.backbone.get_submodule(name).lora_B["default"].weight)
            now = adapted(past_values=values).forecast
            assert (now - last).abs().max() > 1e-6, name
            last = now


def test_layers_are_chosen_by_patterns(caplog: pytest.LogCaptureFixture) -> None:
    assert transformer(layers=("encoder.*.linear1",)).adapted_layers() == [
        "module.encoder.layers.0.linear1",
        "module.encoder.layers.1.linear1",
    ]
    caplog.clear()
    assert transformer(layers=("embed", "*")).adapted_layers() == transformer().adapted_layers()
    assert "forecast_layer" in caplog.text
    assert "self_attn.out_proj" in caplog.text
    with pytest.raises(InputError, match="it fits none"):
        transformer(layers=("decoder.*",))
    with pytest.raises(InputError, match="calls none of the layers"):
        transformer(layers=("forecast_layer",))


def test_joint_channels_and_summary_tokens() -> None:
    mixer = nn.Linear(3, 3)

    def encode(module: nn.Module, values: Tensor, observed: Tensor) -> Tensor:
        return module(values.transpose(1, 2)).transpose(1, 2).unflatten(-1, (-1, PATCH))

    with pytest.raises(InputError, match=r"failed on values \[2, 1, 48\]"):
        wrap_module(mixer, context_length=CONTEXT, width=PATCH, patch_length=PATCH, encode=encode, joint_channels=True)
    joint = wrap_module(
        nn.Identity(),
        context_length=CONTEXT,
        width=PATCH,
        patch_length=PATCH,
        encode=lambda module, values, observed: (values - values.mean(1, keepdim=True)).unflatten(-1, (-1, PATCH)),
        joint_channels=True,
    )
    tokens = joint.encode(torch.randn(2, 3, CONTEXT)).tokens
    assert tokens.shape == (2, 3, CONTEXT // PATCH, PATCH)
    torch.testing.assert_close(tokens.sum(1), torch.zeros_like(tokens[:, 0]), atol=1e-5, rtol=0)
    summary = recurrent(encode=lambda module, values, observed: module(values)[0][:, -1:], num_tokens=lambda steps: 1)
    assert summary.num_patches(CONTEXT) == 1
    assert summary.encode(torch.randn(2, 3, CONTEXT)).tokens.shape == (2, 3, 1, WIDTH)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"encode": None}, r"Expected tokens .* = \[2, 6, 16\].*found a tensor of \[2, 8\]"),
        ({"width": 32}, r"= \[2, 6, 32\] of values \[2, 48\], found a tensor of \[2, 6, 16\]"),
        ({"patch_length": 4}, r"= \[2, 12, 16\]"),
        ({"encode": "tokenize"}, "name a submodule or method of Transformer, found 'tokenize'. Its submodules: embed"),
        ({"encode": "embed.in_features"}, "found the int"),
        ({"encode": "embed"}, "failed on values.*RuntimeError"),
        ({"width": 0}, "Expected width of at least 1"),
    ],
)
def test_another_module_than_described(options: dict[str, Any], message: str) -> None:
    with pytest.raises(InputError, match=message):
        transformer(**options)


def test_what_a_copy_would_not_use_is_refused() -> None:
    module = Recurrent()
    described = {"context_length": CONTEXT, "width": WIDTH, "patch_length": PATCH}
    with pytest.raises(InputError, match="found a tuple"):
        wrap_module(module, **described)
    for encode in (module.enter, module.forward):
        with pytest.raises(InputError, match="Give its name as a string"):
            wrap_module(module, encode=encode, **described)
    with pytest.raises(InputError, match="refers to the original"):
        wrap_module(module, encode=lambda _, values, observed: module(values)[0], **described)


def test_what_it_cannot_do_is_said() -> None:
    backbone = recurrent()
    with pytest.raises(InputError, match="AnyModule does not forecast by itself"):
        Forecaster.from_backbone(backbone, HORIZON, device="cpu").predict_df(seasonal_frame(items=1, length=60))
    with pytest.raises(InputError, match="cannot hide patches"):
        backbone.encode(torch.zeros(1, 1, CONTEXT), patch_mask=torch.zeros(1, 6, dtype=torch.bool))


def test_batch_normalisation_keeps_its_statistics() -> None:
    backbone = convolution()
    statistics = backbone.module[1].running_mean.clone()
    backbone.train().encode(torch.randn(4, 1, CONTEXT))
    assert torch.equal(backbone.module[1].running_mean, statistics)


def test_the_example_in_the_docstring() -> None:
    assert doctest.testmod(any_module).failed == 0
