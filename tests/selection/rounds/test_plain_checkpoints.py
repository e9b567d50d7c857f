"""What PEFT saves is what was trained: reloaded on a fresh base, outputs are the same, for every option gates take."""

import warnings
from pathlib import Path
from typing import Any

import peft
import pytest
import torch
from torch import Tensor, nn

from tests.selection.rounds.selection_runs import STEPS, begin, train
from tests.selection.toys import Forecaster, forecast_batches
from tracetune.selection.gates import Gates
from tracetune.selection.layers import lora_modules

OPTIONS: dict[str, dict[str, Any]] = {
    "plain": {},
    "bias of all layers": {"bias": "all"},
    "bias of B": {"lora_bias": True},
    "DoRA": {"use_dora": True},
    "rsLoRA": {"use_rslora": True, "lora_alpha": 3},
    "patterns": {"rank_pattern": {"up": 3, r"blocks\.1\.down": 1}, "alpha_pattern": {"down": 7}},
    "gaussian": {"init_lora_weights": "gaussian"},
    "orthogonal": {"init_lora_weights": "orthogonal"},
    "regular expression": {"target_modules": r".*\.(up|down)"},
    "all linear": {"target_modules": "all-linear"},
    "layers to transform": {"layers_to_transform": [0, 1], "layers_pattern": "blocks"},
    "exclude": {"exclude_modules": ["blocks.0.up"]},
    "dropout": {"lora_dropout": 0.3},
    "more modules to save": {"modules_to_save": ["head", "embed"]},
}


def config(**options: Any) -> peft.LoraConfig:
    defaults = {"r": 2, "lora_alpha": 4, "target_modules": ["up", "down"], "modules_to_save": ["head"]}
    return peft.LoraConfig(**{**defaults, **options})


def base() -> Forecaster:
    torch.manual_seed(0)
    return Forecaster()


def select(model: nn.Module) -> tuple[str, ...]:
    """Train, select two modules, delete the others."""
    gates = Gates(model)
    run = begin(gates, [], keep=2, interval=8, score="gradient")
    train(gates, run, range(1, STEPS + 1))
    run.finish(STEPS)
    return gates.names


@torch.no_grad()
def outputs(model: nn.Module) -> Tensor:
    (batch,) = forecast_batches((5,))
    return model.eval()(**batch)["sample_losses"]


@pytest.mark.parametrize("options", OPTIONS.values(), ids=list(OPTIONS))
def test_reloaded_outputs_are_those_of_the_trained_model(tmp_path: Path, options: dict[str, Any]) -> None:
    torch.manual_seed(1)
    model = peft.get_peft_model(base(), config(**options))
    kept = select(model)
    assert len(kept) == 2
    before = outputs(model)
    model.save_pretrained(tmp_path)
    with warnings.catch_warnings():
        warnings.filterwarnings("error", ".*did not match any targeted module")
        loaded = peft.PeftModel.from_pretrained(base(), str(tmp_path))
    assert tuple(lora_modules(loaded)) == kept
    assert torch.equal(outputs(loaded), before)
    assert not torch.allclose(outputs(base()), before)


def test_two_active_adapters_are_saved_both(tmp_path: Path) -> None:
    torch.manual_seed(1)
    model = peft.get_peft_model(base(), config())
    model.add_adapter("second", config(r=1, target_modules=["up"], modules_to_save=None))
    model.base_model.set_adapter(["default", "second"])
    kept = select(model)
    before = outputs(model)
    model.save_pretrained(tmp_path)
    loaded = peft.PeftModel.from_pretrained(base(), str(tmp_path))
    if any(name.endswith("up") for name in kept):
        loaded.load_adapter(str(tmp_path / "second"), "second")
        loaded.base_model.set_adapter(["default", "second"])
    assert torch.equal(outputs(loaded), before)


def test_injected_adapters_are_saved_by_their_state(tmp_path: Path) -> None:
    torch.manual_seed(1)
    options = config(modules_to_save=None, bias="all")
    model = peft.inject_adapter_in_model(options, base())
    kept = select(model)
    before = outputs(model)
    state = peft.get_peft_model_state_dict(model)
    fresh = peft.inject_adapter_in_model(model.peft_config["default"], base())
    peft.set_peft_model_state_dict(fresh, state)
    assert tuple(lora_modules(fresh)) == kept
    assert torch.equal(outputs(fresh), before)
