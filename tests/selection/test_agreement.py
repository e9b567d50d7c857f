"""Rank correlations against SciPy, and intervals that behave."""

import numpy as np
import pytest
from scipy import stats

from tracetune.base.errors import InputError
from tracetune.selection.agreement import rank_agreement


def pair(modules: int = 28, noise: float = 0.5, ties: bool = False) -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(0)
    yardstick = rng.normal(size=modules)
    scores = yardstick + noise * rng.normal(size=modules)
    return (np.round(scores), np.round(yardstick)) if ties else (scores, yardstick)


@pytest.mark.parametrize("ties", [False, True])
def test_the_estimates_are_scipy_s(ties: bool) -> None:
    scores, yardstick = pair(ties=ties)
    found = rank_agreement(scores, yardstick, resamples=20)
    assert found.spearman.estimate == pytest.approx(stats.spearmanr(scores, yardstick).statistic, abs=1e-12)
    assert found.kendall.estimate == pytest.approx(stats.kendalltau(scores, yardstick).statistic, abs=1e-12)
    assert found.modules == 28


def test_the_spearman_interval_is_scipy_s_percentile_bootstrap() -> None:
    scores, yardstick = pair()
    found = rank_agreement(scores, yardstick, resamples=3000)
    reference = stats.bootstrap(
        (scores, yardstick),
        lambda a, b: stats.spearmanr(a, b).statistic,
        paired=True,
        vectorized=False,
        method="percentile",
        n_resamples=1000,
        rng=np.random.default_rng(1),
    ).confidence_interval
    assert found.spearman.low == pytest.approx(reference.low, abs=0.05)
    assert found.spearman.high == pytest.approx(reference.high, abs=0.02)
    assert found.kendall.low < found.kendall.estimate < found.kendall.high


def test_more_modules_and_higher_confidence_change_the_interval_as_they_should() -> None:
    few, many = (rank_agreement(*pair(modules), resamples=300).spearman for modules in (12, 120))
    assert many.high - many.low < 0.6 * (few.high - few.low)
    wide = rank_agreement(*pair(12), confidence=0.99, resamples=300).spearman
    assert wide.low < few.low


def test_the_order_alone_counts() -> None:
    scores, yardstick = pair()
    found = rank_agreement(np.exp(yardstick), yardstick, resamples=50)
    assert (found.spearman.estimate, found.spearman.low) == pytest.approx((1, 1))
    assert rank_agreement(-yardstick, yardstick, resamples=50).kendall.estimate == pytest.approx(-1)
    assert rank_agreement(scores, yardstick, seed=3) == rank_agreement(scores, yardstick, seed=3)


def test_a_constant_score_has_no_correlation() -> None:
    found = rank_agreement(np.zeros(9), np.arange(9.0), resamples=20)
    assert np.isnan([found.spearman.estimate, found.spearman.low, found.kendall.estimate, found.kendall.high]).all()


@pytest.mark.parametrize(
    ("scores", "message"),
    [(np.zeros(2), "3 or more modules"), (np.zeros(5), "same"), (np.array([1, np.nan, 2]), "finite scores")],
)
def test_what_cannot_be_compared_is_refused(scores: np.ndarray, message: str) -> None:
    with pytest.raises(InputError, match=message):
        rank_agreement(scores, np.arange(3.0) if len(scores) != 2 else np.arange(2.0))
