"""Stretches of steps for which something holds."""

import numpy as np


def stretches_of(flags: np.ndarray) -> np.ndarray:
    """Return the first step of each stretch of true values in ``flags`` [T], and the step after its last: [R, 2].

    >>> stretches_of(np.array([True, True, False, True])).tolist()
    [[0, 2], [3, 4]]
    """
    edges = np.diff(np.concatenate([[False], flags, [False]]).astype(np.int8))
    return np.flatnonzero(edges).reshape(-1, 2)
