from itertools import chain, combinations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tracetune.base.errors import InputError
from tracetune.selection.budgets.knapsack import UNITS, best_within_time
from tracetune.selection.budgets.step_time_profile import StepTimeProfile


@st.composite
def cases(draw: st.DrawFn, numbers: st.SearchStrategy[float]) -> tuple[dict[str, float], StepTimeProfile]:
    """Scores of up to 7 modules in 3 blocks, and a profile."""
    names = draw(
        st.lists(st.sampled_from([f"block.{b}.{k}" for b in range(3) for k in "qkv"]), min_size=1, unique=True)
    )
    names = names[:7]
    falls = [draw(numbers) for _ in range(3)]
    base = {block: 1 + sum(falls[block:]) for block in range(3)}
    profile = StepTimeProfile(base, {name: draw(numbers) for name in names})
    return {name: draw(st.integers(-3, 6)) / 4 for name in names}, profile


def subsets(names: list[str]) -> chain[tuple[str, ...]]:
    return chain.from_iterable(combinations(names, size) for size in range(1, len(names) + 1))


def brute_force(scores: dict[str, float], profile: StepTimeProfile, limit: float) -> float:
    """The highest sum of scores that fits, zero for nothing."""
    fitting = [s for s in subsets(list(scores)) if profile.seconds(s) <= limit + 1e-12]
    return max([sum(scores[name] for name in s) for s in fitting], default=0.0)


@settings(max_examples=300)
@given(cases(st.integers(0, 20).map(float)), st.integers(1, 1000))
def test_no_set_that_fits_is_better(case: tuple[dict[str, float], StepTimeProfile], per_mille: int) -> None:
    """Up to what rounding loses: the best set of a limit that is a unit a module lower must be reached."""
    scores, profile = case
    limit = per_mille / 1000 * profile.full
    chosen = best_within_time(scores, profile, per_mille / 1000)
    total = sum(scores[name] for name in chosen)
    assert list(chosen) == [name for name in scores if name in chosen]
    if max(scores.values()) > 0 and brute_force(scores, profile, limit) > 0:
        assert profile.seconds(chosen) <= limit * (1 + 1e-9)
        assert all(scores[name] > 0 for name in chosen)
        lower = limit - profile.full * (len(scores) + 1) / UNITS
        assert brute_force(scores, profile, lower) <= total <= brute_force(scores, profile, limit) + 1e-12
    else:
        (only,) = chosen
        single = {name: profile.seconds([name]) for name in scores}
        fitting = [name for name in scores if single[name] <= limit * (1 + 1e-9)]
        if fitting:
            assert scores[only] == max(scores[name] for name in fitting)
        else:
            assert single[only] == min(single.values())


@given(cases(st.floats(0, 20)), st.floats(0.001, 1))
def test_a_step_is_never_longer_than_allowed(case: tuple[dict[str, float], StepTimeProfile], share: float) -> None:
    scores, profile = case
    chosen = best_within_time(scores, profile, share)
    assert profile.seconds(chosen) <= max(share * profile.full, profile.least) * (1 + 1e-9)


def test_depth_decides_where_scores_are_close() -> None:
    names = [f"block.{block}.{kind}" for block in range(4) for kind in "qv"]
    profile = StepTimeProfile({0: 8.0, 1: 6.0, 2: 4.0, 3: 2.0}, dict.fromkeys(names, 1.0))  # 16 in full
    scores = dict(zip(names, [1.1, 1.0, 1.0, 1.0, 1.0, 1.0, 1.0, 1.0], strict=True))
    assert best_within_time(scores, profile, 8 / 16) == tuple(names[4:])  # 4 + 4; from block 0 none fits with 8
    scores["block.0.q"] = 9.0
    assert best_within_time(scores, profile, 9 / 16) == ("block.0.q",)
    assert best_within_time(scores, profile, 1.0) == tuple(names)
    scores["block.3.v"] = -1.0
    assert best_within_time(scores, profile, 1.0) == tuple(names[:-1]), "time is not spent on what harms"


def test_equal_sums_go_to_the_faster_set() -> None:
    profile = StepTimeProfile({0: 3.0, 1: 1.0}, {"block.0.q": 1.0, "block.1.q": 1.0})
    assert best_within_time({"block.0.q": 1.0, "block.1.q": 1.0}, profile, 0.9) == ("block.1.q",)


def test_other_modules_are_refused() -> None:
    with pytest.raises(InputError, match="Measure it again"):
        best_within_time({"block.0.k": 1.0}, StepTimeProfile({0: 1.0}, {"block.0.q": 1.0}), 0.5)
