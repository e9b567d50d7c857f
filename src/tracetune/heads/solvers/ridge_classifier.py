"""Ridge regression on classes, its penalty by leave-one-out in closed form.

For standardised and centred features with sample weights w,

    min over W   sum_i w_i |W x_i - (y_i - mean y)|^2 + a F |W|^2        y_i = one of K columns 1, the others -1

has leave-one-out residuals in closed form, r_i / (1 - h_ii) with the hat matrix H (Hastie, Tibshirani & Friedman 2009,
section 7.10), which choose a.

Shapes: S samples, F features of a block, K classes.
"""

import numpy as np

from tracetune.heads.solvers.solved_block import SolvedBlock, Standard

PENALTIES = tuple(10.0 ** (exponent / 2) for exponent in range(-8, 9))
_LEAST_FREEDOM = 1e-6  # of a sample to differ from its fit: 1 - h


def solve_ridge(features: np.ndarray, targets: np.ndarray, weights: np.ndarray) -> SolvedBlock:
    """Solve features [S, F] at the penalty with the lowest left-out error.

    Args:
        features: of one block.
        targets: [S, K], 1 for the class of a sample and -1 for the others.
        weights: [S], with mean 1.
    """
    samples = len(features)
    standard = Standard.of(features, weights)
    root = np.sqrt(weights)[:, None]
    middle = np.average(targets, axis=0, weights=weights)
    left, singular, right = np.linalg.svd(root * standard.apply(features), full_matrices=False)
    projected = left.T @ (root * (targets - middle))
    best: tuple[float, float, np.ndarray] | None = None
    for penalty in PENALTIES:
        shrunk = singular**2 / (singular**2 + penalty)
        leverage = weights / samples + left**2 @ shrunk
        residuals = targets - middle - left @ (shrunk[:, None] * projected) / root
        residuals /= np.maximum(1 - leverage, _LEAST_FREEDOM)[:, None]
        error = float((weights[:, None] * residuals**2).mean())
        if best is None or error < best[0]:
            best = error, penalty, targets - residuals
    assert best is not None
    _, penalty, left_out = best
    weight = ((singular / (singular**2 + penalty))[:, None] * projected).T @ right / standard.scale
    return SolvedBlock(weight, middle - weight @ standard.mean, left_out, penalty)
