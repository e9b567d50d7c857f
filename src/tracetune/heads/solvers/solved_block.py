"""The solution of a classification head on one block of its features, whoever solved it.

Shapes: S samples, F features of a block, K classes.
"""

from dataclasses import dataclass

import numpy as np

_CONSTANT = 1e-8  # a feature with a deviation below this says nothing
_LEAST_DEVIATION = 0.1  # of the median feature's: what hardly ever differs would be a large number when it does


@dataclass(frozen=True)
class SolvedBlock:
    """Solution of one block.

    Attributes:
        weight: [K, F].
        bias: [K].
        left_out: [S, K] scores of samples by a solution that did not see them.
        penalty: which one was chosen.
    """

    weight: np.ndarray
    bias: np.ndarray
    left_out: np.ndarray
    penalty: float


@dataclass(frozen=True)
class Standard:
    """Mean and scale that standardise features, so that a penalty means the same for any number of them.

    Attributes:
        mean: [F].
        scale: [F] standard deviations, at least a tenth of their median, times the root of F; infinite where a feature
            is constant.
    """

    mean: np.ndarray
    scale: np.ndarray

    @classmethod
    def of(cls, features: np.ndarray, weights: np.ndarray) -> "Standard":
        """Return the mean and the scale of features [S, F] whose samples have ``weights`` [S]."""
        mean = np.average(features, axis=0, weights=weights)
        deviation = np.sqrt(np.average((features - mean) ** 2, axis=0, weights=weights))
        varies = deviation > _CONSTANT
        least = _LEAST_DEVIATION * np.median(deviation[varies]) if varies.any() else 0.0
        return cls(mean, np.where(varies, np.maximum(deviation, least), np.inf) * np.sqrt(features.shape[1]))

    def apply(self, features: np.ndarray) -> np.ndarray:
        """Return standardised features [S, F]."""
        return (features - self.mean) / self.scale
