"""Thresholds without labels: the Pareto fit against scipy's, the rates against what was asked for."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.stats import genpareto

from tracetune.base.errors import InputError
from tracetune.evaluation.anomaly.thresholds import fit_pareto_tail, peaks_over_threshold, rolling_quantile


@settings(max_examples=12)
@given(st.sampled_from([-0.4, -0.1, 0.1, 0.5, 0.9]), st.floats(1e-3, 1e3), st.integers(0, 10_000))
def test_no_other_fit_has_a_higher_likelihood(shape: float, scale: float, seed: int) -> None:
    excesses = genpareto.rvs(shape, scale=scale, size=300, random_state=seed)
    tail = fit_pareto_tail(excesses)
    found = genpareto.logpdf(excesses, tail.shape, scale=tail.scale).sum()
    peer_shape, _, peer_scale = genpareto.fit(excesses, floc=0)
    peer = genpareto.logpdf(excesses, peer_shape, scale=peer_scale).sum() if peer_shape >= -0.5 else -np.inf
    truth = genpareto.logpdf(excesses, shape, scale=scale).sum()
    assert found >= max(peer, truth) - 1e-3


def test_the_tail_is_that_of_the_exponential_distribution() -> None:
    excesses = np.random.default_rng(0).exponential(3.0, 20_000)
    tail = fit_pareto_tail(excesses)
    assert tail.shape == pytest.approx(0, abs=0.02)
    assert tail.quantile(1e-3) == pytest.approx(-3 * np.log(1e-3), rel=0.05)


@pytest.mark.parametrize("draw", ["normal", "exponential", "standard_t"])
def test_false_alarms_come_at_the_stated_rate(draw: str) -> None:
    rng = np.random.default_rng(1)
    sample = (lambda n: rng.standard_t(4, n)) if draw == "standard_t" else (lambda n: getattr(rng, draw)(size=n))
    threshold = peaks_over_threshold(sample(20_000), 1e-3)
    assert (sample(1_000_000) > threshold).mean() == pytest.approx(1e-3, rel=0.35)


def test_constant_scores_raise_no_alarm() -> None:
    assert not (np.full(50, 2.0) > peaks_over_threshold(np.full(50, 2.0), 1e-3)).any()


def test_too_few_scores_are_refused() -> None:
    with pytest.raises(InputError, match="at least 10 scores above"):
        peaks_over_threshold(np.arange(50.0), 1e-3)
    with pytest.raises(InputError, match="0 < false_alarm_rate < tail_share"):
        peaks_over_threshold(np.arange(5000.0), 0.5)


def test_rolling_thresholds_read_the_past_only() -> None:
    scores = np.arange(10.0)
    thresholds = rolling_quantile(scores, 4, 0.5)
    assert np.isinf(thresholds[:4]).all()
    assert thresholds[4:].tolist() == [1.5, 2.5, 3.5, 4.5, 5.5, 6.5]
