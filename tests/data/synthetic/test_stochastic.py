"""Stochastic processes against scipy, statsmodels and the moments that theory gives."""

import numpy as np
import pytest
import torch
from scipy import signal
from statsmodels.tsa.arima_process import ArmaProcess

from tracetune.data.synthetic import stochastic
from tracetune.data.synthetic.random_source import RandomSource


def test_second_order_is_scipys_filter_from_the_first_two_shocks() -> None:
    shocks = RandomSource(0).normal(3, 300)
    first, second = torch.tensor([[1.5], [0.4], [-0.3]]), torch.tensor([[-0.9], [0.5], [0.2]])
    rows = stochastic.second_order(shocks, first, second).numpy()
    for row, shock, a, b in zip(rows, shocks.numpy(), first[:, 0].tolist(), second[:, 0].tolist(), strict=True):
        start = signal.lfiltic([1], [1, -a, -b], y=[shock[1], shock[0]])
        expected, _ = signal.lfilter([1], [1, -a, -b], shock[2:], zi=start)
        np.testing.assert_allclose(row[2:], expected, atol=1e-3)


@pytest.mark.parametrize(("first", "second"), [(1.2, -0.6), (0.5, 0.3), (-0.4, 0.2)])
def test_second_order_has_the_autocorrelation_of_statsmodels(first: float, second: float) -> None:
    n = 4000
    shocks = RandomSource(0).normal(n, 200)
    rows = stochastic.second_order(shocks, torch.full((n, 1), first), torch.full((n, 1), second))[:, 100:]
    expected = ArmaProcess([1, -first, -second], [1]).acf(6)
    found = [(rows[:, lag:] * rows[:, : 100 - lag]).mean().item() / rows.var().item() for lag in range(6)]
    np.testing.assert_allclose(found, expected, atol=0.03)


def test_roots_are_stable_and_half_of_them_cyclic() -> None:
    first, second = (coefficient[:, 0].tolist() for coefficient in stochastic._roots(500, RandomSource(0)))
    assert all(ArmaProcess([1, -a, -b], [1]).isstationary for a, b in zip(first, second, strict=True))
    cyclic = np.mean([a**2 + 4 * b < 0 for a, b in zip(first, second, strict=True)])
    assert cyclic == pytest.approx(0.5, abs=0.1)


@pytest.mark.parametrize(("reaction", "persistence"), [(0.1, 0.9), (0.2, 0.6), (0.05, 0.95)])
def test_garch_has_bollerslevs_moments(reaction: float, persistence: float) -> None:
    n = 15_000
    memory = (persistence - reaction) / (0.99 - reaction)
    shocks = RandomSource(0).normal(n, 120)
    returns = stochastic.garch(shocks, torch.full((n, 1), reaction), torch.full((n, 1), memory))[:, 60:].double()
    squared = returns.square()
    assert squared.mean().item() == pytest.approx(1, abs=0.03)
    # Bollerslev (1986), equations 9 and 17: kurtosis and first autocorrelation of the squares.
    alpha, beta = reaction, persistence - reaction
    kurtosis = 3 * (1 - persistence**2) / (1 - persistence**2 - 2 * alpha**2)
    assert (squared.square().mean() / squared.mean() ** 2).item() == pytest.approx(kurtosis, rel=0.1)
    centred = squared - 1
    correlation = (centred[:, 1:] * centred[:, :-1]).mean() / centred.square().mean()
    expected = alpha * (1 - alpha * beta - beta**2) / (1 - 2 * alpha * beta - beta**2)
    assert correlation.item() == pytest.approx(expected, abs=0.05)


def test_garch_with_the_longest_memory_stays_stationary() -> None:
    n = 20_000
    ones = torch.ones(n, 1)
    returns = stochastic.garch(RandomSource(0).normal(n, 400), 0.05 * ones, ones)
    assert returns.square().mean().item() == pytest.approx(1, abs=0.1)


def test_random_walks_have_independent_steps() -> None:
    rows = stochastic.random_walk(2000, 400, RandomSource(0)).double()
    steps = rows[:, 1:] - rows[:, :-1]
    steps = (steps - steps.mean(1, keepdim=True)) / steps.std(1, keepdim=True)
    assert (steps[:, 1:] * steps[:, :-1]).mean().item() == pytest.approx(0, abs=0.02)
    assert (rows > 0).all(1).float().mean() > 0.38  # the geometric share


def test_arima_rows_are_integrated_zero_one_or_two_times() -> None:
    rows = stochastic.arima(3000, 400, RandomSource(0)).double()
    rows = (rows - rows.mean(1, keepdim=True)) / rows.std(1, keepdim=True)
    roughness = (rows[:, 1:] - rows[:, :-1]).var(1)  # 2 (1 - first autocorrelation)
    assert (roughness > 0.2).float().mean() > 0.2
    assert (roughness < 1e-3).float().mean() > 0.15


def test_volatility_clusters_are_returns_or_prices() -> None:
    rows = stochastic.volatility_clusters(1500, 250, RandomSource(0))
    centred = rows - rows.mean(1, keepdim=True)
    memory = (centred[:, 1:] * centred[:, :-1]).mean(1) / centred.square().mean(1)
    assert (memory.abs() < 0.4).float().mean().item() == pytest.approx(0.4, abs=0.05)
    assert (memory > 0.7).float().mean().item() == pytest.approx(0.6, abs=0.05)


def test_growth_is_positive_and_has_a_year() -> None:
    rows = stochastic.growth(1000, 240, RandomSource(0))
    assert rows.min() > 0
    changes = rows.log().diff(dim=1)
    changes = (changes - changes.mean(1, keepdim=True)) / changes.std(1, keepdim=True)
    yearly, other = ((changes[:, lag:] * changes[:, :-lag]).mean().item() for lag in (12, 11))
    assert yearly > other + 0.1


def test_regimes_differ_in_level_or_volatility() -> None:
    rows = stochastic.regimes(1000, 512, RandomSource(0))
    segments = rows.unflatten(1, (8, 64))
    spread = segments.std(2)
    assert (spread.amax(1) / spread.amin(1)).median() > 1.8  # 1.3 for white noise of one regime


def test_coloured_spans_rough_and_smooth() -> None:
    rows = stochastic.coloured(1000, 256, RandomSource(0))
    roughness = (rows[:, 1:] - rows[:, :-1]).var(1)
    assert roughness.min() < 0.01
    assert roughness.max() > 2  # above white noise
