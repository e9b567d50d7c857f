"""Every case of the step benchmark takes a step that trains what it says."""

import pytest
import torch

from benchmarks import step_time
from tests.tiny import HORIZON, tiny_backbone


@pytest.fixture(autouse=True)
def _small(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(step_time, "HORIZON", HORIZON)


@pytest.mark.parametrize("name", step_time.case_names())
def test_a_step_changes_what_trains_and_nothing_else(name: str) -> None:
    if name.startswith("momentfm"):
        pytest.importorskip("momentfm", reason="the peer")
    case = step_time.build(name, tiny_backbone(), 3)
    before = {key: value.detach().clone() for key, value in case.model.named_parameters()}
    with case.context:
        for _ in range(2):
            case.step()
    changed = {key for key, value in case.model.named_parameters() if not torch.equal(value, before[key])}
    trainable = {key for key, value in case.model.named_parameters() if value.requires_grad}
    assert changed <= trainable
    assert bool(changed) == bool(trainable)


def test_kept_modules_are_the_share_from_where_it_says() -> None:
    names = [f"m{number}" for number in range(8)]
    assert step_time.kept(names, 0.25, "early") == ["m0", "m1"]
    assert step_time.kept(names, 0.25, "late") == ["m6", "m7"]
    spread = step_time.kept(names, 0.5, "spread")
    assert len(set(spread)) == 4 and spread == sorted(spread)


def test_rounds_time_every_case() -> None:
    cases = {name: step_time.build(name, tiny_backbone(), 2) for name in ("linear probe", "forward, frozen")}
    seconds = step_time.interleaved(cases, rounds=2, bf16=False)
    assert {name: len(values) for name, values in seconds.items()} == {"linear probe": 2, "forward, frozen": 2}
    assert step_time.matmul_rate(torch.float32, size=64, repeats=2) > 0
