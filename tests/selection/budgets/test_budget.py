"""Budgets: what is chosen fits, nothing that fits is left out, and ``keep`` is read in each unit."""

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tracetune.base.errors import InputError
from tracetune.selection.budgets.budget import amount_of, budget_of
from tracetune.selection.budgets.step_time_profile import StepTimeProfile
from tracetune.selection.budgets.time_budget import TimeBudget

COUNTS = {"a": 10, "b": 20, "c": 30, "d": 40}
scores = st.dictionaries(st.text("abcdef", min_size=1), st.floats(-1e6, 1e6), min_size=1, max_size=12)


@given(scores, st.integers(1, 12))
def test_the_highest_scores_are_selected(values: dict[str, float], budget: int) -> None:
    modules = budget_of("modules", dict.fromkeys(values, 1))
    chosen = modules.choose(values, budget)
    assert len(chosen) == min(budget, len(values))
    assert list(chosen) == [name for name in values if name in chosen]
    rest = [values[name] for name in values if name not in chosen]
    assert not rest or min(values[name] for name in chosen) >= max(rest)
    assert set(modules.choose(values, budget)) <= set(modules.choose(values, budget + 1))


@given(scores, st.data())
def test_a_budget_in_parameters_is_never_exceeded_nor_wasted(values: dict[str, float], data: st.DataObject) -> None:
    counts = {name: data.draw(st.integers(1, 50)) for name in values}
    budget = data.draw(st.integers(1, 200))
    chosen = budget_of("parameters", counts).choose(values, budget)
    left = budget - sum(counts[name] for name in chosen)
    assert left >= 0
    assert all(counts[name] > left for name in values if name not in chosen)


def test_parameters_are_spent_where_they_bring_most() -> None:
    values = {"a": 1.0, "b": 3.0, "c": 3.1, "d": 5.0}
    # 0.1, 0.15, 0.103 and 0.125 per parameter: b, not d, then c
    assert budget_of("parameters", COUNTS).choose(values, 50) == ("b", "c")
    assert budget_of("parameters", COUNTS).choose(values, 60) == ("b", "d")


def test_ties_go_to_fewer_parameters_and_then_to_later_blocks() -> None:
    assert budget_of("modules", COUNTS).choose(dict.fromkeys("dcba", 1.0), 2) == ("b", "a")
    alike = {f"block.{block}.q": 8 for block in range(4)}
    for unit, amount in (("modules", 3), ("parameters", 24)):
        scores = {**dict.fromkeys(alike, 0.0), "block.1.q": 1.0}
        assert budget_of(unit, alike).choose(scores, amount) == ("block.1.q", "block.2.q", "block.3.q")


def test_a_budget_in_time_is_in_per_mille_of_the_whole_step() -> None:
    profile = StepTimeProfile({0: 2.0}, {"a": 1.0, "b": 2.0, "c": 2.0, "d": 3.0})  # 10 in full
    budget = TimeBudget(profile)
    assert (budget.least, budget.full) == (300, 1000)
    values = {"a": 1.0, "b": 3.0, "c": 3.1, "d": 5.0}
    assert budget.choose(values, 700) == ("c", "d")
    assert budget.choose(values, 699) == ("b", "c")
    assert budget.choose(values, 300) == ("a",)


def test_keep_is_a_share_or_a_number() -> None:
    modules, parameters = budget_of("modules", COUNTS), budget_of("parameters", COUNTS)
    assert [amount_of(keep, modules) for keep in (3, 0.01, 0.5, 1.0)] == [3, 1, 2, 4]
    assert [amount_of(keep, parameters) for keep in (0.5, 0.001, 64)] == [50, 10, 64]
    profile = StepTimeProfile({0: 3.0}, dict.fromkeys(COUNTS, 1.25))  # 8 in full, 4.25 for one
    time = TimeBudget(profile)
    assert [amount_of(keep, time) for keep in (0.75, 0.1)] == [750, 532]


def test_the_share_of_modules_that_an_amount_leaves_open() -> None:
    assert budget_of("modules", COUNTS).module_share(1) == 0.25
    assert budget_of("parameters", COUNTS).module_share(25) == 0.25
    profile = StepTimeProfile({0: 2.0}, {"a": 1.0, "b": 2.0, "c": 2.0, "d": 3.0})
    assert TimeBudget(profile).module_share(500) == 0.5  # 2 + 1 + 2


def test_wrong_use_is_explained() -> None:
    with pytest.raises(InputError, match="keep between 1 and 4 modules in this model, found 5"):
        amount_of(5, budget_of("modules", COUNTS))
    with pytest.raises(InputError, match="goes by measured step times"):
        budget_of("time", COUNTS)
    for unit in ("modules", "parameters"):
        with pytest.raises(InputError, match="finite scores, found nan for 'a'"):
            budget_of(unit, COUNTS).choose({"a": math.nan}, 1)
