"""Standardised features: units, constant features, and those that hardly differ."""

import numpy as np

from tracetune.heads.solvers.solved_block import Standard


def test_features_have_mean_0_and_together_a_square_of_1() -> None:
    features = np.random.default_rng(0).normal(3.0, [1.0, 2.0, 1.5], (200, 3))
    weights = np.where(np.arange(200) < 50, 2.5, 0.5)
    found = Standard.of(features, weights).apply(features)
    np.testing.assert_allclose(np.average(found, axis=0, weights=weights), 0, atol=1e-12)
    np.testing.assert_allclose(np.average(found**2, axis=0, weights=weights), 1 / 3)


def test_a_constant_feature_says_nothing_and_one_that_hardly_differs_little() -> None:
    features = np.random.default_rng(0).normal(size=(50, 5))
    features[:, 3] = 7.0
    features[:, 4] = 1e-5 * features[:, 4]
    standard = Standard.of(features, np.ones(50))
    other = np.array([[0.0, 0, 0, 9, 1]])  # of another series: 9 in place of 7, 1 in place of 0.00001
    found = standard.apply(other)[0]
    assert found[3] == 0
    least = 0.1 * np.median([*features[:, :3].std(axis=0), features[:, 4].std()])
    assert np.isclose(found[4], (1 - features[:, 4].mean()) / least / np.sqrt(5))
