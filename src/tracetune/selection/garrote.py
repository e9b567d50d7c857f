"""The non-negative garrote on a loss that is known by its values and gradients at a few points (Breiman 1995).

For factors c of M coefficients and the mean of the losses of P periods,

    minimise  mean_p L_p(c) + penalty * sum_m c_m      over 0 <= c_m <= 1

with L_p a quadratic whose curvature comes from differences of gradients by symmetric rank-one updates (SR1; Nocedal &
Wright 2006, section 6.2): exact where the loss is quadratic, after M independent differences. The penalty is the one
with the lowest loss on periods that are left out in turn.

Notation for shapes: M coefficients, P periods, K points.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from scipy.optimize import minimize

_PENALTIES = np.array([0.0, 0.003, 0.01, 0.03, 0.1, 0.3, 1.0])
"""Shares of the penalty at which the minimum is at zero."""

_LEAST_UPDATE = 1e-8


@dataclass(frozen=True)
class Reads:
    """Measured losses: values and gradients at K points.

    Attributes:
        points: [K, M] factors.
        losses: [K, P].
        gradients: [K, P, M].
    """

    points: np.ndarray
    losses: np.ndarray
    gradients: np.ndarray

    def followed_by(self, other: "Reads") -> "Reads":
        """Return these points and then those."""
        return Reads(
            np.concatenate([self.points, other.points]),
            np.concatenate([self.losses, other.losses]),
            np.concatenate([self.gradients, other.gradients]),
        )

    def best(self, penalty: float = 0.0) -> int:
        """Return the point with the lowest mean loss plus penalty; of equals the one with the smaller sum."""
        sums = self.points.sum(1)
        return int(np.lexsort((sums, self.losses.mean(1) + penalty * sums))[0])


@dataclass(frozen=True)
class Quadratic:
    """Quadratic losses of P periods around one point.

    Attributes:
        at: [M] the point.
        losses: [P] values there.
        gradients: [P, M] gradients there.
        curvatures: [P, M, M] second derivatives, positive semi-definite.
    """

    at: np.ndarray
    losses: np.ndarray
    gradients: np.ndarray
    curvatures: np.ndarray

    @classmethod
    def of(cls, reads: Reads) -> "Quadratic":
        """Fit to all reads, around the point with the lowest loss."""
        best = reads.best()
        curvatures = np.stack([_curvature(reads.points, reads.gradients[:, p]) for p in range(reads.losses.shape[1])])
        return cls(reads.points[best], reads.losses[best], reads.gradients[best], curvatures)

    @property
    def num_periods(self) -> int:
        """Return the number of periods P."""
        return len(self.losses)

    def value(self, factors: np.ndarray) -> np.ndarray:
        """Return losses [P] at ``factors`` [M]."""
        step = factors - self.at
        return self.losses + self.gradients @ step + 0.5 * np.einsum("i,pij,j->p", step, self.curvatures, step)

    def minimum(self, penalty: float, periods: Sequence[int]) -> np.ndarray:
        """Return factors [M] in [0, 1] with the lowest mean loss over ``periods`` plus ``penalty`` times their sum."""
        chosen = list(periods)
        gradient, curvature = self.gradients[chosen].mean(0) + penalty, self.curvatures[chosen].mean(0)

        unit = float(np.abs(gradient).max(initial=0.0)) or 1.0  # the solver's tolerances are absolute

        def scaled(factors: np.ndarray) -> tuple[float, np.ndarray]:
            step = factors - self.at
            curved = curvature @ step
            return float(gradient @ step + 0.5 * step @ curved) / unit, (gradient + curved) / unit

        found = minimize(
            scaled,
            self.at,
            jac=True,
            method="L-BFGS-B",
            bounds=[(0, 1)] * len(self.at),
            options={"ftol": 1e-14, "gtol": 1e-10, "maxiter": 1000},
        )
        return np.clip(found.x, 0, 1)

    def closing_penalty(self) -> float:
        """Return the least penalty at which the minimum over all periods is at zero."""
        slope = self.gradients.mean(0) - self.curvatures.mean(0) @ self.at
        return max(0.0, -float(slope.min()))


def choose_penalty(model: Quadratic, standard_errors: float = 0.0) -> float:
    """Return the penalty whose factors, from the other periods, have the lowest loss on each period left out.

    Args:
        model: losses of two periods or more.
        standard_errors: take the largest penalty whose loss is above the lowest one by at most so many standard errors
            of the difference, over periods.
    """
    periods = range(model.num_periods)
    penalties = _PENALTIES * model.closing_penalty()
    left_out = np.array(
        [[model.value(model.minimum(each, [q for q in periods if q != p]))[p] for p in periods] for each in penalties]
    )  # [penalties, P]
    best = int(left_out.mean(1).argmin())
    above = left_out - left_out[best]
    allowed = standard_errors * above.std(1, ddof=1) / np.sqrt(len(periods))
    return float(penalties[above.mean(1) <= allowed].max())


def _curvature(points: np.ndarray, gradients: np.ndarray) -> np.ndarray:
    """Return second derivatives [M, M] from gradients [K, M] at the points [K, M], made positive semi-definite.

    Begins with what fits if no coefficient interacts with another.
    """
    moves, changes = np.diff(points, axis=0), np.diff(gradients, axis=0)
    squares = (moves**2).sum(0)
    alone = np.divide((moves * changes).sum(0), squares, out=np.zeros(len(squares)), where=squares > 0)
    curvature = np.diag(np.maximum(alone, 0.0))
    for move, change in zip(moves, changes, strict=True):
        missed = change - curvature @ move
        along = missed @ move
        if abs(along) > _LEAST_UPDATE * np.linalg.norm(missed) * np.linalg.norm(move):
            curvature = curvature + np.outer(missed, missed) / along
    values, vectors = np.linalg.eigh(curvature)
    return (vectors * np.maximum(values, 0.0)) @ vectors.T
