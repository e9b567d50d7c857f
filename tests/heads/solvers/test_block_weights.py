"""Weights of blocks: the optimum of what they minimise, equal where samples say little, unequal where they say much."""

import numpy as np
import pytest
from scipy.optimize import minimize
from scipy.special import log_softmax

from tracetune.heads.solvers.block_weights import block_weights


def scores_and_labels(samples: int) -> tuple[np.ndarray, np.ndarray]:
    """Return scores [2, S, 3], those of the second block pure noise, and labels."""
    rng = np.random.default_rng(0)
    logits = rng.normal(size=(samples, 3))
    labels = (2 * logits + rng.gumbel(size=logits.shape)).argmax(axis=1)
    return np.stack([logits, rng.normal(size=logits.shape)]), labels


@pytest.mark.parametrize("blocks", [1, 2])
def test_the_weights_minimise_what_they_should(blocks: int) -> None:
    scores, labels = scores_and_labels(60)
    scores = scores[:blocks]
    weights = np.where(labels, 1.0, 3.0)

    def loss(logarithms: np.ndarray) -> float:
        found = log_softmax(np.tensordot(np.exp(logarithms), scores, axes=1), axis=1)
        right = (weights * found[np.arange(60), labels]).sum() + 0.5 * np.average(found.mean(axis=1), weights=weights)
        return float(-right + ((logarithms - logarithms.mean()) ** 2).sum() / 2)

    found = np.log(block_weights(scores, labels, weights))
    np.testing.assert_allclose(found, minimize(loss, np.zeros(blocks), method="Nelder-Mead").x, atol=1e-3)


def test_a_block_that_says_nothing_loses_weight_as_samples_grow() -> None:
    ratios = []
    for samples in (10, 100, 2000):
        first, second = block_weights(*scores_and_labels(samples), np.ones(samples))
        ratios.append(second / first)
    assert 1 > ratios[0] > ratios[1] > ratios[2]
    assert ratios[2] < 0.05


def test_blocks_of_one_kind_begin_with_the_weight_of_one() -> None:
    scores, labels = scores_and_labels(60)
    good = scores[0]
    few = block_weights(np.stack([good, good, good, good, good]), labels, np.ones(60), (0, 0, 0, 0, 1))
    np.testing.assert_allclose(few[:4], few[0], rtol=1e-3)
    assert few[4] / few[:4].sum() == pytest.approx(1.0, rel=1e-3)
    own = block_weights(np.stack([good, good, good]), labels, np.ones(60))
    np.testing.assert_allclose(own, own[0], rtol=1e-3)
