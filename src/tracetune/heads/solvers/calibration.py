"""Calibrated probabilities, by one factor on all logits (temperature scaling, Guo et al. 2017).

Shapes: S samples, K classes.
"""

import numpy as np
from scipy.optimize import minimize_scalar
from scipy.special import log_softmax

_BOUNDS = (-7.0, 7.0)  # of the factor's logarithm
_SPREAD = 0.25  # of the factor's logarithm around 0, before any sample was seen


def best_factor(logits: np.ndarray, labels: np.ndarray, weights: np.ndarray | None = None) -> float:
    """Return the factor, 1 / temperature, with which logits [S, K] have the lowest cross-entropy.

    Half a sample that could be of any class is added in thought: without it, logits that are right everywhere would
    be made certain. The logarithm of the factor has a normal prior around 0: the logits of a solved head are calibrated
    on its own left-out scores, and a few dozen samples say less than that.

    Args:
        logits: of samples that the model was not trained on.
        labels: [S] numbers of the classes.
        weights: [S]; None for 1.
    """
    weights = np.ones(len(labels)) if weights is None else weights
    rows = np.arange(len(labels))

    def loss(logarithm: float) -> float:
        found = log_softmax(np.exp(logarithm) * logits, axis=1)
        right = float((weights * found[rows, labels]).sum())
        doubt = 0.5 * float(np.average(found.mean(axis=1), weights=weights))
        return (logarithm / _SPREAD) ** 2 / 2 - right - doubt

    return float(np.exp(minimize_scalar(loss, bounds=_BOUNDS, method="bounded").x))
