"""Logistic regression as a head: the probabilities of scikit-learn, the best penalty on validation, every class."""

import warnings

import numpy as np
import pytest
import torch
from sklearn.linear_model import LogisticRegression
from sklearn.preprocessing import StandardScaler

from tracetune.base.errors import InputError
from tracetune.heads.pooled import PooledHead
from tracetune.heads.solvers.logistic import INVERSE_PENALTIES, fit_logistic


def batches(classes: int, samples: int, seed: int) -> list[dict[str, torch.Tensor]]:
    """Two vectors of three features, one of them constant, that tell the class in part."""
    generator = torch.Generator().manual_seed(seed)
    labels = torch.arange(samples) % classes
    tokens = torch.randn(samples, 2, 3, generator=generator)
    tokens[:, 0, 0] += labels
    tokens[:, 1, 2] = 5.0
    half = samples // 2
    return [{"tokens": tokens[rows], "labels": labels[rows]} for rows in (slice(half), slice(half, None))]


@pytest.mark.parametrize(("classes", "weights"), [(2, None), (3, None), (2, (0.5, 4.0)), (3, (1.0, 2.0, 9.0))])
def test_the_head_has_the_probabilities_of_scikit_learn(classes: int, weights: tuple[float, ...] | None) -> None:
    head = PooledHead(6, classes).eval()
    train, validation = batches(classes, 40, seed=0), batches(classes, 30, seed=1)
    found = fit_logistic(head, train, validation, None if weights is None else np.array(weights))
    features, labels = (
        np.concatenate([batch[name].reshape(len(batch["labels"]), -1).numpy() for batch in train])
        for name in ("tokens", "labels")
    )
    scaler = StandardScaler().fit(features)
    by_class = None if weights is None else dict(enumerate(weights))
    reference = LogisticRegression(C=found.inverse_penalty, class_weight=by_class, max_iter=2000)
    reference.fit(scaler.transform(features), labels[:, 0])
    tokens, truth = (torch.cat([batch[name] for batch in validation]) for name in ("tokens", "labels"))
    with torch.no_grad():
        logits = head(tokens)
    expected = reference.predict_proba(scaler.transform(tokens.flatten(1).numpy()))
    np.testing.assert_allclose(logits.softmax(-1).numpy(), expected, atol=1e-3)
    losses = torch.nn.functional.cross_entropy(logits, truth, reduction="none")
    expected_loss = losses.mean() if weights is None else (losses * torch.tensor(weights)[truth]).mean()
    assert found.validation_loss == pytest.approx(float(expected_loss), rel=1e-4)
    assert found.validation_loss == min(found.losses)
    assert INVERSE_PENALTIES[found.losses.index(found.validation_loss)] == found.inverse_penalty


def test_a_class_without_samples_is_refused() -> None:
    with pytest.raises(InputError, match=r"samples of all 3 classes, found none of \[2\]"):
        fit_logistic(PooledHead(6, 3), batches(2, 20, seed=0), batches(2, 20, seed=1))


def test_many_classes_of_few_samples_are_no_regression() -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("error")  # scikit-learn asks whether they are
        fit_logistic(PooledHead(6, 30), batches(30, 100, seed=0)[:1], batches(30, 60, seed=1), None)
