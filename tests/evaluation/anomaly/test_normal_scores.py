"""Rarity and thresholds from normal scores, and stretches that do not look normal."""

import numpy as np
import pytest

from tracetune.evaluation.anomaly.normal_scores import NormalScores, suspicious_stretches


def test_rarity_is_that_of_the_distribution_far_beyond_its_highest_score() -> None:
    scores = np.random.default_rng(0).exponential(size=20_000)
    normal = NormalScores(np.r_[scores, np.nan])
    places = np.array([1.0, 3.0, 6.0, 15.0, np.nan])
    assert normal.rarity(places) == pytest.approx(places, rel=0.15, nan_ok=True)  # -log P(X > x) = x
    assert (np.diff(normal.rarity(np.linspace(-3, 40, 500))) > 0).all()
    few = NormalScores(np.arange(12.0))
    assert (np.diff(few.rarity(np.linspace(-3, 40, 500))) > 0).all()
    assert few.rarity(np.array([0.0, 11.0])) == pytest.approx([0, np.log(13 / 2)])
    assert NormalScores(np.zeros(300)).rarity(np.array([0.0, 5.0])) == pytest.approx([0, np.log(301) + 5])


def test_stretches_that_do_not_look_normal() -> None:
    clean = [np.convolve(np.random.default_rng(seed).exponential(size=3000), np.ones(20) / 20) for seed in range(40)]
    assert sum(bool(suspicious_stretches(scores, 40)[0]) for scores in clean) <= 2
    for scores in clean[:10]:
        scores[1000:1030] = 8.0
        scores[2000:2010] = 6.0
        found, left = suspicious_stretches(scores, 40)
        assert [abs(start - place) < 20 for (start, _), place in zip(found, (1000, 2000), strict=True)] == [True] * 2
        assert not left[1000:1030].any() and left[:900].all()
    found, left = suspicious_stretches(np.array([0.0, np.nan, 9.0]), 2)
    assert found == [] and left.tolist() == [True, False, True]
