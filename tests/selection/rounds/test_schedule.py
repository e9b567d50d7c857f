import pytest
from hypothesis import given
from hypothesis import strategies as st

from tracetune.selection.rounds.schedule import Schedule, budget_at

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
