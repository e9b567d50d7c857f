"""Heads by ridge regression on the classes: scikit-learn's solutions, and left-out scores that were really left out."""

import numpy as np
import pytest
import torch
from sklearn.linear_model import Ridge

from tracetune.base.errors import InputError
from tracetune.heads.classification import ClassificationHead
from tracetune.heads.ridge_classifier import PENALTIES, fit_ridge_classifier

SAMPLES, CLASSES = 24, 3


def tokens_and_labels() -> tuple[torch.Tensor, torch.Tensor]:
    generator = torch.Generator().manual_seed(0)
    labels = torch.arange(SAMPLES) % CLASSES
    tokens = torch.randn(SAMPLES, 1, 6, 4, generator=generator) + 0.5 * labels[:, None, None, None]
    return tokens, labels


@pytest.mark.parametrize("class_weights", [None, np.array([1.0, 2.0, 5.0])])
def test_the_solution_is_scikit_learns(class_weights: np.ndarray | None) -> None:
    tokens, labels = tokens_and_labels()
    head = ClassificationHead(1, 4, CLASSES, patches=(6,)).eval()
    found = fit_ridge_classifier(head, [{"tokens": tokens, "labels": labels}], class_weights)
    weights = np.ones(SAMPLES) if class_weights is None else class_weights[labels.numpy()]
    features = head.reduce(tokens).flatten(1).double().numpy()
    targets = 2 * np.eye(CLASSES)[labels] - 1
    mean = np.average(features, axis=0, weights=weights)
    scale = np.sqrt(np.average((features - mean) ** 2, axis=0, weights=weights))
    standard, width = (features - mean) / scale, features.shape[1]

    def left_out(penalty: float) -> np.ndarray:
        rows = []
        for row in range(SAMPLES):
            kept = np.arange(SAMPLES) != row
            ridge = Ridge(alpha=penalty * width * weights.mean())
            rows.append(ridge.fit(standard[kept], targets[kept], weights[kept]).predict(standard[row : row + 1])[0])
        return np.array(rows)

    errors = [np.average((left_out(penalty) - targets) ** 2, axis=0, weights=weights).mean() for penalty in PENALTIES]
    (penalty,) = found.penalties
    assert penalty == PENALTIES[int(np.argmin(errors))]
    np.testing.assert_allclose(found.left_out / found.factor, left_out(penalty), atol=1e-6)
    ridge = Ridge(alpha=penalty * width * weights.mean()).fit(standard, targets, weights)
    with torch.no_grad():
        np.testing.assert_allclose(head(tokens) / found.factor, ridge.predict(standard), atol=1e-4)


def test_scales_are_solved_apart_and_averaged() -> None:
    tokens, labels = tokens_and_labels()
    batches = [{"tokens": tokens[:10], "labels": labels[:10]}, {"tokens": tokens[10:], "labels": labels[10:]}]
    both = ClassificationHead(1, 4, CLASSES, patches=(2, 4)).eval()
    found = fit_ridge_classifier(both, batches)
    scores = []
    for part in (slice(0, 2), slice(2, 6)):
        one = ClassificationHead(1, 4, CLASSES, patches=(part.stop - part.start,)).eval()
        factor = fit_ridge_classifier(one, [{"tokens": tokens[:, :, part], "labels": labels}]).factor
        with torch.no_grad():
            scores.append(one(tokens[:, :, part]) / factor)
    with torch.no_grad():
        torch.testing.assert_close(both(tokens) / found.factor, (scores[0] + scores[1]) / 2, rtol=0, atol=1e-4)


def test_a_class_that_nothing_trains_is_refused() -> None:
    batch = [{"tokens": torch.randn(4, 1, 4, 3), "labels": torch.zeros(4, dtype=torch.int64)}]
    with pytest.raises(InputError, match=r"found none of \[1\]"):
        fit_ridge_classifier(ClassificationHead(1, 3, 2, patches=(4,)), batch)
    with pytest.raises(InputError, match="at least one sample"):
        fit_ridge_classifier(ClassificationHead(1, 3, 2, patches=(4,)), [])
