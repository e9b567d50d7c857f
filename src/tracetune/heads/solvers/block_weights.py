"""Weights of the blocks of a classification head, by cross-entropy on scores that were left out.

With left-out scores s_v of block v, sample weights w_i and labels y_i,

    min over u   sum_i w_i CE(softmax(sum_v e^u_v s_vi), y_i) + half a sample of any class + sum_v (d_v - mean d)^2 / 2
    d_v = u_v + log(number of blocks of the kind of v)

so that blocks which say more of unseen samples count more (stacking, Wolpert 1992; its weights are positive, Breiman
1996), and the sum of the weights makes probabilities of the scores, as in `calibration`. The last term is a standard
normal prior on how far the logarithms of the weights lie apart: with a few dozen samples all kinds of blocks count
nearly the same, however many blocks a kind has.

Shapes: V blocks, S samples, K classes.
"""

from collections import Counter
from collections.abc import Sequence

import numpy as np
from scipy.optimize import minimize
from scipy.special import log_softmax

_BOUND = 7.0  # of a weight's logarithm


def block_weights(
    scores: np.ndarray, labels: np.ndarray, weights: np.ndarray, kinds: Sequence[int] | None = None
) -> np.ndarray:
    """Return the weights [V] with which left-out scores [V, S, K] of all blocks add up to logits.

    Args:
        scores: of samples by solutions that did not see them.
        labels: [S] numbers of the classes.
        weights: [S] of the samples.
        kinds: [V] number of the kind of each block; None where each is its own.
    """
    kinds = range(len(scores)) if kinds is None else kinds
    of_kind = Counter(kinds)
    fewer = np.log([of_kind[kind] for kind in kinds])
    truth = np.eye(scores.shape[2])[labels]
    any_class = 0.5 * weights[:, None] / (weights.sum() * scores.shape[2])  # half a sample, in thought
    targets = weights[:, None] * truth + any_class

    def loss(logarithms: np.ndarray) -> tuple[float, np.ndarray]:
        factors, apart = np.exp(logarithms), logarithms + fewer - (logarithms + fewer).mean()
        found = log_softmax(np.tensordot(factors, scores, axes=1), axis=1)
        slopes = np.exp(found) * targets.sum(axis=1, keepdims=True) - targets
        gradient = factors * np.tensordot(scores, slopes, axes=2) + apart
        return float(apart @ apart / 2 - (targets * found).sum()), gradient

    start = -fewer - np.log(len(of_kind))
    bounds = [(-_BOUND, _BOUND)] * len(scores)
    return np.exp(minimize(loss, start, jac=True, method="L-BFGS-B", bounds=bounds).x)
