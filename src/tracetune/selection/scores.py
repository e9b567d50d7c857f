"""What every importance score returns, and how its cost is counted."""

from dataclasses import dataclass

import numpy as np

FORWARD = 1.0
FORWARD_BACKWARD = 3.0
"""Cost of one batch in forward passes: a backward pass counts as two."""


@dataclass(frozen=True)
class Scores:
    """Scores of the M modules of a model.

    Attributes:
        values: [M], higher is more important.
        standard_errors: [M], or None where the score is not a mean.
        samples: validation samples used.
        forward_equivalents: cost in forward passes over one batch.
    """

    values: np.ndarray
    standard_errors: np.ndarray | None
    samples: int
    forward_equivalents: float


def mean_and_error(reads: np.ndarray, weights: np.ndarray | None = None) -> tuple[np.ndarray, np.ndarray]:
    """Weighted means [M] of ``reads`` [M, K] along K, and their standard errors [M]; NaN from a single read."""
    count = reads.shape[1]
    share = np.full(count, 1 / count) if weights is None else weights / weights.sum()
    means = reads @ share
    if count < 2:
        return means, np.full(len(means), np.nan)
    squares = ((reads - means[:, None]) ** 2 * share**2).sum(1)
    return means, np.sqrt(squares * count / (count - 1))
