"""Ridge regression on the classes: scikit-learn's solutions, and left-out scores that were really left out."""

import numpy as np
import pytest
from sklearn.linear_model import Ridge

from tracetune.heads.solvers.ridge_classifier import PENALTIES, solve_ridge

SAMPLES, FEATURES, CLASSES = 24, 16, 3


@pytest.mark.parametrize("class_weights", [(1.0, 1.0, 1.0), (1.0, 2.0, 5.0)])
def test_the_solution_is_scikit_learns(class_weights: tuple[float, ...]) -> None:
    labels = np.arange(SAMPLES) % CLASSES
    features = np.random.default_rng(0).normal(size=(SAMPLES, FEATURES)) + 0.5 * labels[:, None]
    targets, weights = 2 * np.eye(CLASSES)[labels] - 1, np.array(class_weights)[labels]
    weights = weights / weights.mean()
    found = solve_ridge(features, targets, weights)
    mean = np.average(features, axis=0, weights=weights)
    standard = (features - mean) / np.sqrt(np.average((features - mean) ** 2, axis=0, weights=weights))

    def left_out(penalty: float) -> np.ndarray:
        rows = []
        for row in range(SAMPLES):
            kept = np.arange(SAMPLES) != row
            ridge = Ridge(alpha=penalty * FEATURES)
            rows.append(ridge.fit(standard[kept], targets[kept], weights[kept]).predict(standard[row : row + 1])[0])
        return np.array(rows)

    errors = [np.average((left_out(penalty) - targets) ** 2, axis=0, weights=weights).mean() for penalty in PENALTIES]
    assert found.penalty == PENALTIES[int(np.argmin(errors))]
    np.testing.assert_allclose(found.left_out, left_out(found.penalty), atol=1e-6)
    ridge = Ridge(alpha=found.penalty * FEATURES).fit(standard, targets, weights)
    np.testing.assert_allclose(features @ found.weight.T + found.bias, ridge.predict(standard), atol=1e-6)
