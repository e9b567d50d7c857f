"""The adapter folder: plain PEFT loads it to the same outputs; damage and misuse are refused."""

import json
from pathlib import Path

import pytest
import torch
from peft import PeftModel
from torch import nn

from tests.tiny import tiny_forecast_model
from tracetune.adapters.checkpoint import is_saved_model, load_weights, new_adapter_folder, read_trace
from tracetune.adapters.lora import LoraOptions, add_head_only, add_lora
from tracetune.base.errors import InputError


def trained(model: nn.Module) -> nn.Module:
    """Every trainable parameter moved away from where it started."""
    torch.manual_seed(5)
    for parameter in model.parameters():
        if parameter.requires_grad:
            nn.init.normal_(parameter, std=0.1)
    return model.eval()


def save(model: nn.Module, folder: Path) -> Path:
    with new_adapter_folder(folder, model, "a/b", {"seed": 1}, "# card"):
        pass
    return folder


@pytest.fixture
def series() -> torch.Tensor:
    return torch.randn(3, 2, 64)


@pytest.mark.parametrize("adapt", [lambda model: add_lora(model, LoraOptions()), add_head_only])
def test_plain_peft_gives_the_same_forecasts(tmp_path: Path, adapt: object, series: torch.Tensor) -> None:
    model = trained(adapt(tiny_forecast_model()))
    folder = save(model, tmp_path / "run")
    names = {path.name for path in folder.iterdir()}
    assert names == {"README.md", "adapter_config.json", "adapter_model.safetensors", "trace.json"}
    assert json.loads((folder / "adapter_config.json").read_text())["base_model_name_or_path"] == "a/b"
    plain = PeftModel.from_pretrained(tiny_forecast_model(), str(folder)).eval()
    assert (plain(series).forecast - model(series).forecast).abs().max().item() == 0.0


def test_merging_keeps_the_forecasts(series: torch.Tensor) -> None:
    model = trained(add_lora(tiny_forecast_model(), LoraOptions()))
    before = model(series).forecast
    torch.testing.assert_close(model.merge_and_unload()(series).forecast, before, atol=1e-4, rtol=1e-4)


def test_a_fully_trained_model_is_saved_whole(tmp_path: Path, series: torch.Tensor) -> None:
    model = trained(tiny_forecast_model())
    folder = save(model, tmp_path / "run")
    assert (load_weights(tiny_forecast_model(), folder)(series).forecast == model(series).forecast).all()


def test_the_record_comes_back(tmp_path: Path) -> None:
    folder = save(tiny_forecast_model(), tmp_path / "run")
    assert is_saved_model(folder)
    assert read_trace(folder)["seed"] == 1


def test_a_used_folder_is_refused_and_left_alone(tmp_path: Path) -> None:
    (tmp_path / "mine").touch()
    with pytest.raises(InputError, match="is not empty"):
        save(tiny_forecast_model(), tmp_path)
    assert [path.name for path in tmp_path.iterdir()] == ["mine"]


def test_truncated_weights_are_refused(tmp_path: Path) -> None:
    weights = save(add_head_only(tiny_forecast_model()), tmp_path / "run") / "adapter_model.safetensors"
    weights.write_bytes(weights.read_bytes()[:-64])
    with pytest.raises(InputError, match="damaged or truncated"):
        read_trace(tmp_path / "run")


def test_exchanged_weights_are_refused(tmp_path: Path) -> None:
    folder = save(add_head_only(tiny_forecast_model()), tmp_path / "run")
    other = save(trained(add_head_only(tiny_forecast_model())), tmp_path / "other")
    (other / "adapter_model.safetensors").replace(folder / "adapter_model.safetensors")
    with pytest.raises(InputError, match="SHA-256 differs"):
        read_trace(folder)


def test_missing_parts_are_named(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"trace\.json"):
        read_trace(tmp_path)
    folder = save(tiny_forecast_model(), tmp_path / "run")
    with pytest.raises(InputError, match=r"trace\.json has no head, base_model"):
        read_trace(folder, ("head", "seed", "base_model"))
    (folder / "model.safetensors").unlink()
    with pytest.raises(InputError, match="neither is there"):
        read_trace(folder)


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("adapter_config.json", None, "Expected the file .*adapter_config.json; it does not exist"),
        ("adapter_config.json", "{", "not a valid JSON file"),
        ("trace.json", "[]", "Expected an object .* found list"),
        ("trace.json", "{}", "SHA-256 differs"),
    ],
)
def test_damaged_records_are_refused(tmp_path: Path, name: str, content: str | None, message: str) -> None:
    path = save(add_head_only(tiny_forecast_model()), tmp_path / "run") / name
    path.unlink() if content is None else path.write_text(content)
    with pytest.raises(InputError, match=message):
        read_trace(tmp_path / "run")
