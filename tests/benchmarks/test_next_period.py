"""Rules read validation only, and the report says what they would have returned."""

import numpy as np
import pytest
from benchmarks.next_period import FACTORS, digest, in_groups
from benchmarks.next_period_report import judged, rule_rows, summarise

from tracetune.evaluation.periods import SampleGroups


def cell(validation_gains: tuple[float, ...], test_gain: float, **rest: object) -> dict[str, object]:
    """A head whose loss falls linearly with the factor, by other amounts in each validation period."""
    factors = np.array(FACTORS)[None, :, None, None]
    return {
        "dataset": "set",
        "horizon": 96,
        "cut": 0,
        "seed": 0,
        "method": "head",
        "weights": "w",
        "settings": {"steps": 1},
        "cpu_seconds": {"all": 1.0},
        "validation": (1 - factors * np.array(validation_gains)[None, None, :, None]).tolist(),
        "test": (1 - factors * np.full((1, 1, 4, 1), test_gain)).tolist(),
        **rest,
    }


def test_a_gain_in_every_period_is_taken_and_two_thirds_of_it_kept() -> None:
    ratios = judged(cell((0.1, 0.12, 0.11, 0.1, 0.09), 0.3))
    assert ratios["trained (no guard)"] == pytest.approx(0.7)
    assert ratios["the same, by one standard error (default)"] == pytest.approx(0.8)


def test_a_gain_within_the_noise_is_left() -> None:
    ratios = judged(cell((0.5, -0.4, 0.3, -0.35, 0.0), -0.2))
    assert ratios["lower loss (guard_margin=0, no shrinking)"] == pytest.approx(1.2)
    assert ratios["the same, by one standard error (default)"] == 1.0


def test_the_report_counts_cases_that_are_worse() -> None:
    cells = [cell((0.1, 0.1, 0.1), -0.2), cell((0.1, 0.1, 0.1), 0.2, cut=1)]
    row = next(row for row in rule_rows(cells) if row["rule"] == "trained (no guard)")
    assert (row["cases"], row["worse by over 1 %"], row["worst"]) == (2, "50%", "-20.00%")
    assert "2 cells" in summarise(cells)


def test_cells_are_named_by_what_decides_them_and_losses_are_means_of_groups() -> None:
    assert digest({"a": 1, "b": 2}) == digest({"b": 2, "a": 1}) != digest({"a": 1, "b": 3})
    groups = SampleGroups(np.array([0, 0, 1]), np.array([0, 0, 0]))
    assert in_groups(np.array([[1.0, 3.0, 5.0]]), groups) == [[[2.0], [5.0]]]
