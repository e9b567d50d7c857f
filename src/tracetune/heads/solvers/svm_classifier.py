"""Linear support vector machines, one a class against all others, their cost by cross-validation.

For standardised features with sample weights w and y_i = 1 for one class, -1 for the others,

    min over v, b   |v|^2 / 2 + C sum_i w_i max(0, 1 - y_i (v x_i + b))

by scikit-learn's SVC. All classes have the C with the lowest mean hinge loss on samples that were left out.

Shapes: S samples, F features of a block, K classes.
"""

import numpy as np
from sklearn.svm import SVC

from tracetune.heads.solvers.solved_block import SolvedBlock, Standard

COSTS = tuple(10.0**exponent for exponent in range(-2, 5))
FOLDS = 5


def solve_svm(features: np.ndarray, targets: np.ndarray, weights: np.ndarray) -> SolvedBlock:
    """Solve features [S, F] at the cost with the lowest hinge loss on left-out samples; its inverse is the penalty.

    Args:
        features: of one block.
        targets: [S, K], 1 for the class of a sample and -1 for the others.
        weights: [S], with mean 1.
    """
    standard = Standard.of(features, weights)
    known, fold = standard.apply(features), folds(targets)
    best: tuple[float, float, np.ndarray] | None = None
    for cost in COSTS:
        left_out = np.empty(targets.shape)
        for number in np.unique(fold):
            kept, rest = fold != number, fold == number
            weight, bias = support_vector_machines(known[kept], targets[kept], weights[kept], cost)
            left_out[rest] = known[rest] @ weight.T + bias
        error = float((weights[:, None] * np.maximum(0, 1 - targets * left_out)).mean())
        if best is None or error < best[0]:
            best = error, cost, left_out
    assert best is not None
    _, cost, left_out = best
    weight, bias = support_vector_machines(known, targets, weights, cost)
    weight = weight / standard.scale
    return SolvedBlock(weight, bias - weight @ standard.mean, left_out, 1 / cost)


def folds(targets: np.ndarray) -> np.ndarray:
    """Return the fold [S] of each sample: those of a class are spread evenly."""
    order = np.argsort(targets.argmax(axis=1), kind="stable")
    found = np.empty(len(targets), dtype=np.int64)
    found[order] = np.arange(len(targets)) % FOLDS
    return found


def support_vector_machines(
    features: np.ndarray, targets: np.ndarray, weights: np.ndarray, cost: float
) -> tuple[np.ndarray, np.ndarray]:
    """Return weight [K, F] and bias [K]; a class that all samples have, or none, has a constant score."""
    weight, bias = np.zeros((targets.shape[1], features.shape[1])), np.zeros(targets.shape[1])
    for number, column in enumerate(targets.T):
        if column.min() == column.max():
            bias[number] = column[0]
            continue
        machine = SVC(kernel="linear", C=cost).fit(features, column, sample_weight=weights)
        weight[number], bias[number] = machine.coef_[0], machine.intercept_[0]
    return weight, bias
