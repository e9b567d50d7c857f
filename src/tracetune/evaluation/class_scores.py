"""Scores of class probabilities, beside those of always naming the most frequent class.

Shapes: S samples, K classes.
"""

from collections.abc import Callable

import numpy as np
import pandas as pd

_LEAST_PROBABILITY = 1e-12  # in the log loss

Scores = Callable[[np.ndarray, np.ndarray], dict[str, float]]
"""From probabilities [S, K] and the numbers [S] of the true classes to scores by name."""


def beside_most_frequent(scores: Scores, probabilities: np.ndarray, labels: np.ndarray) -> pd.DataFrame:
    """Return a row of scores for a model, and one for always naming the class that is most frequent among the samples.

    Args:
        scores: what is measured.
        probabilities: [S, K] of the model; the other row has the shares of the classes for each sample.
        labels: [S].
    """
    shares = np.bincount(labels, minlength=probabilities.shape[1]) / len(labels)
    rows = {"model": probabilities, "most frequent class": np.tile(shares, (len(labels), 1))}
    return pd.DataFrame([{"classifier": name} | scores(found, labels) for name, found in rows.items()])


def log_loss(probabilities: np.ndarray, labels: np.ndarray) -> float:
    """Return the mean cross-entropy of probabilities [S, K] for classes [S]."""
    of_truth = np.maximum(probabilities[np.arange(len(labels)), labels], _LEAST_PROBABILITY)
    return float(np.log(1 / of_truth).mean())
