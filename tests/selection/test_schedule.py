import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tracetune.base.config import from_mapping
from tracetune.base.errors import InputError
from tracetune.selection.schedule import Schedule, SelectionConfig, budget_at, select
from tracetune.selection.step_time import StepTimeProfile

COUNTS = {"a": 10, "b": 20, "c": 30, "d": 40}
schedules = st.tuples(
    st.integers(0, 100), st.integers(0, 100), st.integers(1, 50), st.integers(1, 200), st.integers(1, 200)
).map(lambda v: Schedule(min(v[:2]), max(1, *v[:2]), v[2], max(v[3:]), min(v[3:])))


@given(schedules)
def test_budget_falls_monotonically_between_its_bounds(schedule: Schedule) -> None:
    budgets = [schedule.budget(step) for step in range(120)]
    assert budgets == sorted(budgets, reverse=True)
    assert budgets[schedule.start] == (schedule.full if schedule.start < schedule.stop else schedule.final)
    assert all(budget == schedule.final for budget in budgets[schedule.stop :])
    assert all(schedule.final <= budget <= schedule.full for budget in budgets)


def test_budget_follows_the_cubic() -> None:
    assert [budget_at(step, 10, 20, 84, 20) for step in (0, 10, 12, 15, 19, 20, 90)] == [84, 84, 53, 28, 21, 20, 20]
    assert pytest.approx(52.77, abs=0.01) == 20 + 64 * (1 - 2 / 10) ** 3


@given(schedules)
def test_the_final_budget_is_always_met_by_a_round(schedule: Schedule) -> None:
    rounds = [step for step in range(1, 150) if schedule.is_round(step)]
    assert rounds[-1] == schedule.stop
    assert rounds == list(schedule.rounds())
    assert all(schedule.start <= step <= schedule.stop for step in rounds)
    assert all((step - schedule.start) % schedule.interval == 0 for step in rounds[:-1])


scores = st.dictionaries(st.text("abcdef", min_size=1), st.floats(-1e6, 1e6), min_size=1, max_size=12)


@given(scores, st.integers(1, 12))
def test_the_highest_scores_are_selected(values: dict[str, float], budget: int) -> None:
    chosen = select(values, budget)
    assert len(chosen) == min(budget, len(values))
    assert list(chosen) == [name for name in values if name in chosen]
    rest = [values[name] for name in values if name not in chosen]
    assert not rest or min(values[name] for name in chosen) >= max(rest)
    assert set(select(values, budget)) <= set(select(values, budget + 1))


@given(scores, st.data())
def test_a_budget_in_parameters_is_never_exceeded_nor_wasted(values: dict[str, float], data: st.DataObject) -> None:
    counts = {name: data.draw(st.integers(1, 50)) for name in values}
    budget = data.draw(st.integers(1, 200))
    chosen = select(values, budget, "parameters", counts)
    left = budget - sum(counts[name] for name in chosen)
    assert left >= 0
    assert all(counts[name] > left for name in values if name not in chosen)


def test_parameters_are_spent_where_they_bring_most() -> None:
    values = {"a": 1.0, "b": 3.0, "c": 3.1, "d": 5.0}
    assert select(values, 50, "parameters", COUNTS) == ("b", "c")  # 0.1, 0.15, 0.103 and 0.125 per parameter: b, d no
    assert select(values, 60, "parameters", COUNTS) == ("b", "d")
    assert select({name: 1.0 for name in "dcba"}, 2) == ("d", "c")  # ties keep their order


def test_a_budget_in_time_is_in_per_mille_of_the_whole_step() -> None:
    profile = StepTimeProfile({0: 2.0}, {"a": 1.0, "b": 2.0, "c": 2.0, "d": 3.0})  # 10 in full
    values = {"a": 1.0, "b": 3.0, "c": 3.1, "d": 5.0}
    assert select(values, 700, "time", profile=profile) == ("c", "d")
    assert select(values, 699, "time", profile=profile) == ("b", "c")
    assert select(values, 300, "time", profile=profile) == ("a",)


def test_shares_and_numbers() -> None:
    bound = SelectionConfig(keep=0.5, warmup_steps=0.1, final_step=50, interval=0.05).schedule(100, COUNTS)
    assert bound == Schedule(start=10, stop=50, interval=5, full=4, final=2)
    assert SelectionConfig(keep=3).schedule(100, COUNTS).final == 3
    assert SelectionConfig(keep=0.01).schedule(100, COUNTS).final == 1
    assert SelectionConfig(keep=1.0).schedule(100, COUNTS).final == 4
    assert SelectionConfig(keep=0.5, budget_unit="parameters").schedule(100, COUNTS).final == 50
    assert SelectionConfig(keep=0.001, budget_unit="parameters").schedule(100, COUNTS).final == 10
    assert SelectionConfig(keep="auto", smallest_share=0.25).schedule(100, COUNTS).final == 1
    profile = StepTimeProfile({0: 3.0}, dict.fromkeys(COUNTS, 1.25))  # 8 in full, 4.25 for one
    assert SelectionConfig(keep=0.75, budget_unit="time").schedule(100, COUNTS, profile).final == 750
    assert SelectionConfig(keep=0.1, budget_unit="time").schedule(100, COUNTS, profile).final == 532
    assert SelectionConfig(keep=0.1, budget_unit="time").schedule(100, COUNTS).final == 100  # before it is measured
    assert SelectionConfig(keep="auto", budget_unit="time").schedule(100, COUNTS, profile).full == 1000
    assert SelectionConfig().schedule(1, COUNTS) == Schedule(0, 1, 1, 4, 2)


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"keep": 0}, "Expected keep to be 'auto', a share in"),
        ({"keep": 0.0}, "Expected keep to be"),
        ({"keep": 1.5}, r"found 1\.5"),
        ({"keep": True}, "found True"),
        ({"keep": "all"}, "found 'all'"),
        ({"keep": math.nan}, "found nan"),
        ({"final_step": 0.0}, "Expected final_step"),
        ({"interval": 0}, "Expected interval"),
        ({"warmup_steps": -1}, "Expected warmup_steps"),
        ({"warmup_steps": 0.7}, "warmup_steps <= final_step, found 0.7 and 0.6"),
        ({"warmup_steps": 30, "final_step": 20}, "warmup_steps <= final_step, found 30 and 20"),
        ({"keep": 12, "budget_unit": "time"}, "share such as 0.5 where budget_unit is 'time', found 12"),
        ({"cost_share": 0.0}, r"cost_share above 0, such as 0\.05"),
        ({"ema": 1.0}, r"ema in \[0, 1\)"),
        ({"smallest_share": 0.0}, "smallest_share"),
        ({"scoring_batches": 0}, "scoring_batches of at least 1"),
        ({"score": "dsic"}, "Did you mean 'gated_dsic'"),
        ({"context": "budgets"}, "Unknown context"),
        ({"masks": "none"}, "Unknown masks"),
        ({"budget_unit": "bytes"}, "Known: modules, parameters, time"),
        ({"keeps": 1}, "Did you mean 'keep'"),
    ],
)
def test_wrong_values_are_explained(values: dict[str, object], message: str) -> None:
    with pytest.raises(InputError, match=message):
        from_mapping(SelectionConfig, values)


def test_what_only_the_model_and_the_run_can_refuse() -> None:
    with pytest.raises(InputError, match="keep between 1 and 4 modules in this model, found 5"):
        SelectionConfig(keep=5).schedule(100, COUNTS)
    with pytest.raises(InputError, match="keep between 10 and 100 parameters in this model, found 9"):
        SelectionConfig(keep=9, budget_unit="parameters").schedule(100, COUNTS)
    with pytest.raises(InputError, match="final_step <= 100 training steps, found 10 and 101"):
        SelectionConfig(final_step=101).schedule(100, COUNTS)
    with pytest.raises(InputError, match="found 70 and 60"):
        SelectionConfig(warmup_steps=70).schedule(100, COUNTS)
    with pytest.raises(InputError, match="step-time profile, found none"):
        select({"a": 1.0}, 500, "time")
    with pytest.raises(InputError, match="finite scores, found nan for 'a'"):
        select({"a": math.nan}, 1)
    with pytest.raises(InputError, match="needs parameter_counts"):
        select({"a": 1.0}, 1, "parameters")
