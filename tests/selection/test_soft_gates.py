"""Factors on modules: known games, plain checkpoints, a model that is left as it was."""

import copy
from pathlib import Path
from typing import Any

import numpy as np
import peft
import pytest
import torch
from torch import Tensor, nn

from tests.selection.toys import Forecaster, forecast_batches, game, lora_forecaster
from tracetune.base.errors import InputError
from tracetune.selection.gates import Gates
from tracetune.selection.layers import lora_modules
from tracetune.selection.soft_gates import fold_gates, soft_gates
from tracetune.selection.validation import mean_loss


def periods(slopes: list[list[float]], rows: int = 2) -> list[list[dict[str, Tensor]]]:
    """One batch for each period of a game in which gate m costs ``slope * g + g^2 / 2``."""
    return [[{"ones": torch.ones(rows, 1), "slopes": torch.tensor(each)}] for each in slopes]


def separable(model: nn.Module, batch: Any) -> Tensor:
    values = torch.cat([layer(batch["ones"]) for layer in model.base_model.model.players], dim=1)
    return (values * batch["slopes"] + values**2 / 2).sum(1)


def players(count: int) -> Gates:
    return Gates(game(count, lambda gates: gates.sum(1)))


def test_known_factors_are_found() -> None:
    """Gates at their minimum -slope, within [0, 1]: the harmful one closed, the best one as trained."""
    slopes = [0.5, -0.3, -0.8, -1.5]
    found = soft_gates(players(4), periods([slopes, slopes]), separable)
    assert list(found.factors.values()) == pytest.approx([0, 0.3, 0.8, 1], abs=1e-4)
    assert found.penalty == 0
    assert found.losses["closed"] == pytest.approx([0, 0])
    assert found.losses["open"] == pytest.approx([sum(slopes) + 2] * 2)
    assert found.losses["factors"] == pytest.approx([-(0.09 + 0.64) / 2 - 1.0] * 2, abs=1e-4)
    fixed = soft_gates(players(4), periods([slopes]), separable, penalty=0.2)
    assert list(fixed.factors.values()) == pytest.approx([0, 0.1, 0.6, 1], abs=1e-4)


def test_what_helps_in_one_period_only_is_shrunk() -> None:
    found = soft_gates(players(2), periods([[-1.0, -2.0], [-1.0, 0.0], [-1.0, 0.0], [-1.0, 0.0]]), separable)
    assert found.penalty > 0
    assert found.factors["players.1"] < 0.5 < found.factors["players.0"]


def test_closed_modules_stay_out_and_the_model_is_left_as_it_was() -> None:
    model = lora_forecaster()
    gates, validation = Gates(model), [forecast_batches((5, 3), seed=seed) for seed in range(3)]
    gates.close(["blocks.0.up"])
    before, flags = copy.deepcopy(model.state_dict()), [weight.requires_grad for weight in model.parameters()]
    found = soft_gates(gates, validation, steps=2)
    assert tuple(found.factors) == gates.open_names
    assert all(0 <= factor <= 1 for factor in found.factors.values())
    assert np.mean(found.losses["factors"]) <= np.mean(found.losses["closed"])
    assert found.losses["open"] == pytest.approx([mean_loss(model, batches) for batches in validation], rel=1e-5)
    assert found.forward_equivalents <= (4 + 2) * 3 * 2 * 3
    assert gates.closed_names == ("blocks.0.up",)
    assert model.training
    assert [weight.requires_grad for weight in model.parameters()] == flags
    assert all(torch.equal(before[name], value) for name, value in model.state_dict().items())


@pytest.mark.parametrize("options", [{}, {"lora_bias": True}, {"use_rslora": True, "rank_pattern": {"up": 3}}])
def test_folded_gates_are_a_plain_checkpoint(tmp_path: Path, options: dict[str, Any]) -> None:
    model = lora_forecaster(**options).eval()
    factors = {"blocks.0.up": 0.0, "blocks.0.down": 0.25, "blocks.1.up": 1.0, "blocks.1.down": 0.7}
    gates, (batch,) = Gates(model), forecast_batches((5,))
    with torch.no_grad(), gates.apply(torch.tensor(list(factors.values()))):
        expected = model(**batch)["sample_losses"]
    assert fold_gates(model, factors) == ("blocks.0.up",)
    torch.testing.assert_close(model(**batch)["sample_losses"], expected)
    gates.close(["blocks.0.up"])
    gates.delete_closed()
    torch.testing.assert_close(model(**batch)["sample_losses"], expected)
    model.save_pretrained(tmp_path)
    torch.manual_seed(0)
    loaded = peft.PeftModel.from_pretrained(Forecaster(), str(tmp_path)).eval()
    assert tuple(lora_modules(loaded)) == tuple(factors)[1:]
    torch.testing.assert_close(loaded(**batch)["sample_losses"], expected)


def test_scaling_by_zero_is_the_base_model() -> None:
    model = lora_forecaster().eval()
    (batch,) = forecast_batches((5,))
    fold_gates(model, dict.fromkeys(lora_modules(model), 0.0))
    with model.disable_adapter():  # the head is another one there, but trained nowhere
        expected = model(**batch)["sample_losses"]
    torch.testing.assert_close(model(**batch)["sample_losses"], expected)


def test_wrong_use_is_explained_and_changes_nothing() -> None:
    model = lora_forecaster()
    before = copy.deepcopy(model.state_dict())
    with pytest.raises(InputError, match=r"Unknown LoRA module 'blocks\.2\.up'"):
        fold_gates(model, {"blocks.0.up": 0.5, "blocks.2.up": 0.5})
    with pytest.raises(InputError, match=r"finite factors, found nan for 'blocks\.0\.down'"):
        fold_gates(model, {"blocks.0.up": 0.5, "blocks.0.down": float("nan")})
    assert all(torch.equal(before[name], value) for name, value in model.state_dict().items())
    with pytest.raises(InputError, match="at least two periods to choose on, found 1"):
        soft_gates(Gates(model), [forecast_batches()])
    closed = Gates(model)
    closed.close(closed.names)
    with pytest.raises(InputError, match="one open module, found none"):
        soft_gates(closed, [forecast_batches()] * 2)
    for options, message in (
        ({"use_dora": True}, "plain LoRA, found the variant"),
        ({"init_lora_weights": "pissa"}, "found init_lora_weights='pissa' in 'default'"),
    ):
        other = lora_forecaster(**options)
        with pytest.raises(InputError, match=message):
            fold_gates(other, dict.fromkeys(lora_modules(other), 0.5))
        with pytest.raises(InputError, match=message):
            soft_gates(Gates(other), [forecast_batches()] * 2)
