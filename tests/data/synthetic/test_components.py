"""Components against scipy and against theory: filters, spectra, stationary variances."""

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from scipy import signal

from tracetune.data.synthetic import components
from tracetune.data.synthetic.random_source import RandomSource


@given(seed=st.integers(0, 999), scale=st.floats(0.01, 1e4), shift=st.floats(-1e3, 1e3))
def test_standardised_rows_have_mean_zero_and_deviation_one(seed: int, scale: float, shift: float) -> None:
    rows = components.standardise(RandomSource(seed).normal(3, 50) * scale + shift * scale)
    torch.testing.assert_close(rows.mean(1), torch.zeros(3), atol=1e-3, rtol=0)
    torch.testing.assert_close(rows.std(1, correction=0), torch.ones(3), atol=1e-3, rtol=0)


def test_a_constant_row_stays_finite() -> None:
    assert torch.equal(components.standardise(torch.full((2, 9), 7.0)), torch.zeros(2, 9))


def test_choose_takes_row_i_of_the_candidate_that_kind_names() -> None:
    candidates = [torch.full((4, 3), float(index)) for index in range(3)]
    chosen = components.choose(torch.tensor([[2], [0], [1], [2]]), candidates)
    assert chosen.tolist() == [[2.0] * 3, [0.0] * 3, [1.0] * 3, [2.0] * 3]


def test_autoregress_is_scipys_filter_from_a_stationary_start() -> None:
    shocks = RandomSource(0).normal(5, 200)
    coefficient = torch.tensor([[-0.8], [0.0], [0.3], [0.9], [0.99]])
    expected = shocks.double().numpy().copy()
    expected[:, 0] /= np.sqrt(1 - coefficient[:, 0].numpy() ** 2)
    for row, phi in zip(expected, coefficient[:, 0].tolist(), strict=True):
        row[:] = signal.lfilter([1], [1, -phi], row)
    np.testing.assert_allclose(components.autoregress(shocks, coefficient).numpy(), expected, atol=1e-4)


@pytest.mark.parametrize("phi", [-0.7, 0.0, 0.5, 0.9])
def test_autoregress_has_the_variance_and_memory_of_ar1_at_every_step(phi: float) -> None:
    rows = components.autoregress(RandomSource(1).normal(20_000, 40), torch.full((20_000, 1), phi))
    variance = rows.var(0)
    torch.testing.assert_close(variance, torch.full((40,), 1 / (1 - phi**2)), rtol=0.06, atol=0)
    for lag in (1, 3):
        correlation = (rows[:, lag:] * rows[:, :-lag]).mean() / variance.mean()
        assert correlation.item() == pytest.approx(phi**lag, abs=0.02)


@pytest.mark.parametrize("exponent", [-0.5, 0.0, 1.0, 2.0])
def test_coloured_noise_has_its_spectral_slope(exponent: float) -> None:
    rows = components.coloured_noise(400, 2048, RandomSource(0), exponent, exponent)
    frequency, density = signal.periodogram(rows.numpy(), window="hann", axis=1)
    fitted = (frequency > 0.004) & (frequency < 0.4)
    slope, _ = np.polyfit(np.log(frequency[fitted]), np.log(density.mean(0)[fitted]), 1)
    assert slope == pytest.approx(-exponent, abs=0.05)


def test_spectral_noise_does_not_wrap_around() -> None:
    rows = components.coloured_noise(500, 256, RandomSource(0), 2.0, 2.0)
    ends = (rows[:, 0] - rows[:, -1]).square().mean()
    neighbours = (rows[:, 1:] - rows[:, :-1]).square().mean()
    assert ends > 20 * neighbours


def test_slow_factors_are_positive_and_as_strong_as_asked() -> None:
    factor = components.slow_factor(2000, 128, RandomSource(0), 0.5)
    assert factor.min() > 0
    deviations = factor.log().std(1)
    assert deviations.max() < 0.51
    assert deviations.mean().item() == pytest.approx(0.25, abs=0.02)  # uniform up to 0.5


def test_noises_have_deviation_one() -> None:
    for make in (components.remembering_noise, components.coloured_noise, components.slow_curve):
        torch.testing.assert_close(make(50, 300, RandomSource(0)).std(1, correction=0), torch.ones(50))
    assert components.noise(500, 300, RandomSource(0)).std(1).median().item() == pytest.approx(1, abs=0.05)


def test_trends_are_smoother_than_noise_and_of_several_kinds() -> None:
    rows = components.trend(1000, 256, RandomSource(0))
    roughness = (rows[:, 1:] - rows[:, :-1]).std(1) / rows.std(1)
    assert roughness.max() < 0.5
    curvature = (rows[:, 2:] - 2 * rows[:, 1:-1] + rows[:, :-2]).abs().amax(1)
    assert (curvature < 1e-5).float().mean().item() == pytest.approx(0.2, abs=0.06)  # a fifth is a straight line


@given(seed=st.integers(0, 200), count=st.integers(1, 5))
def test_level_shifts_are_piecewise_constant(seed: int, count: int) -> None:
    rows = components.level_shifts(20, 64, RandomSource(seed), count)
    assert ((rows[:, 1:] - rows[:, :-1]).abs() > 1e-6).sum(1).max() <= count


def test_pulses_are_rare_and_never_negative() -> None:
    rows = components.pulses(3000, 400, RandomSource(0), low=0.01, high=0.01)
    assert rows.min() >= 0
    rises = (rows[:, 1:] > rows[:, :-1]).float().mean().item()
    assert rises == pytest.approx(0.01, abs=0.001)
