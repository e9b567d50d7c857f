"""AdaLoRA through PEFT: options that fail early instead of in the middle of a run, and PEFT's own regulariser."""

import math
from collections.abc import Callable
from typing import Any

import peft
import pytest
import torch
from peft.tuners.adalora import AdaLoraLayer
from torch import nn

from tests.tiny import CONTEXT, HORIZON, tiny_backbone, tiny_forecast_model
from tracetune.adapters.adalora import AdaLoraOptions, add_adalora, drop_masked_ranks, orthogonality
from tracetune.adapters.lora import LoraOptions, add_lora
from tracetune.adapters.trained_head import trained_head
from tracetune.base.errors import InputError
from tracetune.tasks.forecasting.model import ForecastModel


def batch(samples: int = 4) -> dict[str, torch.Tensor]:
    return {"past_values": torch.randn(samples, 1, 64), "future_values": torch.randn(samples, 1, HORIZON)}


def test_every_linear_layer_of_the_encoder_begins_with_init_r() -> None:
    model = add_adalora(tiny_forecast_model(), LoraOptions(lora_alpha=6), AdaLoraOptions(init_r=4), total_steps=20)
    layers = [module for module in model.modules() if isinstance(module, AdaLoraLayer)]
    assert len(layers) == 14
    assert {len(layer.lora_A["default"]) for layer in layers} == {4}
    config = model.peft_config["default"]
    assert (config.tinit, config.tfinal, config.total_step, config.target_r) == (2, 8, 20, 2)
    assert config.modules_to_save == ["head"]
    assert all(parameter.requires_grad for parameter in trained_head(model).parameters())


def test_no_rank_trains_on_another_device() -> None:
    model = add_adalora(tiny_forecast_model().to("meta"), LoraOptions(), AdaLoraOptions(), 20)
    ranks = [parameter for name, parameter in model.named_parameters() if ".ranknum." in name]
    assert len(ranks) == 14 and not any(parameter.requires_grad for parameter in ranks)


def test_a_new_adapter_changes_nothing() -> None:
    base, series = tiny_forecast_model(), torch.randn(2, 1, 64)
    before = base(series).forecast
    after = add_adalora(base, LoraOptions(), AdaLoraOptions(), 20)(series).forecast
    torch.testing.assert_close(after, before)


def test_directions_begin_orthonormal() -> None:
    model = add_adalora(tiny_forecast_model(), LoraOptions(), AdaLoraOptions(init_r=4), 20)
    assert float(orthogonality(model).detach()) == pytest.approx(0, abs=1e-5)


def test_the_scale_makes_a_step_as_large_as_with_lora() -> None:
    """A first step of Adam: E moves by the rate here, each of the out_features entries of a column of B there."""
    model, rate = tiny_forecast_model(), 0.01
    layer = "backbone.encoder.block.0.layer.0.SelfAttention.q"
    lora = LoraOptions(r=2, lora_alpha=4, target_modules=(layer,))
    adapted = add_adalora(model, lora, AdaLoraOptions(init_r=3), 20)
    (found,) = (module for module in adapted.modules() if isinstance(module, AdaLoraLayer))
    here = rate * found.scaling["default"] / 3
    there = rate * (lora.lora_alpha / lora.r) * math.sqrt(found.out_features) / math.sqrt(3)
    assert here == pytest.approx(there)
    explicit = add_adalora(tiny_forecast_model(), lora, AdaLoraOptions(lora_alpha=6.0), 20)
    assert explicit.peft_config["default"].lora_alpha == 6


def test_it_learns_like_lora_from_the_zero_shot_model() -> None:
    """1.24 and 1.25 here; with PEFT's own start, scale and regulariser the loss falls by 0.64."""
    torch.manual_seed(0)
    time = torch.arange(64 + HORIZON) / 4 + torch.rand(32, 1, 1) * 6
    series = torch.sin(time)
    inputs = {"past_values": series[..., :64], "future_values": series[..., 64:]}

    def fall(adapt: Callable[[nn.Module], peft.PeftModel]) -> float:
        model = adapt(ForecastModel.from_backbone(tiny_backbone(), HORIZON, None, CONTEXT))
        weights = [weight for weight in model.parameters() if weight.requires_grad]
        optimizer, losses = torch.optim.AdamW(weights, lr=3e-3), []
        for _ in range(40):
            loss = model(**inputs).loss
            losses.append(float(loss.detach()))
            if isinstance(model.base_model, peft.AdaLoraModel):
                loss = loss + AdaLoraOptions().orth_reg_weight * orthogonality(model)
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
        return losses[0] - losses[-1]

    lora = fall(lambda model: add_lora(model, LoraOptions()))
    assert fall(lambda model: add_adalora(model, LoraOptions(), AdaLoraOptions(), 40)) > 0.8 * lora > 0


def test_the_regulariser_is_peft_s() -> None:
    """PEFT adds it in AdaLoraModel.forward, which PeftModel.forward goes past."""
    model = add_adalora(tiny_forecast_model(), LoraOptions(), AdaLoraOptions(orth_reg_weight=0.25), 20)
    inputs = batch()
    with torch.no_grad():
        for name, weight in model.named_parameters():
            if ".lora_A." in name or ".lora_B." in name:
                weight.normal_(std=0.02)
        bare = model(**inputs).loss.clone()
        regularised = model.base_model(**inputs).loss
    assert regularised - bare == pytest.approx(0.25 * float(orthogonality(model).detach()), rel=1e-4)
    assert float(orthogonality(model).detach()) > 1


def test_masked_ranks_can_be_dropped_without_a_change_of_outputs() -> None:
    model = add_adalora(tiny_forecast_model(), LoraOptions(), AdaLoraOptions(init_r=3), 20).eval()
    pattern = {}
    with torch.no_grad():
        for index, (name, weight) in enumerate(model.base_model.model.named_parameters()):
            if "lora_E" in name:
                kept = [(index + rank) % 4 == 0 for rank in range(3)]
                pattern[name] = kept
                weight.copy_(torch.randn(3, 1) * torch.tensor(kept).float()[:, None])
    series = torch.randn(2, 1, 64)
    before = model(series).forecast
    drop_masked_ranks(model, pattern)
    ranks = [len(module.lora_A["default"]) for module in model.modules() if isinstance(module, AdaLoraLayer)]
    assert set(ranks) == {1}
    assert len(ranks) == len(model.peft_config["default"].target_modules) < len(pattern)  # the others have no rank left
    torch.testing.assert_close(model(series).forecast, before)


def test_a_model_without_any_rank_left_stays_adapted() -> None:
    model = add_adalora(tiny_forecast_model(), LoraOptions(), AdaLoraOptions(init_r=3), 20).eval()
    names = [name for name, _ in model.base_model.model.named_parameters() if "lora_E" in name]
    drop_masked_ranks(model, {name: [False] * 3 for name in names})
    pattern = model.peft_config["default"].rank_pattern
    assert [name.rpartition(".")[0] for name in pattern] == [name.partition(".lora_E")[0] for name in names]


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"init_r": 2, "target_r": 2}, r"1 <= target_r < init_r.*Raise init_r, e\.g\. to 3"),
        ({"target_r": 0}, "1 <= target_r"),
        ({"beta1": 1.0}, "beta1 between 0 and 1"),
        ({"deltaT": 0}, "deltaT of at least 1"),
        ({"orth_reg_weight": -1.0}, "nothing negative"),
    ],
)
def test_options_that_peft_would_trip_over_are_refused(options: dict[str, Any], message: str) -> None:
    with pytest.raises(InputError, match=message):
        AdaLoraOptions(**options)


@pytest.mark.parametrize(("tinit", "tfinal", "steps"), [(0, 0, 1), (5, 5, 10), (0.5, 0.5, 10), (0, 9, 10)], ids=str)
def test_a_schedule_without_a_step_to_choose_ranks_in_is_refused(tinit: float, tfinal: float, steps: int) -> None:
    with pytest.raises(InputError, match="in which AdaLoRA chooses ranks"):
        AdaLoraOptions(tinit=tinit, tfinal=tfinal).schedule(steps)


def test_the_shortest_schedule_works() -> None:
    assert AdaLoraOptions(tinit=0, tfinal=0).schedule(2) == (0, 0)
    assert AdaLoraOptions(tinit=0.1, tfinal=0.4).schedule(3) == (0, 1)
