"""Gaps: classes, fills, each against a closed form or SciPy."""

import numpy as np
import torch
from scipy.interpolate import CubicHermiteSpline

from tracetune.tasks.imputation.gaps import (
    ONE_SIDED,
    SHORT_ONE_SIDED,
    UNOBSERVED,
    bent,
    cubic,
    gap_classes,
    linear,
    seasonal_median,
)

NAN = torch.nan


def test_classes_name_the_length_of_a_gap_and_the_distance_to_observed_steps() -> None:
    observed = torch.tensor([[0, 0, 1, 0, 1, 0, 0, 0, 0, 1], [0] * 10]).bool()
    lengths, distances = gap_classes(observed)
    assert lengths[0].tolist() == [SHORT_ONE_SIDED, SHORT_ONE_SIDED, 0, 0, 0, 2, 2, 2, 2, 0]
    assert distances[0].tolist() == [1, 0, 0, 0, 0, 0, 1, 1, 0, 0]
    assert lengths[1].eq(UNOBSERVED).all()
    late = gap_classes(torch.tensor([True] * 10 + [False] * 8))[0]
    assert late.tolist() == [0] * 10 + [ONE_SIDED] * 8


def test_a_curve_bent_to_the_ends_of_a_gap_departs_from_their_line_alone() -> None:
    observed = torch.tensor([1, 0, 0, 0, 1]).bool()
    curve = torch.tensor([3.0, 5.0, 6.0, 5.0, 7.0])
    assert torch.allclose(bent(curve, observed), torch.tensor([0.0, 1.0, 1.0, -1.0, 0.0]))


def test_cubic_is_the_hermite_cubic_with_slopes_of_neighbouring_steps() -> None:
    values = torch.tensor(np.random.default_rng(0).normal(size=30)).float()
    observed = torch.ones(30, dtype=torch.bool)
    observed[[5, 6, 7, 12, 20, 21, 23]] = False
    known = np.flatnonzero(observed.numpy())
    y = values.numpy()[known]
    slopes = np.r_[
        (y[1] - y[0]) / (known[1] - known[0]),
        (y[2:] - y[:-2]) / (known[2:] - known[:-2]),
        (y[-1] - y[-2]) / (known[-1] - known[-2]),
    ]
    expected = CubicHermiteSpline(known, y, slopes)(np.arange(30))
    assert np.allclose(cubic(values, observed).numpy(), expected, atol=1e-5)


def test_fills_read_observed_steps_only() -> None:
    observed = torch.tensor([[1, 0, 1, 1, 0, 0, 1, 1, 0, 1, 1, 0]]).bool()
    values = torch.where(observed, torch.arange(12.0), NAN)
    for fill in (linear, cubic, lambda v, o: seasonal_median(v, o, 3)):
        assert torch.isfinite(fill(values, observed)).all()
        assert torch.equal(fill(values, observed)[observed], values[observed])


def test_seasonal_median_takes_the_nearest_seasons_that_are_observed() -> None:
    season = torch.tensor([0.0, 10.0, 20.0, 30.0])
    values = (season + torch.arange(6.0)[:, None]).flatten()  # a level that rises by one each season
    observed = torch.ones(24, dtype=torch.bool)
    observed[[9, 13]] = False
    filled = seasonal_median(values, observed, 4)
    assert filled[9] == np.median(
        [11, 10, 14, 15]
    )  # of seasons 1, 0, 4 and 5; season 3 is hidden too, and there are three on either side
