"""Fills that need no model, against pandas and SciPy."""

import numpy as np
import pandas as pd
import pytest
from scipy.interpolate import CubicSpline

from tracetune.evaluation.fills import cubic, last_value, linear, seasonal_median, simple_fills

VALUES = np.array([np.nan, 3.0, np.nan, np.nan, 6.0, 5.0, np.nan, 2.0, 4.0, np.nan, np.nan])


def test_linear_and_last_value_are_those_of_pandas() -> None:
    series = pd.Series(VALUES)
    assert np.allclose(linear(VALUES), series.interpolate(limit_direction="both"))
    assert np.allclose(last_value(VALUES), series.ffill().bfill())


def test_cubic_is_the_spline_inside_and_flat_outside() -> None:
    known = np.flatnonzero(~np.isnan(VALUES))
    expected = CubicSpline(known, VALUES[known])(np.arange(1, 9))
    assert np.allclose(cubic(VALUES)[1:9], expected)
    assert cubic(VALUES)[[0, 9, 10]].tolist() == [3, 4, 4]


def test_seasonal_median_reads_three_seasons_on_either_side() -> None:
    values = np.arange(40.0)
    values[[20, 24]] = np.nan
    filled = seasonal_median(values, 4)
    assert filled[20] == np.median([8, 12, 16, 28, 32])
    assert np.array_equal(seasonal_median(values, 1), linear(values))


@pytest.mark.parametrize("season", [1, 4])
def test_channels_without_values_stay_as_they_are(season: int) -> None:
    for fill in simple_fills(season).values():
        assert np.isnan(fill(np.full(12, np.nan))).all()
        assert np.array_equal(fill(np.arange(12.0)), np.arange(12.0))
