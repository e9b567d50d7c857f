"""Classification heads without gradient descent: each block of features solved by itself, then added up.

The scores of the blocks are added with the weights by which the softmax of the sum has the lowest cross-entropy on
left-out scores, see `block_weights`: one linear map, with probabilities that mean something.

Shapes: S samples, F features of a block, K classes, V blocks.
"""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Protocol

import numpy as np
import torch
from torch import Tensor

from tracetune.heads.classification_config import RIDGE, SVM
from tracetune.heads.head import Head
from tracetune.heads.solvers.block_weights import block_weights
from tracetune.heads.solvers.labelled_features import labelled_features, require_all_classes
from tracetune.heads.solvers.ridge_classifier import solve_ridge
from tracetune.heads.solvers.solved_block import SolvedBlock
from tracetune.heads.solvers.svm_classifier import solve_svm

Batch = Mapping[str, Tensor]
_SOLVERS: dict[str, Callable[[np.ndarray, np.ndarray, np.ndarray], SolvedBlock]] = {RIDGE: solve_ridge, SVM: solve_svm}


class BlockHead(Head, Protocol):
    """A head whose features come in blocks.

    Attributes:
        widths: [V] features of each.
        kinds: [V] number of the kind of each, see `block_weights`.
    """

    widths: tuple[int, ...]
    kinds: tuple[int, ...]


@dataclass(frozen=True)
class SolvedClassifier:
    """Result of the fit.

    Attributes:
        penalties: of each block.
        weights: of each block's scores.
        left_out: [S, K] logits of samples by solutions that did not see them, at the chosen penalties.
    """

    penalties: tuple[float, ...]
    weights: tuple[float, ...]
    left_out: np.ndarray


def fit_classifier_head(
    head: BlockHead, batches: Iterable[Batch], class_weights: np.ndarray | None = None, solver: str = RIDGE
) -> SolvedClassifier:
    """Set the output layer of a head to the solution on what its ``reduce`` gives.

    Args:
        head: changed in place.
        batches: with ``tokens`` [B, C, N, D] and ``labels`` [B].
        class_weights: [K] weight of the samples of each class; None for 1.
        solver: "ridge" or "svm".

    Raises:
        InputError: no sample, or a class without samples.
    """
    features, labels = labelled_features(head, batches)
    classes = head.output.out_features
    require_all_classes(labels, classes)
    weights = np.ones(len(labels)) if class_weights is None else class_weights[labels]
    targets = 2.0 * np.eye(classes)[labels] - 1
    blocks = np.split(features, np.cumsum(head.widths)[:-1], axis=1)
    solved = [_SOLVERS[solver](block, targets, weights / weights.mean()) for block in blocks]
    left_out = np.stack([each.left_out for each in solved])
    factors = block_weights(left_out, labels, weights, head.kinds)
    weight = np.concatenate([factor * each.weight for factor, each in zip(factors, solved, strict=True)], axis=1)
    bias = factors @ np.stack([each.bias for each in solved])
    for parameter, solution in ((head.output.weight, weight), (head.output.bias, bias)):
        parameter.data.copy_(torch.from_numpy(solution).to(parameter.device))
    logits = np.tensordot(factors, left_out, axes=1)
    return SolvedClassifier(tuple(each.penalty for each in solved), tuple(factors.tolist()), logits)
