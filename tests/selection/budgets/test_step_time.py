import json
import math
from typing import Any

import numpy as np
import peft
import pytest
import torch
from torch import nn

from tests.selection.toys import Forecaster, forecast_batches, lora_forecaster
from tracetune.base.errors import InputError
from tracetune.selection.budgets import step_time
from tracetune.selection.budgets.step_time import fit_profile, measure_step_time, profile_passes, profile_sets
from tracetune.selection.budgets.step_time_profile import StepTimeProfile
from tracetune.selection.gates import Gates
from tracetune.selection.layers import module_place
from tracetune.selection.validation import batch_size, model_loss

KINDS = {"q": 8, "v": 8, "wo": 20}
"""Parameters by the last part of a name; a module takes a second, and 0.1 s for each of them."""


def names(blocks: int) -> list[str]:
    return [f"encoder.block.{block}.layer.0.{kind}" for block in range(blocks) for kind in KINDS]


def counts(blocks: int) -> dict[str, int]:
    return {name: KINDS[name.rpartition(".")[2]] for name in names(blocks)}


def additive(base: dict[int, float], blocks: int) -> StepTimeProfile:
    return StepTimeProfile(base, {name: 1 + 0.1 * count for name, count in counts(blocks).items()})


def test_seconds_are_those_of_the_lowest_block_and_of_each_module() -> None:
    profile = additive({0: 10.0, 1: 7.0, 2: 4.0}, 3)
    assert profile.seconds([names(3)[8], names(3)[3]]) == pytest.approx(7.0 + 3.0 + 1.8)
    assert profile.full == pytest.approx(10 + 3 * (1.8 + 1.8 + 3.0))
    assert profile.least == pytest.approx(4.0 + 1.8)
    assert StepTimeProfile.from_json(json.loads(json.dumps(profile.to_json()))) == profile


@pytest.mark.parametrize("blocks", [1, 2, 6, 12])
def test_a_model_that_is_additive_is_found_from_its_times(blocks: int) -> None:
    """Base seconds fall linearly, so that the interpolated ones are known too."""
    truth = additive({block: 20.0 - block for block in range(blocks)}, blocks)
    sets = profile_sets(counts(blocks))
    assert len(sets) <= 4 + 1 + 2
    found = fit_profile(counts(blocks), sets, np.array([truth.seconds(opened) for opened in sets]))
    assert found.base == pytest.approx(truth.base, rel=1e-6)
    assert found.cost == pytest.approx(truth.cost, rel=1e-6)


def test_noise_never_makes_a_shorter_way_longer() -> None:
    truth, rng = additive({block: 20.0 - block for block in range(12)}, 12), np.random.default_rng(0)
    sets = profile_sets(counts(12))
    seconds = np.array([truth.seconds(opened) for opened in sets]) * rng.uniform(0.8, 1.2, len(sets))
    base = list(fit_profile(counts(12), sets, seconds).base.values())
    assert base == sorted(base, reverse=True)


def test_the_sets_are_few_and_single_modules_are_the_small_ones() -> None:
    sets = profile_sets(counts(24))
    singles = [opened[0] for opened in sets if len(opened) == 1]
    assert [module_place(name).block for name in singles] == [0, 8, 15, 23]
    assert all(name.endswith(".q") for name in singles)
    assert [len(opened) for opened in sets[len(singles) :]] == [72, 48, 24]
    assert all(name.endswith(".wo") for name in sets[-1])


def test_models_without_blocks_are_one_block() -> None:
    alike = {"up": 2, "down": 2}
    assert profile_sets(alike) == [("up",), ("up", "down")]
    profile = fit_profile(alike, profile_sets(alike), np.array([3.0, 4.0]))
    assert profile.base == pytest.approx({0: 2.0})
    assert profile.cost == pytest.approx({"up": 1.0, "down": 1.0})


def test_the_timed_steps_see_their_sets_and_rounds_are_interleaved(monkeypatch: pytest.MonkeyPatch) -> None:
    """The least time over the rounds is what counts."""
    gates, timed = Gates(lora_forecaster()), []
    truth = StepTimeProfile({0: 5.0, 1: 3.0}, {name: 0.1 * count for name, count in gates.parameter_counts().items()})

    def slow_now_and_then(gates: Gates, opened: tuple[str, ...], batch: Any, loss_fn: Any) -> float:
        timed.append(tuple(opened))
        number = (len(timed) - 1) // len(profile_sets(gates.parameter_counts()))
        return truth.seconds(opened) * {0: 50.0, 2: 9.0}.get(number, 1.0)

    monkeypatch.setattr(step_time, "_timed_step", slow_now_and_then)
    found = measure_step_time(gates, forecast_batches((4,))[0], model_loss)
    assert found.seconds(gates.names[1:3]) == pytest.approx(truth.seconds(gates.names[1:3]))
    assert timed == profile_sets(gates.parameter_counts()) * 3


def test_a_few_rows_are_timed_on_a_cpu_and_their_passes_counted() -> None:
    gates, rows = Gates(lora_forecaster()), []

    def loss_fn(model: nn.Module, batch: Any) -> torch.Tensor:
        rows.append(batch_size(batch))
        return model_loss(model, batch)

    measure_step_time(gates, forecast_batches((40,))[0], loss_fn)
    counts, cpu = gates.parameter_counts(), torch.device("cpu")
    passes = len(profile_sets(counts)) * 3 * 4
    assert set(rows) == {16}
    assert profile_passes(counts, 40, cpu) == pytest.approx(passes * 16 / 40)
    assert profile_passes(counts, 8, cpu) == passes == profile_passes(counts, 40, torch.device("cuda"))


class Normed(Forecaster):
    """With running statistics, which a pass in training form moves."""

    def __init__(self) -> None:
        super().__init__()
        self.norm = nn.BatchNorm1d(8)

    def block(self, index: int, hidden: torch.Tensor) -> torch.Tensor:
        return super().block(index, self.norm(hidden.transpose(1, 2)).transpose(1, 2))


def test_measuring_leaves_the_model_as_it_was() -> None:
    config = peft.LoraConfig(r=2, target_modules=["up", "down"], modules_to_save=["head"], init_lora_weights=False)
    model = peft.get_peft_model(Normed(), config).train()
    gates = Gates(model)
    gates.close(gates.names[:1])
    model.base_model.model.embed.eval()
    model(**forecast_batches((4,))[0])["loss"].backward()
    seen: list[tuple[bool, tuple[str, ...]]] = []

    def loss_fn(model: nn.Module, batch: Any) -> torch.Tensor:
        seen.append((model.training, gates.open_names))
        return model_loss(model, batch)

    def state() -> dict[str, Any]:
        return {
            "state": {name: value.clone() for name, value in model.state_dict().items()},
            "flags": {name: weight.requires_grad for name, weight in model.named_parameters()},
            "gradients": {n: None if w.grad is None else w.grad.clone() for n, w in model.named_parameters()},
            "modes": [module.training for module in model.modules()],
            "open": [name in gates.open_names for name in gates.names],
            "random": torch.get_rng_state(),
        }

    before = state()
    profile = measure_step_time(gates, forecast_batches((6,))[0], loss_fn, rounds=2)
    torch.testing.assert_close(state(), before, rtol=0, atol=0)
    sets = profile_sets(gates.parameter_counts())
    assert seen == [(True, opened) for opened in sets for _ in range(2)] * 2  # untimed, then timed; in two rounds
    assert set(profile.cost) == set(gates.names)
    assert math.isfinite(profile.full) and profile.full > 0


def test_a_loss_that_is_not_finite_leaves_the_model_as_it_was() -> None:
    gates = Gates(lora_forecaster())
    bad = {**forecast_batches((4,))[0], "y": torch.full((4, 3), math.inf)}
    with pytest.raises(InputError, match="finite validation losses"):
        measure_step_time(gates, bad, model_loss)
    assert gates.open_names == gates.names


@pytest.mark.parametrize(
    ("base", "cost", "message"),
    [
        ({0: 1.0}, {"block.1.q": 1.0}, r"for the block of each module, found blocks \[0\]"),
        ({0: 1.0}, {}, "for the block of each module"),
        ({0: 1.0}, {"block.0.q": -1.0}, "finite and not negative"),
        ({0: 1.0, 1: 2.0}, {"block.0.q": 1.0}, "do not rise"),
    ],
)
def test_profiles_that_cannot_be_are_refused(base: dict[int, float], cost: dict[str, float], message: str) -> None:
    with pytest.raises(InputError, match=message):
        StepTimeProfile(base, cost)


def test_seconds_of_nothing_and_of_unknown_modules_are_refused() -> None:
    profile = additive({0: 1.0}, 1)
    with pytest.raises(InputError, match="at least one open module"):
        profile.seconds([])
    with pytest.raises(InputError, match="Did you mean"):
        profile.seconds(["encoder.block.0.layer.0.k"])
