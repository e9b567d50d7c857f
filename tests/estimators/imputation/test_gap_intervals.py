"""Intervals of fills: as wide as the distance to observed steps demands, inside and at the ends."""

import numpy as np
import pytest

from tracetune.base.errors import InputError
from tracetune.estimators.imputation.gap_errors import gap_errors
from tracetune.estimators.imputation.gap_intervals import GapIntervals, gap_intervals
from tracetune.evaluation.fills import linear

LEVELS = (0.1, 0.9)


def walk(length: int, seed: int) -> np.ndarray:
    return np.cumsum(np.random.default_rng(seed).normal(size=length))


def by_line(values: np.ndarray, wanted: np.ndarray, number: int) -> np.ndarray:
    return np.stack([linear(row) for row in values])


def of_walk(length: int = 1000, seed: int = 0) -> GapIntervals:
    return gap_intervals(gap_errors(by_line, [walk(length, seed)[None]], related=False))


@pytest.mark.parametrize("gap", [1, 5, 20, 60, 150, 250])
def test_on_a_walk_of_a_thousand_steps_gaps_of_all_lengths_are_covered(gap: int) -> None:
    held, ratios = [], []
    truth = np.stack([walk(gap + 2, seed) for seed in range(100, 300)])
    line = np.linspace(truth[:, 0], truth[:, -1], gap + 2, axis=1)
    values = np.where(np.isin(np.arange(gap + 2), (0, gap + 1)), 0.0, np.nan)[None]
    for seed in range(8):
        low, high = of_walk(seed=seed).offsets(values, LEVELS)[0, 1:-1].T
        errors = (truth - line)[:, 1:-1]
        held.append(((low <= errors) & (errors <= high)).mean())
        steps = np.arange(1, gap + 1)
        ratios.append(np.mean((high - low) / (2 * 1.2816 * np.sqrt(steps * (gap + 1 - steps) / (gap + 1)))))
    assert 0.76 < np.mean(held) < 0.92
    assert 0.9 < np.mean(ratios) < 1.8  # of the width that would be right, were the walk known


def test_at_the_ends_intervals_widen_with_every_step() -> None:
    offsets = of_walk().offsets(np.array([[*[np.nan] * 50, 0.0, *[np.nan] * 50]]), LEVELS)[0]
    widths = offsets[:, 1] - offsets[:, 0]
    assert (np.diff(widths[51:]) >= 0).all() and widths[-1] > 3 * widths[51]
    np.testing.assert_allclose(widths[:50], widths[:50:-1])
    held = np.mean([np.abs(walk(30, seed)[-1]) <= widths[80] / 2 for seed in range(100, 500)])
    assert 0.7 < held < 0.97


def test_beyond_the_longest_gap_that_was_hidden_they_grow_as_on_a_walk_and_it_is_known() -> None:
    found = of_walk(300)
    assert found.inside.longest == found.ends.longest == 100
    long = np.array([[0.0, *[np.nan] * 1599, 0.0]])
    middle = found.offsets(long, LEVELS)[0, 800]
    at_last = found.inside.at(found.inside.distances[-1:], LEVELS)[0]
    np.testing.assert_allclose(middle, at_last * np.sqrt(400 / found.inside.distances[-1]))
    assert found.longer_than_hidden(long) == 1599
    assert found.longer_than_hidden(np.array([[0.0, *[np.nan] * 100, 0.0]])) == 0


def test_errors_on_one_side_stay_there() -> None:
    def too_low(values: np.ndarray, wanted: np.ndarray, number: int) -> np.ndarray:
        return np.where(np.isnan(values), -1.0, values)

    noise = np.random.default_rng(0).exponential(size=(1, 2000))
    low, high = gap_intervals(gap_errors(too_low, [noise], related=False)).offsets(np.array([[0, np.nan, 0]]), LEVELS)[
        0, 1
    ]
    assert low == 0 and 2.5 < high < 4.5  # the truth is at least 1 above


def test_where_nothing_can_be_hidden_errors_deviate_as_the_series() -> None:
    found = gap_intervals(gap_errors(by_line, [np.array([[1.0]])], related=False))
    offsets = found.offsets(np.array([[np.nan, 0.0, np.nan, 0.0]]), LEVELS)[0]
    assert (offsets[[0, 2], 1] > 1.28).all() and (offsets[[1, 3]] == 0).all()


def test_a_constant_has_no_width_and_is_read_again_as_written() -> None:
    found = gap_intervals(gap_errors(by_line, [np.full((1, 90), 3.0)], related=False))
    assert not found.offsets(np.array([[3.0, np.nan, 3.0]]), LEVELS).any()
    again = GapIntervals.from_dict(of_walk().to_dict(), "intervals")
    assert again.to_dict() == of_walk().to_dict()


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"distances": [2.0, 1.0]}, "ascending"),
        ({"distances": [1.0]}, "a distance for each row"),
        ({"values": [[1.0, -1.0]] * 2}, "ascend with their levels"),
    ],
)
def test_damaged_tables_are_refused(change: dict[str, object], message: str) -> None:
    table = {"distances": [1.0, 2.0], "longest": 9, "levels": [0.1, 0.9], "values": [[-1.0, 1.0]] * 2}
    whole = {"inside": table | change, "ends": table, "unobserved": {"levels": [0.1, 0.9], "values": [[-1.0, 1.0]]}}
    with pytest.raises(InputError, match=message):
        GapIntervals.from_dict(whole, "intervals")


def test_intervals_of_a_former_version_ask_for_a_new_fit() -> None:
    with pytest.raises(InputError, match=r"trace.json: quantiles by the length of gaps.*Fit again"):
        GapIntervals.from_dict({"levels": [0.1, 0.9], "values": [[-1.0, 1.0]]}, "trace.json")
