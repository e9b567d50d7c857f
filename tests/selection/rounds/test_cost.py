import math
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.selection.toys import forecast_batches, game, lora_forecaster, ones
from tracetune.selection.config import SelectionConfig
from tracetune.selection.estimates.row_independence import INDEPENDENCE_PASSES
from tracetune.selection.gates import Gates
from tracetune.selection.importance import score_modules
from tracetune.selection.rounds.cost import SelectionCost, affordable
from tracetune.selection.rounds.plan import plan_rounds, score_passes, selection_cost
from tracetune.selection.rounds.schedule import Schedule
from tracetune.selection.rounds.validation_batches import ScoringBatches
from tracetune.selection.scores import SCORES
from tracetune.selection.validation import model_loss

ASKED = Schedule(start=10, stop=60, interval=5, full=4, final=2)  # 11 rounds
COST = SelectionCost(once=3, each=3, last=0)


@pytest.mark.parametrize("score", sorted(SCORES))
def test_passes_are_those_that_the_scores_report(score: str) -> None:
    model, batches = lora_forecaster(), forecast_batches((6, 6))
    found = score_modules(model, batches, method=score).forward_equivalents
    expected = score_passes(SelectionConfig(score=score), Gates(model).M, "per_sample", keep=0.5) * len(batches)
    once = {"gated_dsic": INDEPENDENCE_PASSES, "diagonal": 2}  # may rows have gates of their own, may batches be split
    assert found - once.get(score, 0) == expected


def test_masks_per_batch_and_losses_for_auto_are_counted() -> None:
    batches, options = forecast_batches((6, 6)), {"masks": "per_batch", "n_masks": 5}
    found = score_modules(lora_forecaster(), batches, method="gated_dsic", **options).forward_equivalents
    config = SelectionConfig(keep="auto", n_masks=5)
    assert selection_cost(config, 4, "per_batch", 0.5, once=7) == SelectionCost(7, (found - 2) / 2 + 1, 3, beside=2)
    assert selection_cost(SelectionConfig(keep=0.5), 4, "per_sample", 0.5) == SelectionCost(0, 3, 0)


@pytest.mark.parametrize(("keep", "each"), [(10, 3), (1, 6), (0.05, 6)])
def test_masks_of_few_modules_are_read_twice_and_planned_so(keep: float | int, each: int) -> None:
    """A number of modules as well as the same share of them."""
    gates = Gates(game(20, lambda gates: gates.sum(1)))
    config = SelectionConfig(keep=keep, cost_share=1.0, scoring_batches=2)
    asked = replace(ASKED, full=20, final=round(20 * keep) if isinstance(keep, float) else keep)
    plan = plan_rounds(config, asked, gates, ScoringBatches(ones(16, 2), 2), model_loss, training=16_000)
    assert plan.share == pytest.approx((INDEPENDENCE_PASSES + 11 * 2 * each) / 1000)


def test_what_is_cheap_enough_stays_as_asked() -> None:
    plan = affordable(ASKED, 4, COST, allowed=3 + 11 * 4 * 3)
    assert (plan.schedule, plan.batches, plan.passes) == (ASKED, 4, 135)
    assert affordable(ASKED, 4, COST, math.inf).schedule == ASKED
    free = affordable(ASKED, 4, SelectionCost(3, 0, 0), allowed=1)  # magnitude looks at no data
    assert (free.schedule, free.batches) == (ASKED, 4)


def test_rounds_go_first_then_batches() -> None:
    plan = affordable(ASKED, 4, COST, allowed=3 + 6 * 4 * 3)
    assert plan.schedule.rounds() == (10, 20, 30, 40, 50, 60)
    beside = affordable(ASKED, 4, SelectionCost(once=3, each=3, last=0, beside=2), allowed=3 + 6 * (4 * 3 + 2))
    assert (beside.schedule, beside.batches, beside.passes) == (plan.schedule, 4, 3 + 6 * (4 * 3 + 2))
    assert plan.batches == 4
    fewer = affordable(ASKED, 4, COST, allowed=3 + 3 * 2 * 3 + 1)
    assert fewer.schedule.rounds() == (10, 35, 60)
    assert (fewer.batches, fewer.passes) == (2, 3 + 3 * 2 * 3)
    evidence = affordable(ASKED, 4, COST, allowed=1, least_evidence=10)
    assert (evidence.schedule.rounds(), evidence.batches) == ((10, 35, 60), 4)
    single = affordable(ASKED, 1, COST, allowed=1, least_evidence=8)
    assert 8 <= len(single.schedule.rounds()) * single.batches < 11
    least = affordable(ASKED, 4, COST, allowed=1)
    assert (least.schedule.rounds(), least.batches) == ((10, 35, 60), 1)
    assert least.passes == 3 + 3 * 3 > 1


def test_evidence_costs_no_more_than_the_training() -> None:
    """Of 12 batches in 3 rounds, as many are read as the training pays for, and one a round at the least."""
    enough = affordable(ASKED, 4, COST, allowed=1, least_evidence=12, most=3 + 12 * 3)
    assert (enough.reads, enough.passes) == (12, 39)
    capped = affordable(ASKED, 4, COST, allowed=1, least_evidence=12, most=3 + 12 * 3 - 1)
    assert (capped.schedule.rounds(), capped.batches, capped.passes) == ((10, 35, 60), 3, 3 + 9 * 3)
    rounds = affordable(ASKED, 1, COST, allowed=1, least_evidence=8, most=3 + 6 * 3)
    assert (rounds.reads, rounds.passes) == (6, 21)
    least = affordable(ASKED, 4, COST, allowed=1, least_evidence=12, most=2)
    assert (least.schedule.rounds(), least.batches) == ((10, 35, 60), 1)
    above = affordable(ASKED, 4, COST, allowed=50, least_evidence=12, most=10)
    assert above == affordable(ASKED, 4, COST, allowed=50, least_evidence=12), "what is allowed is allowed"


schedules = st.tuples(st.integers(0, 60), st.integers(1, 60), st.integers(1, 30)).map(
    lambda v: Schedule(min(v[0], v[1]), v[1], v[2], 4, 2)
)


@given(
    schedules, st.integers(1, 6), st.integers(0, 9), st.integers(1, 40), st.integers(0, 1), st.integers(0, 3),
    st.integers(0, 4000), st.integers(1, 40),
)  # fmt: skip
def test_a_plan_keeps_to_the_limit_and_gives_up_no_more_than_it_must(
    asked: Schedule, batches: int, once: int, each: int, last: int, beside: int, allowed: int, least: int
) -> None:
    cost = SelectionCost(once, each, last, beside)
    plan = affordable(asked, batches, cost, allowed, least)
    before, after = asked.rounds(), plan.schedule.rounds()
    assert plan.passes == cost.total(len(after), plan.batches)
    assert after[-1] == before[-1] == asked.stop
    assert asked.start == 0 or after[0] == before[0]
    assert min(len(before), 3) <= len(after) <= len(before)
    assert 1 <= plan.batches <= batches
    if cost.total(len(before), batches) <= allowed:
        assert (plan.schedule, plan.batches) == (asked, batches)
    elif plan.batches < batches:
        spaced = [
            replace(asked, interval=n).rounds() for n in range(asked.interval, max(asked.stop, asked.interval) + 1)
        ]
        enough = [len(rounds) for rounds in spaced if len(rounds) * batches >= min(least, len(before) * batches)]
        assert len(after) <= max(3, min(enough)), "batches are given up only after rounds"
        assert cost.total(len(after), plan.batches + 1) > allowed
    evidence = min(least, len(before) * batches)
    assert len(after) * plan.batches >= evidence
    assert plan.passes <= allowed or len(after) * (plan.batches - 1) < max(1, evidence)


@given(schedules, st.integers(1, 6), st.integers(1, 40), st.integers(0, 400), st.integers(0, 400), st.integers(1, 40))
def test_more_than_the_training_is_spent_on_three_batches_only(
    asked: Schedule, batches: int, each: int, allowed: int, more: int, least: int
) -> None:
    most = allowed + more
    cost = SelectionCost(once=2, each=each, last=1)
    plan = affordable(asked, batches, cost, allowed, least, most)
    free = affordable(asked, batches, cost, allowed, least)
    if free.passes <= most:
        assert plan == free
    else:
        assert plan.passes <= most or (plan.batches, len(plan.schedule.rounds())) == (1, min(3, len(asked.rounds())))
