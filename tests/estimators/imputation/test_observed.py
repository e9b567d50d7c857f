"""Bounds of fills, from the observed values of a series."""

import numpy as np
import pytest

from tracetune.estimators.imputation.observed import within_bounds

WIDE = np.array([[-1e9, 1e9]])


@pytest.mark.parametrize(
    ("observed", "low", "high"),
    [
        ([0.5, 3.0, 7.0], 0, 1e9),  # none below 0
        ([-0.5, -3.0, -7.0], -1e9, 0),  # none above 0
        ([-0.5, 3.0, 7.0], -1e9, 1e9),
        ([0.2, 0.7, 1.0, 1.0], 0, 1),  # a share
        ([0.2, 0.7, 0.9], 0, 1e9),
        ([20.0, 70.0, 100.0, 100.0], 0, 100),  # a percentage
        ([87.0, 93.0, 100.0], 0, 1e9),  # counts, or an index whose base is its largest value
        ([0.2, 0.7, 1.0], 0, 1e9),
        ([0.0, 1.0, 2.0, 3.0], 0, 1e9),  # counts
        ([-4.0, -4.0, -4.0, 1.0, 3.3, 5.0, 8.0, 8.0, 8.0], -4, 8),  # they pile up at both ends
        ([-4.0, -4.0, -4.0, -3.0, -3.0, 5.0, 8.0, 8.0], -1e9, 1e9),
        ([-4.0, -4.0, -4.0], -1e9, 0),  # a constant has no pile: all of it is one
    ],
)
def test_bounds_are_those_that_the_values_show(observed: list[float], low: float, high: float) -> None:
    values = np.array([[*observed, np.nan]])
    assert within_bounds(WIDE, values).tolist() == [[low, high]]
    quantiles = within_bounds(np.stack([WIDE, WIDE], axis=-1), values)  # [C, L, Q]
    assert quantiles.tolist() == [[[low, low], [high, high]]]


def test_without_any_value_there_is_no_bound() -> None:
    assert within_bounds(WIDE, np.full((1, 3), np.nan)).tolist() == WIDE.tolist()
