"""The candidates are the same function, they take turns, and ratios are of the same round."""

import pytest
import torch

from benchmarks import fused_lora
from tests.tiny import tiny_backbone


@pytest.fixture(autouse=True)
def _small(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(fused_lora, "_CALL_SECONDS", 0.0)
    monkeypatch.setattr(fused_lora, "CONTEXT", 64)


def test_candidates_are_the_same_function_with_the_same_gradients() -> None:
    layer = fused_lora.adapted_layer(12, 20, 3)
    found = fused_lora.candidates(layer, autocast=False)
    assert len(found) == 6
    x = torch.randn(7, 12, requires_grad=True)
    parameters = [x, layer.lora_A["default"].weight, layer.lora_B["default"].weight]
    weights = torch.randn(7, 20)
    results = {name: torch.autograd.grad((call(x) * weights).sum(), parameters) for name, call in found.items()}
    for name, gradients in results.items():
        torch.testing.assert_close(found[name](x), layer(x))
        for gradient, expected in zip(gradients, results["PEFT"], strict=True):
            torch.testing.assert_close(gradient, expected)


def test_calls_take_turns_in_both_directions() -> None:
    order: list[str] = []
    calls = {name: lambda name=name: order.append(name) for name in "abc"}  # type: ignore[misc]
    seconds = fused_lora.interleaved(calls, rounds=2)
    assert "".join(order[-12:]) == "aabbccccbbaa"  # one call to warm up, and one that counts
    assert {name: len(values) for name, values in seconds.items()} == {"a": 2, "b": 2, "c": 2}


def test_ratios_are_of_the_same_round() -> None:
    found = fused_lora.summary({"PEFT": [1.0, 10.0, 2.0], "other": [0.5, 8.0, 1.2]}, "PEFT")
    assert found["milliseconds"] == {"PEFT": 2000.0, "other": 1200.0}
    assert found["ratios"] == {"other": pytest.approx([0.6, 0.55, 0.7])}


def test_rows_of_layers_and_steps_become_tables() -> None:
    rows = [*fused_lora.layer_rows((8, 12), rank=2, rows=6, rounds=2)]
    assert len(rows) == len(fused_lora.TYPES) * len(fused_lora.PASSES)
    steps = [*fused_lora.step_rows("tiny", tiny_backbone(), batch=2, rounds=2)]
    assert [step["layers"] for step in steps] == [14, 14]
    assert set(steps[0]["ratios"]) == {"whole layer", "full fine-tuning"}
    text = fused_lora.markdown([*rows, *steps])
    headings = [line for line in text.splitlines() if line.startswith("##")]
    assert headings[0] == "## Whole training steps"
    assert len(headings) == 4
    assert sum(line.startswith("| 8 -> 12") for line in text.splitlines()) == 6


def test_a_step_trains_only_what_lora_trains() -> None:
    model = fused_lora.add_lora(
        fused_lora.ForecastModel.from_backbone(tiny_backbone(), 12, fused_lora.HeadConfig("flatten"), 64),
        fused_lora.LoraOptions(),
    )
    before = {name: parameter.clone() for name, parameter in model.named_parameters()}
    fused_lora.training_step(model, torch.randn(2, 1, 64), torch.randn(2, 1, 12), autocast=False, fused=True)()
    changed = {name for name, parameter in model.named_parameters() if not torch.equal(parameter, before[name])}
    assert sum(".lora_B." in name for name in changed) == 14
    assert not any("base_layer" in name for name in changed)


@pytest.mark.parametrize("name", fused_lora.GEOMETRIES)
def test_published_geometries(name: str) -> None:
    with torch.device("meta"):
        model = fused_lora.without_dropout(name)
    millions = sum(parameter.numel() for parameter in model.encoder.parameters()) / 1e6
    assert round(millions) == {"small": 19, "base": 85}[name]
