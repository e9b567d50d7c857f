"""Classification heads without gradient descent: multinomial logistic regression, its penalty chosen by validation.

    min over W, b of   sum_i v_i (-log softmax(W x_i + b)[y_i]) + |W|^2 / (2 c)

on standardised features, v_i the weight of the sample's class, by scikit-learn's L-BFGS; the convex problem has one
solution.

Shapes: S samples, F features of the output layer, K classes.
"""

import warnings
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

import numpy as np
import torch
from sklearn.linear_model import LogisticRegression
from torch import Tensor
from torch.nn import functional

from tracetune.heads.head import Head
from tracetune.heads.solvers.labelled_features import labelled_features, require_all_classes

Batch = Mapping[str, Tensor]
INVERSE_PENALTIES = tuple(10.0**exponent for exponent in range(-4, 3))
_ITERATIONS = 2000
_CONSTANT = 1e-8  # a feature with a deviation below this says nothing


@dataclass(frozen=True)
class LogisticFit:
    """Result of the fit.

    Attributes:
        inverse_penalty: the c with the lowest validation loss.
        validation_loss: mean weighted cross-entropy with it.
        losses: validation loss of every c in ``INVERSE_PENALTIES``.
    """

    inverse_penalty: float
    validation_loss: float
    losses: tuple[float, ...]


def fit_logistic(
    head: Head, train: Iterable[Batch], validation: Iterable[Batch], class_weights: np.ndarray | None = None
) -> LogisticFit:
    """Set the output layer of a head by logistic regression on what its ``reduce`` gives.

    Args:
        head: changed in place.
        train: batches with ``tokens`` [B, C, N, D] and ``labels`` [B].
        validation: batches of the same form.
        class_weights: [K] weight of the samples of each class; None for 1.

    Raises:
        InputError: a class without training samples, or no validation sample.
    """
    features, labels = labelled_features(head, train)
    require_all_classes(labels, head.output.out_features)
    held_out, truth = labelled_features(head, validation)
    of_class = np.ones(head.output.out_features) if class_weights is None else class_weights
    mean, scale = features.mean(axis=0), features.std(axis=0)
    scale = np.where(scale > _CONSTANT, scale, 1.0)
    standard, device = (features - mean) / scale, head.output.weight.device
    solutions = [_solve(standard, labels, of_class[labels], inverse_penalty) for inverse_penalty in INVERSE_PENALTIES]
    solutions = [(weight / scale, bias - weight @ (mean / scale)) for weight, bias in solutions]
    losses = [_cross_entropy(held_out @ weight.T + bias, truth, of_class[truth]) for weight, bias in solutions]
    best = int(np.argmin(losses))
    for parameter, solution in zip((head.output.weight, head.output.bias), solutions[best], strict=True):
        parameter.data.copy_(torch.from_numpy(solution).to(device))
    return LogisticFit(INVERSE_PENALTIES[best], losses[best], tuple(losses))


def _solve(
    features: np.ndarray, labels: np.ndarray, weights: np.ndarray, inverse_penalty: float
) -> tuple[np.ndarray, np.ndarray]:
    """Return weights [K, F] and biases [K]; of two classes, both share scikit-learn's one logit."""
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", "The number of unique classes is greater")  # many classes of few texts each
        found = LogisticRegression(C=inverse_penalty, max_iter=_ITERATIONS).fit(features, labels, weights)
    weight, bias = found.coef_, found.intercept_
    if len(weight) == 1:
        return np.concatenate([-weight, weight]) / 2, np.concatenate([-bias, bias]) / 2
    return weight, bias


def _cross_entropy(logits: np.ndarray, labels: np.ndarray, weights: np.ndarray) -> float:
    losses = functional.cross_entropy(torch.from_numpy(logits), torch.from_numpy(labels), reduction="none")
    return float(np.mean(weights * losses.numpy()))
