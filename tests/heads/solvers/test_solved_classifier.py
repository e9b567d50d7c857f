"""Heads without gradient descent: blocks solved apart, added by weights, and set as one layer."""

import numpy as np
import pytest
import torch

from tracetune.base.errors import InputError
from tracetune.heads.classification import ClassificationHead
from tracetune.heads.classification_config import SOLVERS, ClassificationHeadConfig
from tracetune.heads.solvers.ridge_classifier import solve_ridge
from tracetune.heads.solvers.solved_classifier import fit_classifier_head
from tracetune.heads.solvers.svm_classifier import solve_svm

SAMPLES, CLASSES = 24, 3


def tokens_and_labels() -> tuple[torch.Tensor, torch.Tensor]:
    generator = torch.Generator().manual_seed(0)
    labels = torch.arange(SAMPLES) % CLASSES
    tokens = torch.randn(SAMPLES, 1, 24, generator=generator) + 0.5 * labels[:, None, None]
    return tokens, labels


@pytest.mark.parametrize("class_weights", [None, np.array([1.0, 2.0, 5.0])])
@pytest.mark.parametrize(("solver", "solve"), [("ridge", solve_ridge), ("svm", solve_svm)])
def test_the_layer_is_the_solution_times_its_weight(solver: str, solve: object, class_weights: np.ndarray) -> None:
    tokens, labels = tokens_and_labels()
    head = ClassificationHead((24,), CLASSES).eval()
    found = fit_classifier_head(head, [{"tokens": tokens, "labels": labels}], class_weights, solver)
    weights = np.ones(SAMPLES) if class_weights is None else class_weights[labels.numpy()]
    features = head.reduce(tokens).flatten(1).double().numpy()
    expected = solve(features, 2 * np.eye(CLASSES)[labels] - 1, weights / weights.mean())  # type: ignore[operator]
    assert found.penalties == (expected.penalty,)
    np.testing.assert_allclose(found.left_out, found.weights[0] * expected.left_out)
    with torch.no_grad():
        scores = features @ expected.weight.T + expected.bias
        np.testing.assert_allclose(head(tokens), found.weights[0] * scores, atol=1e-4)


def test_an_unknown_solver_is_refused_by_name() -> None:
    assert SOLVERS == ("ridge", "svm")
    with pytest.raises(InputError, match="ridge"):
        ClassificationHeadConfig(solver="rigde")


def test_blocks_are_solved_apart_and_added_by_their_weights() -> None:
    tokens, labels = tokens_and_labels()
    tokens[..., 8:] = torch.randn(SAMPLES, 1, 16, generator=torch.Generator().manual_seed(1))  # nothing to learn
    batches = [{"tokens": tokens[:10], "labels": labels[:10]}, {"tokens": tokens[10:], "labels": labels[10:]}]
    both = ClassificationHead((8, 16), CLASSES).eval()
    found = fit_classifier_head(both, batches)
    assert found.weights[0] > 2 * found.weights[1]
    expected = torch.zeros(SAMPLES, CLASSES)
    for part, weight in zip((slice(0, 8), slice(8, 24)), found.weights, strict=True):
        one = ClassificationHead((part.stop - part.start,), CLASSES).eval()
        (of_one,) = fit_classifier_head(one, [{"tokens": tokens[..., part], "labels": labels}]).weights
        with torch.no_grad():
            expected += one(tokens[..., part]) * weight / of_one
    with torch.no_grad():
        torch.testing.assert_close(both(tokens), expected, rtol=0, atol=1e-4)


def test_a_class_that_nothing_trains_is_refused() -> None:
    batch = [{"tokens": torch.randn(4, 1, 12), "labels": torch.zeros(4, dtype=torch.int64)}]
    with pytest.raises(InputError, match=r"found none of \[1\]"):
        fit_classifier_head(ClassificationHead((12,), 2), batch)
    with pytest.raises(InputError, match="at least one sample"):
        fit_classifier_head(ClassificationHead((12,), 2), [])
