"""Distances of the steps of gaps to what is observed."""

import numpy as np

from tracetune.estimators.imputation.gap_distances import gap_distances

GAP = np.nan


def test_distances_are_the_variances_of_a_bridge_and_at_an_end_of_a_walk() -> None:
    distances, one_sided = gap_distances(np.array([[GAP, GAP, 5.0, GAP, GAP, GAP, 6.0, GAP], [GAP] * 8, [1.0] * 8]))
    np.testing.assert_allclose(distances[0], [2, 1, np.nan, 0.75, 1, 0.75, np.nan, 1])
    assert one_sided[0].tolist() == [True, True, False, False, False, False, False, True]
    assert np.isinf(distances[1]).all() and not one_sided[1].any()
    assert np.isnan(distances[2]).all() and not one_sided[2].any()


def test_a_walk_between_two_known_steps_varies_by_the_distance() -> None:
    steps = np.random.default_rng(0).normal(size=(20_000, 8)).cumsum(axis=1)
    line = np.linspace(np.zeros(len(steps)), steps[:, -1], 9, axis=1)[:, 1:-1]
    distances = gap_distances(np.array([[0.0, *[GAP] * 7, 0.0]]))[0][0, 1:-1]
    np.testing.assert_allclose((steps[:, :-1] - line).var(axis=0), distances, rtol=0.05)
