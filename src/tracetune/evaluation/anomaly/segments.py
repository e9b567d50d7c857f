"""Segments of labelled steps, and checked scores and labels."""

import numpy as np
from numpy.typing import ArrayLike

from tracetune.base.errors import InputError
from tracetune.base.stretches import stretches_of


def checked(scores: ArrayLike, labels: ArrayLike) -> tuple[np.ndarray, np.ndarray]:
    """Return scores [T] as float64 and labels [T] as bool.

    Raises:
        InputError: shapes that differ, scores that are not finite, labels other than 0 and 1, or one class only.
    """
    scores, labels = np.asarray(scores, float), np.asarray(labels)
    if scores.ndim != 1 or scores.shape != labels.shape:
        raise InputError(
            f"Expected scores and labels of one length, one value a step, found shapes {scores.shape} and "
            f"{labels.shape}."
        )
    if not len(scores):
        raise InputError("Expected at least one normal and one anomalous step, found none at all.")
    if not np.isfinite(scores).all():
        step = int(np.flatnonzero(~np.isfinite(scores))[0])
        raise InputError(
            f"Expected finite scores, found {scores[step]} at step {step}. Score every step, or cut it off."
        )
    if not np.isin(labels, (0, 1)).all():
        raise InputError(f"Expected labels 0 and 1, found {np.unique(labels)[:5].tolist()}.")
    labels = labels.astype(bool)
    if not labels.any() or labels.all():
        raise InputError(f"Expected both normal and anomalous steps among the labels, found {int(labels[0])} only.")
    return scores, labels


def segments(labels: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return first steps [S] and last steps [S], inclusive, of the runs of true values in labels [T]."""
    starts, stops = stretches_of(labels).T
    return starts, stops - 1
