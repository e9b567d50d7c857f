"""Support vector machines: scikit-learn's solutions, their cost by samples that were really left out."""

import numpy as np
from sklearn.preprocessing import StandardScaler
from sklearn.svm import SVC

from tracetune.heads.solvers.svm_classifier import COSTS, FOLDS, folds, solve_svm, support_vector_machines

SAMPLES, FEATURES, CLASSES = 40, 8, 3


def data() -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    labels = np.arange(SAMPLES) % CLASSES
    features = np.random.default_rng(0).normal(size=(SAMPLES, FEATURES)) * 3 + labels[:, None]
    return features, labels, 2.0 * np.eye(CLASSES)[labels] - 1


def test_the_solution_is_scikit_learns_at_the_cost_that_left_out_samples_choose() -> None:
    features, labels, targets = data()
    found = solve_svm(features, targets, np.ones(SAMPLES))
    standard = StandardScaler().fit_transform(features) / np.sqrt(FEATURES)

    def scores(cost: float, kept: np.ndarray) -> np.ndarray:
        machines = [SVC(kernel="linear", C=cost).fit(standard[kept], labels[kept] == each) for each in range(CLASSES)]
        return np.stack([machine.decision_function(standard) for machine in machines], axis=1)

    def left_out(cost: float) -> np.ndarray:
        rows = np.empty(targets.shape)
        for fold in range(FOLDS):
            rest = folds(targets) == fold
            rows[rest] = scores(cost, ~rest)[rest]
        return rows

    losses = [np.maximum(0, 1 - targets * left_out(cost)).mean() for cost in COSTS]
    cost = COSTS[int(np.argmin(losses))]
    assert found.penalty == 1 / cost
    np.testing.assert_allclose(found.left_out, left_out(cost), atol=1e-6)
    expected = scores(cost, np.ones(SAMPLES, dtype=bool))
    np.testing.assert_allclose(features @ found.weight.T + found.bias, expected, atol=1e-6)


def test_folds_spread_every_class() -> None:
    targets = data()[2]
    counts = [np.bincount(folds(targets)[targets[:, each] > 0], minlength=FOLDS) for each in range(CLASSES)]
    assert all(count.max() - count.min() <= 1 for count in counts)


def test_a_sample_of_weight_two_counts_as_two() -> None:
    features, _, targets = data()
    weights = np.where(np.arange(SAMPLES) < 5, 2.0, 1.0)
    twice = np.repeat(np.arange(SAMPLES), weights.astype(int))
    one = support_vector_machines(features, targets, weights, 0.1)
    two = support_vector_machines(features[twice], targets[twice], np.ones(len(twice)), 0.1)
    np.testing.assert_allclose(one[0], two[0], atol=1e-3)


def test_the_only_sample_of_a_class_is_left_out_too() -> None:
    features, _, targets = data()
    lonely = np.concatenate([targets[:, :2], -np.ones((SAMPLES, 1))], axis=1)
    lonely[0] = [-1, -1, 1]
    found = solve_svm(features, lonely, np.ones(SAMPLES))
    assert found.left_out[0, 2] == -1  # whoever never saw the class gives it no chance
    assert np.isfinite(found.weight).all()
