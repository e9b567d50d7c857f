"""Evidence over rounds: errors of moving averages, ties, and the right modules under noise."""

import math
from typing import Any

import numpy as np
import peft
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor, nn

from tests.selection.toys import Game
from tracetune.selection.config import SelectionConfig
from tracetune.selection.evidence import Evidence, verdict
from tracetune.selection.gates import Gates
from tracetune.selection.rounds.selection_run import SelectionRun
from tracetune.selection.rounds.validation_batches import ScoringBatches


def of(score: float, error: float | None) -> Evidence:
    return Evidence({"a": score}, {"a": error})


@given(st.floats(0, 0.9), st.integers(2, 12))
def test_errors_of_independent_rounds_follow_the_moving_average(ema: float, rounds: int) -> None:
    """Weights (1 - ema) ema^k, the first round's ema^(n-1): the error is the root of the sum of their squares."""
    found = of(1.0, 0.3)
    for _ in range(rounds - 1):
        found = found.followed_by(of(1.0, 0.3), ema, overlap=0.0)
    weights = np.array([*((1 - ema) * ema**k for k in range(rounds - 1)), ema ** (rounds - 1)])
    assert found.scores["a"] == pytest.approx(1.0)
    assert found.errors["a"] == pytest.approx(0.3 * math.sqrt((weights**2).sum()))


def test_rounds_that_read_the_same_are_no_surer_than_one() -> None:
    assert of(1.0, 0.3).followed_by(of(2.0, 0.3), 0.5, overlap=1.0).errors["a"] == pytest.approx(0.3)
    assert of(1.0, 0.3).followed_by(of(2.0, 0.3), 0.5, overlap=0.5).errors["a"] == pytest.approx(0.3 * math.sqrt(0.75))


def test_what_is_within_its_error_is_worth_nothing() -> None:
    found = Evidence({"a": 1.0, "b": -1.0, "c": 0.5, "d": -0.2}, {"a": 0.4, "b": 0.4, "c": 0.4, "d": None})
    assert found.worth(2.0) == {"a": 1.0, "b": -1.0, "c": 0.0, "d": -0.2}
    assert found.worth(0.0) == found.scores
    assert found.significant_share() == pytest.approx(2 / 3)
    assert found.helpful(2.0) == ("a",)
    assert of(1.0, None).significant_share() is None
    assert of(1.0, None).followed_by(of(1.0, 0.5), 0.5, 0.0).errors["a"] == 0.5


def test_the_verdict_is_said_in_words() -> None:
    found = Evidence({"a": 1.0, "b": -1.0, "c": 0.5}, {"a": 0.4, "b": 0.4, "c": 0.4})
    assert "1 of 3 modules were shown to help and 1 to harm" in verdict(found, 2.0, True, ["a", "c"])
    assert "Of the 2 that were kept 1 were shown to help" in verdict(found, 2.0, True, ["a", "c"])
    assert "not a finding" in verdict(of(0.5, 0.4), 2.0, True, ["a"])
    assert "unknown" in verdict(of(0.5, None), 2.0, True, ["a"])
    assert "unknown" in verdict(of(0.5, 0.1), 2.0, False, ["a"])


USEFUL, HARMFUL = ("players.1", "players.6", "players.9"), ("players.0", "players.4", "players.11")
LARGE = ("players.2", "players.10")
PLAYERS = 12


def noisy_game(noise: float) -> tuple[Gates, Any, list[dict[str, Tensor]]]:
    """Useful modules save 1, harmful ones cost 1, the rest does nothing; every window has a taste of its own."""
    ranks = {name: 2 for name in LARGE}
    options = {"rank_pattern": ranks, "alpha_pattern": ranks, "r": 1, "lora_alpha": 1}
    config = peft.LoraConfig(**options, target_modules=[f"players.{index}" for index in range(PLAYERS)])
    model = peft.get_peft_model(Game(PLAYERS, lambda gates: gates.sum(1)), config)
    for name, weight in model.named_parameters():
        if "lora_B" in name:
            nn.init.constant_(weight, 1 / weight.shape[1])
        elif "lora_A" in name:
            nn.init.ones_(weight)
    gates = Gates(model)
    worth = torch.tensor([(name in HARMFUL) - (name in USEFUL) for name in gates.names], dtype=torch.float32)
    generator = torch.Generator().manual_seed(0)
    batches = [
        {"ones": torch.ones(32, 1), "taste": noise * torch.randn(32, PLAYERS, generator=generator)} for _ in range(60)
    ]

    def loss_fn(model: nn.Module, batch: Any) -> Tensor:
        values = torch.cat([layer(batch["ones"]) for layer in model.base_model.model.players], dim=1)
        return (values * (worth + batch["taste"])).sum(1)

    return gates, loss_fn, batches


def selected(noise: float, **options: Any) -> tuple[Gates, SelectionRun]:
    gates, loss_fn, batches = noisy_game(noise)
    defaults = {"delete_closed": False, "cost_share": 1.0, "scoring_batches": 4, "interval": 2, "ema": 0.7}
    config = SelectionConfig(**{**defaults, **options})
    run = SelectionRun(config, gates, ScoringBatches(batches, 4), loss_fn, total_steps=40, samples_per_step=32)
    for step in range(1, 41):
        run.after_step(step)
    run.finish(40)
    return gates, run


def test_useful_modules_stay_harmful_ones_go_and_ties_are_cheap_where_they_are_asked_for() -> None:
    """8 of 12: the 3 useful ones, the 4 small ones that do nothing, and of the 2 large ones that in the later block."""
    gates, run = selected(noise=1.5, keep=8, ties=3.0)
    idle = [name for name in gates.names if name not in USEFUL + HARMFUL + LARGE]
    assert set(gates.open_names) == {*USEFUL, *idle, "players.10"}
    assert run.records[-1].told_apart == pytest.approx(0.5, abs=0.1)
    singles = [abs(score) > 2 * error for record in run.records for score, error in _idle_reads(record, idle)]
    assert 0.5 * np.mean(singles) < 0.1, "two standard errors cover"


def test_every_score_counts_where_no_ties_are_asked_for() -> None:
    """The eight highest scores stay, whatever their errors."""
    gates, run = selected(noise=1.5, keep=8)
    last = run.records[-1]
    assert set(gates.open_names) == set(sorted(last.smoothed, key=last.smoothed.__getitem__)[-8:])
    assert not set(gates.open_names) & set(HARMFUL)


def _idle_reads(record: Any, idle: list[str]) -> list[tuple[float, float]]:
    return [(record.scores[name], record.standard_errors[name]) for name in idle]


def test_auto_closes_what_is_not_shown_to_help() -> None:
    gates, run = selected(noise=1.5, keep="auto", smallest_share=0.75)
    assert set(gates.open_names) == set(USEFUL)
    assert "Of the 3 that were kept 3 were shown to help" in run.report()["evidence"]


def test_where_nothing_can_be_told_the_record_says_so() -> None:
    _, run = selected(noise=100.0, keep=2, interval=10, significance=4.0)
    assert run.records[-1].told_apart is not None
    assert run.records[-1].told_apart < 0.35
    assert "not a finding" in run.report()["evidence"]
