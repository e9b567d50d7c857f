"""LoRA through PEFT: the right layers, the right parameters, and PEFT's traps."""

import warnings
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch
from peft.tuners.lora import LoraLayer
from torch import nn

from tests.tiny import HORIZON, WIDTH, tiny_forecast_model
from tests.tiny_text import save_tiny_text
from tracetune import Classifier, Forecaster, ForecastModel, HeadConfig
from tracetune.adapters.checkpoint import merged
from tracetune.adapters.lora import (
    LoraOptions,
    add_head_only,
    add_lora,
    chosen_layers,
    lora_parameters,
    running_layers,
    target_layers,
)
from tracetune.adapters.trained_head import trained_head
from tracetune.backbones.any_module import wrap_module
from tracetune.backbones.text_encoder_loading import load_text_encoder
from tracetune.base.errors import InputError
from tracetune.fitting import fit
from tracetune.heads.pooled import PooledHeadConfig
from tracetune.tasks.text import TextClassification


def test_every_linear_layer_of_the_encoder_is_adapted_and_nothing_else() -> None:
    model = add_lora(tiny_forecast_model(), LoraOptions(r=3))
    adapted = [name for name, module in model.named_modules() if isinstance(module, LoraLayer)]
    assert len(adapted) == 2 * 7
    assert all("backbone.encoder.block" in name for name in adapted)


def test_number_of_trained_parameters() -> None:
    model = add_lora(tiny_forecast_model(), LoraOptions(r=3))
    attention, feed_forward = 4 * (WIDTH + 16), 3 * (WIDTH + 32)
    adapters = 2 * 3 * (attention + feed_forward)
    head = WIDTH * WIDTH // 2 + 8 * WIDTH // 2 * HORIZON + HORIZON
    assert model.get_nb_trainable_parameters()[0] == adapters + head


def test_the_head_trains_next_to_the_adapters() -> None:
    model = add_lora(tiny_forecast_model(), LoraOptions())
    assert all(parameter.requires_grad for parameter in trained_head(model).parameters())
    model(torch.randn(2, 1, 64), future_values=torch.randn(2, 1, HORIZON)).loss.backward()
    assert all(parameter.grad is not None for parameter in trained_head(model).parameters())


def test_the_reconstruction_head_is_not_taken_for_the_forecasting_head() -> None:
    model = add_lora(tiny_forecast_model(), LoraOptions())
    assert not any(p.requires_grad for p in model.get_base_model().backbone.reconstruction.parameters())


def test_a_new_adapter_changes_nothing() -> None:
    base = tiny_forecast_model()
    series = torch.randn(2, 1, 64)
    before = base(series).forecast
    torch.testing.assert_close(add_lora(base, LoraOptions())(series).forecast, before)


def test_head_only_has_no_adapters() -> None:
    model = add_head_only(tiny_forecast_model())
    trained = [name for name, parameter in model.named_parameters() if parameter.requires_grad]
    assert trained
    assert all(".head." in name for name in trained)


def test_patterns_choose_layers() -> None:
    model = tiny_forecast_model()
    chosen = target_layers(model, ("*.SelfAttention.q", "*.block.1.*.wo"))
    assert chosen == [
        "backbone.encoder.block.0.layer.0.SelfAttention.q",
        "backbone.encoder.block.1.layer.0.SelfAttention.q",
        "backbone.encoder.block.1.layer.1.DenseReluDense.wo",
    ]


def test_a_pattern_without_a_layer_is_refused() -> None:
    with pytest.raises(InputError, match="fits none of the 14 linear layers"):
        target_layers(tiny_forecast_model(), ("*.query",))


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"r": 0}, "rank r"),
        ({"lora_dropout": 1.0}, "lora_dropout"),
        ({"lora_alpha": 0.0}, "lora_alpha above 0"),
        ({"lora_alpha": float("nan")}, "lora_alpha above 0, found nan"),
    ],
)
def test_unusable_options_are_refused(options: dict, message: str) -> None:
    with pytest.raises(InputError, match=message):
        LoraOptions(**options)


@pytest.mark.parametrize("options", [LoraOptions(r=3), LoraOptions(r=3, use_dora=True)])
def test_transposed_layers_are_adapted_without_a_warning(tmp_path: Path, options: LoraOptions) -> None:
    """Those of GPT-2."""
    encoder = load_text_encoder(save_tiny_text(tmp_path, "gpt2"))
    assert len(encoder.adapted_layers()) == 8  # of two blocks: attention in and out, up, down
    model = TextClassification(2, 32).model(encoder, PooledHeadConfig())
    expected = sum(lora_parameters(running_layers(model), options).values())
    with warnings.catch_warnings(action="error"):
        adapted = add_lora(model, options)
    assert sum(p.numel() for name, p in adapted.named_parameters() if "lora_" in name) == expected
    for name, parameter in adapted.named_parameters():
        if "lora_B" in name:
            nn.init.normal_(parameter, std=0.1)
    tokens = torch.arange(10).view(2, 5)
    expected_logits = adapted.eval()(input_ids=tokens, attention_mask=torch.ones_like(tokens)).logits
    found = merged(adapted)(input_ids=tokens, attention_mask=torch.ones_like(tokens)).logits
    torch.testing.assert_close(found, expected_logits, atol=1e-5, rtol=1e-5)


def test_dora_is_peft_s() -> None:
    model = add_lora(tiny_forecast_model(), LoraOptions(use_dora=True))
    assert any(isinstance(module, nn.ModuleDict) and name.endswith("lora_magnitude_vector") and len(module)
               for name, module in model.named_modules())  # fmt: skip


class LastLayer(nn.Module):
    """A backbone whose last layer is called as heads are."""

    def __init__(self, name: str) -> None:
        super().__init__()
        self.embed = nn.Linear(8, WIDTH)
        self.name = name
        setattr(self, name, nn.Linear(WIDTH, WIDTH))

    def forward(self, values: torch.Tensor) -> torch.Tensor:
        return getattr(self, self.name)(self.embed(values.unflatten(-1, (-1, 8))))


def with_last_layer(name: str) -> ForecastModel:
    backbone = wrap_module(LastLayer(name), context_length=64, width=WIDTH, patch_length=8)
    return ForecastModel.from_backbone(backbone, HORIZON, HeadConfig("projection", beta=2))


@pytest.mark.parametrize("name", ["q_head", "head"])
def test_a_layer_that_peft_would_take_for_the_head_is_refused(name: str) -> None:
    with pytest.raises(InputError, match=rf"name ends in 'head', found 'backbone.module.{name}'"):
        add_lora(with_last_layer(name), LoraOptions(r=2))
    adapted = add_lora(with_last_layer("last"), LoraOptions(r=2))
    assert sum(isinstance(module, LoraLayer) for module in adapted.modules()) == 2


@pytest.mark.parametrize("method", ["trace", "lora", "dora", "adalora"])
def test_it_is_refused_before_any_head_trains(method: str, monkeypatch: pytest.MonkeyPatch) -> None:
    values, labels = np.random.default_rng(0).normal(size=(24, 1, 64)), ["a", "b"] * 12
    frame = pd.DataFrame({"date": pd.date_range("2024-01-01", periods=300), "value": values.ravel()[:300]})
    backbone = with_last_layer("q_head").backbone
    monkeypatch.setattr(fit, "train_head", lambda *_: pytest.fail("a head trains"))
    with pytest.raises(InputError, match="name ends in 'head'"):
        Forecaster.from_backbone(backbone, HORIZON, device="cpu").fit(frame, method=method)
    with pytest.raises(InputError, match="name ends in 'head'"):
        Classifier.from_backbone(backbone, device="cpu").fit(values, labels, method=method)


def test_a_backbone_of_other_layers_alone_is_refused_with_why_and_what_takes_it() -> None:
    with pytest.raises(InputError, match=r"convolutions, such as those of SqueezeBERT, .*'linear_probe', or 'full'"):
        chosen_layers({}, None)


def test_what_has_no_adapters_takes_such_a_layer(tmp_path: Path) -> None:
    values, labels = np.random.default_rng(0).normal(size=(24, 1, 64)), ["a", "b"] * 12
    backbone = with_last_layer("q_head").backbone
    tuned = Classifier.from_backbone(backbone, device="cpu").fit(values, labels, method="linear_probe")
    tuned.save_pretrained(tmp_path / "run")
    loaded = Classifier.from_pretrained(tmp_path / "run", base=backbone, device="cpu")
    np.testing.assert_array_equal(loaded.predict(values), tuned.predict(values))
