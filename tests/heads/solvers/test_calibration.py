"""The factor on logits: the optimum of what it minimises, and never without bound."""

import numpy as np
import pytest
from scipy.special import log_softmax

from tracetune.heads.solvers.calibration import best_factor


def test_logits_that_are_too_sure_are_divided_by_what_made_them_so() -> None:
    rng = np.random.default_rng(0)
    logits = rng.normal(size=(20_000, 3))
    labels = (log_softmax(logits, axis=1) + rng.gumbel(size=logits.shape)).argmax(axis=1)
    assert best_factor(4 * logits, labels) == pytest.approx(0.25, rel=0.05)


def test_logits_that_are_always_right_do_not_become_certain() -> None:
    factor = best_factor(np.tile([1.0, -1.0], (10, 1)), np.zeros(10, dtype=np.int64))
    sure = 1 / (1 + np.exp(-2 * factor))
    assert 1 / (1 + np.exp(-2)) < sure < (10 + 0.25) / 10.5  # half a sample of either class


def test_few_samples_move_calibrated_logits_little() -> None:
    rng = np.random.default_rng(0)
    factors = {}
    for samples in (20, 2_000):
        logits = 2 * rng.normal(size=(100, samples, 2))
        labels = (log_softmax(logits, axis=2) + rng.gumbel(size=logits.shape)).argmax(axis=2)
        found = [best_factor(one, truth) for one, truth in zip(logits, labels, strict=True)]
        factors[samples] = np.log(found)
    assert np.std(factors[20]) < 0.25  # without the prior, .5 and more
    assert abs(np.mean(factors[2_000])) < 0.02
