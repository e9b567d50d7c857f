"""Draws: seeded, of the stated distributions."""

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats

from tracetune.data.synthetic.random_source import RandomSource

N = 20_000


def test_the_seed_fixes_every_draw() -> None:
    first, second, other = RandomSource(3), RandomSource(3), RandomSource(4)
    draws = [(source.normal(5), source.permutation(9), source.integers(0, 100, 7)) for source in (first, second, other)]
    assert all(torch.equal(a, b) for a, b in zip(draws[0], draws[1], strict=True))
    assert not any(torch.equal(a, b) for a, b in zip(draws[0], draws[2], strict=True))


@pytest.mark.parametrize(
    ("draw", "distribution"),
    [
        (lambda source: source.uniform(N, low=-2, high=3), stats.uniform(-2, 5)),
        (lambda source: source.log_uniform(N, low=0.01, high=10), stats.loguniform(0.01, 10)),
        (lambda source: source.normal(N), stats.norm()),
        (lambda source: source.exponential(N), stats.expon()),
        (
            lambda source: source.heavy_tailed(N, 1, heaviness=torch.full((N, 1), 0.7))[:, 0],
            stats.johnsonsu(0, 1 / 0.7, scale=1 / 0.7),  # a sinh of a normal variable is Johnson's SU
        ),
    ],
    ids=["uniform", "log-uniform", "normal", "exponential", "heavy-tailed"],
)
def test_draws_have_scipys_distribution(draw, distribution) -> None:
    assert stats.kstest(draw(RandomSource(0)).double().numpy(), distribution.cdf).pvalue > 0.01


def test_no_heaviness_is_the_normal_draw_itself() -> None:
    assert torch.equal(RandomSource(1).heavy_tailed(4, 8, heaviness=torch.zeros(4, 1)), RandomSource(1).normal(4, 8))


@pytest.mark.parametrize("rate", [0.5, 4.0, 80.0])
def test_poisson_counts_have_mean_and_variance_of_their_rate(rate: float) -> None:
    counts = RandomSource(0).poisson(torch.full((N,), rate)).numpy()
    assert counts.mean() == pytest.approx(rate, abs=5 * np.sqrt(rate / N))
    assert counts.var() == pytest.approx(rate, rel=0.1)


def test_chance_and_integers() -> None:
    source = RandomSource(0)
    assert source.bernoulli(0.2, N).float().mean().item() == pytest.approx(0.2, abs=0.02)
    assert source.integers(2, 5, N).unique().tolist() == [2, 3, 4]


@given(n=st.integers(1, 300), weights=st.lists(st.floats(0.01, 10), min_size=1, max_size=8), seed=st.integers(0, 99))
def test_every_row_is_allocated_to_one_weight(n: int, weights: list[float], seed: int) -> None:
    counts = RandomSource(seed).allocate(n, weights)
    assert len(counts) == len(weights)
    assert sum(counts) == n
    assert min(counts) >= 0


def test_allocation_follows_the_weights_and_skips_zero() -> None:
    counts = RandomSource(0).allocate(N, [1.0, 0.0, 3.0])
    assert counts[1] == 0
    assert counts[0] / N == pytest.approx(0.25, abs=0.02)


@given(n=st.integers(1, 200), seed=st.integers(0, 99))
def test_a_permutation_holds_every_row_once(n: int, seed: int) -> None:
    assert RandomSource(seed).permutation(n).sort().values.tolist() == list(range(n))
