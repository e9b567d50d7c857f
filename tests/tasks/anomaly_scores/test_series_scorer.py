"""Scores of series with planted anomalies, and the parts they are made of."""

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.tiny import tiny_backbone
from tracetune.base.errors import InputError
from tracetune.tasks.anomaly_scores.features import LevelFeatures
from tracetune.tasks.anomaly_scores.neighbour_scorer import fit_neighbour_scorer, window_widths
from tracetune.tasks.anomaly_scores.neighbours import coreset, nearest_distance
from tracetune.tasks.anomaly_scores.series_scorer import filled_gaps, fit_series_scorer
from tracetune.tasks.anomaly_scores.sliding import dominant_period, spread, window_starts


def season(length: int, seed: int = 0) -> np.ndarray:
    noise = 0.05 * np.random.default_rng(seed).normal(size=length)
    return np.sin(2 * np.pi * np.arange(length) / 80) + noise


@settings(deadline=None)
@given(st.integers(8, 200), st.integers(1, 8), st.integers(1, 9))
def test_every_step_has_the_mean_of_the_windows_over_it(length: int, width: int, stride: int) -> None:
    starts = window_starts(length, width, min(stride, width))
    scores = np.random.default_rng(length).random(len(starts))
    covering = [scores[(starts <= step) & (step < starts + width)].mean() for step in range(length)]
    assert spread(starts, scores, width, length) == pytest.approx(covering)


def test_the_period_is_found() -> None:
    assert dominant_period(season(1000)) == pytest.approx(80, abs=2)
    assert dominant_period(np.ones(50)) is None
    assert window_widths(season(1000)) == pytest.approx((40, 80, 160), abs=3)
    assert min(window_widths(np.ones(20))) >= 8


def test_distances_are_those_to_the_nearest_windows_that_do_not_overlap() -> None:
    bank = torch.tensor([[0.0], [1.0], [3.0], [7.0]])
    starts = torch.tensor([0, 10, 20, 30])
    assert nearest_distance(torch.tensor([[1.5]]), bank, 2).tolist() == [1.0]  # (0.5 + 1.5) / 2
    apart = (starts, starts, 20)
    assert nearest_distance(bank, bank, 1, apart).tolist() == [3.0, 6.0, 3.0, 6.0]


def test_a_coreset_is_a_part_in_order() -> None:
    rows = torch.arange(50.0).view(-1, 1)
    kept = coreset(rows, 10)
    assert len(kept) == 10
    assert (kept.diff() > 0).all()
    assert coreset(rows, 60).tolist() == list(range(50))


def test_an_odd_shape_has_the_highest_score() -> None:
    values = season(1600, 1)
    values[960:1040] = np.sin(2 * np.pi * np.arange(80) / 20)
    scorer = fit_series_scorer(season(800), tiny_backbone())
    assert 940 <= int(scorer.score(values).argmax()) <= 1060


def test_an_odd_level_has_the_highest_score_though_its_shape_is_normal() -> None:
    values = season(1600, 1)
    values[960:1040] += 3
    scorer = fit_series_scorer(season(800), tiny_backbone())
    assert 930 <= int(scorer.score(values).argmax()) <= 1070


def test_an_anomaly_in_the_part_that_was_learned_is_found_there() -> None:
    values = season(1600)
    values[700:740] = 2.5
    assert 680 <= int(fit_series_scorer(values, tiny_backbone()).normal_scores.argmax()) <= 760


def test_shapes_that_never_repeat_do_not_count() -> None:
    walk = np.random.default_rng(0).normal(size=1500).cumsum()
    assert (
        fit_series_scorer(walk, tiny_backbone()).shape_weight
        < fit_series_scorer(season(1500), tiny_backbone()).shape_weight
    )


def test_units_do_not_matter() -> None:
    normal, values = season(800), season(400, 1)
    scores = fit_series_scorer(normal, tiny_backbone()).score(values)
    scaled = fit_series_scorer(1000 * normal - 7, tiny_backbone()).score(1000 * values - 7)
    assert scaled == pytest.approx(scores, rel=1e-3, abs=1e-3)


def test_gaps_constants_and_short_parts() -> None:
    assert filled_gaps(np.array([np.nan, 1.0, np.nan, 3.0, np.nan])).tolist() == [1, 1, 2, 3, 3]
    assert filled_gaps(np.full(3, np.nan)).tolist() == [0, 0, 0]
    scores = fit_series_scorer(np.ones(300), tiny_backbone()).score(np.r_[np.ones(200), 5.0, np.ones(99)])
    assert np.isfinite(scores).all()
    assert abs(int(scores.argmax()) - 200) <= 128
    with pytest.raises(InputError, match="at least 16 normal steps"):
        fit_neighbour_scorer(np.arange(10.0), LevelFeatures(), (8,))
