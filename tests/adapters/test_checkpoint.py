"""The adapter's files: plain PEFT loads them to the same outputs; what is not one adapter set in use is refused."""

import json
from pathlib import Path

import pytest
import torch
from peft import LoraConfig, PeftModel
from torch import nn

from tests.tiny import tiny_forecast_model
from tracetune.adapters.adalora import AdaLoraOptions, add_adalora, drop_masked_ranks
from tracetune.adapters.checkpoint import check_safetensors, load_adapter, merged, save_adapter, without_adapters
from tracetune.adapters.lora import LoraOptions, add_head_only, add_lora
from tracetune.base.errors import InputError


def trained(model: nn.Module) -> nn.Module:
    """Every trainable parameter moved away from where it started."""
    torch.manual_seed(5)
    for parameter in model.parameters():
        if parameter.requires_grad:
            nn.init.normal_(parameter, std=0.1)
    return model.eval()


@pytest.fixture
def series() -> torch.Tensor:
    return torch.randn(3, 2, 64)


@pytest.fixture
def model() -> PeftModel:
    return trained(add_lora(tiny_forecast_model(), LoraOptions()))


@pytest.mark.filterwarnings("error")
def test_plain_peft_loads_adalora_without_a_warning(tmp_path: Path, series: torch.Tensor) -> None:
    model = adalora(tiny_forecast_model())
    save_adapter(model, tmp_path, "base")
    loaded = PeftModel.from_pretrained(tiny_forecast_model(), str(tmp_path)).eval()
    assert (loaded(series).forecast == model(series).forecast).all()
    again = tmp_path / "again"
    loaded.save_pretrained(again, save_embedding_layers=False)
    twice = PeftModel.from_pretrained(tiny_forecast_model(), str(again)).eval()
    assert (twice(series).forecast == model(series).forecast).all()


def adalora(model: nn.Module) -> PeftModel:
    """Return AdaLoRA whose layers keep one rank or none."""
    adapted = trained(add_adalora(model, LoraOptions(), AdaLoraOptions(init_r=2, target_r=1), 20))
    layers = [name for name, _ in adapted.base_model.model.named_parameters() if "lora_E" in name]
    drop_masked_ranks(adapted, {name: [number % 2 == 0, False] for number, name in enumerate(layers)})
    return adapted.eval()


@pytest.mark.filterwarnings("error")
def test_layers_of_rank_0_come_back_without_a_word(tmp_path: Path, series: torch.Tensor) -> None:
    model = adalora(tiny_forecast_model())
    save_adapter(model, tmp_path, "a/b")
    assert (load_adapter(tiny_forecast_model(), tmp_path)(series).forecast == model(series).forecast).all()


@pytest.mark.parametrize("adapt", [lambda model: add_lora(model, LoraOptions()), add_head_only])
def test_plain_peft_gives_the_same_forecasts(tmp_path: Path, adapt: object, series: torch.Tensor) -> None:
    model = trained(adapt(tiny_forecast_model()))
    save_adapter(model, tmp_path, "a/b")
    assert {path.name for path in tmp_path.iterdir()} == {"adapter_config.json", "adapter_model.safetensors"}
    assert json.loads((tmp_path / "adapter_config.json").read_text())["base_model_name_or_path"] == "a/b"
    plain = PeftModel.from_pretrained(tiny_forecast_model(), str(tmp_path)).eval()
    assert (plain(series).forecast - model(series).forecast).abs().max().item() == 0.0


def test_the_active_adapter_set_is_saved_whatever_its_name(
    tmp_path: Path, model: PeftModel, series: torch.Tensor
) -> None:
    first = model(series).forecast
    config = {"r": 1, "target_modules": ["backbone.encoder.block.0.layer.0.SelfAttention.q"], "lora_alpha": 9}
    model.add_adapter("other", LoraConfig(**config, modules_to_save=["head"]))
    model.set_adapter("other")
    expected = trained(model)(series).forecast
    assert (expected - first).abs().max() > 0.01
    save_adapter(model, tmp_path, "a/b")
    loaded = load_adapter(tiny_forecast_model(), tmp_path)
    assert (loaded(series).forecast == expected).all()
    assert list(loaded.peft_config) == ["default"]


def test_what_is_not_one_adapter_set_in_use_is_refused(tmp_path: Path, model: PeftModel) -> None:
    model.base_model.disable_adapter_layers()
    with pytest.raises(InputError, match="found some disabled"):
        save_adapter(model, tmp_path, "a/b")
    model.base_model.enable_adapter_layers()
    model.merge_adapter()
    with pytest.raises(InputError, match=r"call unmerge_adapter\(\)"):
        save_adapter(model, tmp_path, "a/b")
    assert list(tmp_path.iterdir()) == []


def test_merging_keeps_the_forecasts(model: PeftModel, series: torch.Tensor) -> None:
    before = model(series).forecast
    torch.testing.assert_close(merged(model)(series).forecast, before, atol=1e-4, rtol=1e-4)
    assert (model(series).forecast == before).all()


def test_taking_the_adapters_off_gives_the_backbone_as_it_was(model: PeftModel) -> None:
    bare, fresh = without_adapters(model).state_dict(), tiny_forecast_model().state_dict()
    assert bare.keys() == fresh.keys()
    assert all((bare[key] == fresh[key]).all() == key.startswith("backbone") for key in bare)


@pytest.mark.parametrize("change", [{"r": 5}, {"use_dora": True}, {"peft_type": "NONE"}, {"target_modules": 5}])
def test_an_adapter_that_does_not_fit_is_refused(tmp_path: Path, model: PeftModel, change: dict) -> None:
    """Of another rank, with weights that the file lacks, and with values that PEFT cannot read."""
    save_adapter(model, tmp_path, "a/b")
    config = json.loads((tmp_path / "adapter_config.json").read_text())
    (tmp_path / "adapter_config.json").write_text(json.dumps(config | change))
    with pytest.raises(InputError, match="does not fit its base model"):
        load_adapter(tiny_forecast_model(), tmp_path)


def test_truncated_weights_are_refused(tmp_path: Path, model: PeftModel) -> None:
    save_adapter(model, tmp_path, "a/b")
    weights = tmp_path / "adapter_model.safetensors"
    weights.write_bytes(weights.read_bytes()[:-64])
    with pytest.raises(InputError, match="damaged or truncated"):
        check_safetensors(weights)
