"""Classification heads without gradient descent: ridge regression on the classes, its penalty by leave-one-out.

For each block of features (of one scale), standardised and centred with sample weights w,

    min over W   sum_i w_i |W x_i - (y_i - mean y)|^2 + a F |W|^2        y_i = one of K columns 1, the others -1

has leave-one-out residuals in closed form, r_i / (1 - h_ii) with the hat matrix H (Hastie, Tibshirani & Friedman 2009,
section 7.10), which choose a. The scores of all blocks are averaged, and multiplied by the factor with which their
softmax has the lowest cross-entropy on the left-out scores: one linear map, with probabilities that mean something.

Shapes: S samples, F features of a block, K classes, V blocks.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Protocol

import numpy as np
import torch
from torch import Tensor, nn

from tracetune.base.errors import InputError
from tracetune.heads.calibration import best_factor
from tracetune.heads.labelled_features import labelled_features

Batch = Mapping[str, Tensor]
PENALTIES = tuple(10.0 ** (exponent / 2) for exponent in range(-8, 9))
_CONSTANT = 1e-8  # a feature with a deviation below this says nothing
_LEAST_FREEDOM = 1e-6  # of a sample to differ from its fit: 1 - h


class BlockHead(Protocol):
    """A head whose features come in equal blocks."""

    output: nn.Linear

    @property
    def blocks(self) -> int:
        """Return V."""
        ...

    def reduce(self, tokens: Tensor) -> Tensor:
        """Return reduced tokens [..., N', D'] of tokens [..., N, D]."""
        ...


@dataclass(frozen=True)
class RidgeFit:
    """Result of the fit.

    Attributes:
        penalties: the a of each block.
        factor: on the scores.
        left_out: [S, K] logits of every sample by all the others, at the chosen penalties.
    """

    penalties: tuple[float, ...]
    factor: float
    left_out: np.ndarray


def fit_ridge_classifier(
    head: BlockHead, batches: Iterable[Batch], class_weights: np.ndarray | None = None
) -> RidgeFit:
    """Set the output layer of a head by ridge regression on what its ``reduce`` gives.

    Args:
        head: changed in place.
        batches: with ``tokens`` [B, C, N, D] and ``labels`` [B].
        class_weights: [K] weight of the samples of each class; None for 1.

    Raises:
        InputError: no sample, or a class without samples.
    """
    features, labels = labelled_features(head, batches)
    classes = head.output.out_features
    if missing := sorted(set(range(classes)) - set(labels.tolist())):
        raise InputError(f"Expected training samples of all {classes} classes, found none of {missing}.")
    weights = np.ones(len(labels)) if class_weights is None else class_weights[labels]
    targets = 2.0 * np.eye(classes)[labels] - 1
    solved = [_solve(block, targets, weights / weights.mean()) for block in np.split(features, head.blocks, axis=1)]
    left_out = np.mean([each.left_out for each in solved], axis=0)
    factor = best_factor(left_out, labels, weights)
    weight = np.concatenate([each.weight for each in solved], axis=1) * factor / len(solved)
    bias = np.mean([each.bias for each in solved], axis=0) * factor
    for parameter, solution in ((head.output.weight, weight), (head.output.bias, bias)):
        parameter.data.copy_(torch.from_numpy(solution).to(parameter.device))
    return RidgeFit(tuple(each.penalty for each in solved), factor, factor * left_out)


@dataclass(frozen=True)
class _Block:
    """Solution of one block: weight [K, F], bias [K], left-out scores [S, K] and the penalty."""

    weight: np.ndarray
    bias: np.ndarray
    left_out: np.ndarray
    penalty: float


def _solve(features: np.ndarray, targets: np.ndarray, weights: np.ndarray) -> _Block:
    """Solve one block at the penalty with the lowest left-out error; ``weights`` [S] have mean 1."""
    samples, width = features.shape
    mean = np.average(features, axis=0, weights=weights)
    scale = np.sqrt(np.average((features - mean) ** 2, axis=0, weights=weights))
    scale = np.where(scale > _CONSTANT, scale, np.inf) * np.sqrt(width)
    root = np.sqrt(weights)[:, None]
    middle = np.average(targets, axis=0, weights=weights)
    left, singular, right = np.linalg.svd(root * (features - mean) / scale, full_matrices=False)
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
    weight = ((singular / (singular**2 + penalty))[:, None] * projected).T @ right / scale
    return _Block(weight, middle - weight @ mean, left_out, penalty)
