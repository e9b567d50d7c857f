"""Columns that give the target away."""

import numpy as np
import pytest

from tracetune.data.leaks import Leak, find_leaks

SOURCE = np.random.default_rng(0)


@pytest.mark.parametrize("shift", [-2, 0, 1, 3])
def test_copies_are_found_at_their_shift(shift: int) -> None:
    items = []
    for _ in range(3):
        target = SOURCE.normal(size=103)
        copy = np.roll(2 * target + 1, -shift)
        items.append(np.stack([target, copy, SOURCE.normal(size=103)])[:, 3:-3])
    (leak,) = find_leaks(items, ["copy", "other"])
    assert (leak.column, leak.shift) == ("copy", shift)
    assert leak.correlation == pytest.approx(1.0)


@pytest.mark.parametrize("factor", [2.0, -2.0])
def test_a_spike_does_not_hide_a_copy(factor: float) -> None:
    target = SOURCE.normal(size=200)
    copy = factor * target
    target[70] = 1e6 * factor
    assert [leak.shift for leak in find_leaks([np.stack([target, copy])], ["copy"])] == [0]


def test_related_columns_are_none() -> None:
    target = SOURCE.normal(size=200)
    assert find_leaks([np.stack([target, target + 0.3 * SOURCE.normal(size=200)])], ["temperature"]) == []
    assert find_leaks([np.stack([target, np.ones(200)])], ["constant"]) == []


def test_what_only_grows_as_the_target_does_is_no_copy() -> None:
    steps = np.arange(200)
    target, other = (1000 + 10 * steps + SOURCE.normal(0, 3, 200) for _ in range(2))
    assert find_leaks([np.stack([target, other])], ["population"]) == []
    assert [leak.shift for leak in find_leaks([np.stack([target, np.round(target / 10, 1)])], ["in tens"])] == [0]


def test_a_column_that_runs_ahead_is_called_so() -> None:
    assert "holds the target 1 step ahead" in Leak("x", 1, 1.0).describe()
