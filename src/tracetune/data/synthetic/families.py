"""Families of series, each standing for a kind of real ones; every function makes rows [n, L].

Compositions of trend, seasons and noise in the spirit of KernelSynth (Ansari et al. 2024, Chronos) and
ForecastPFN (Dooley et al. 2023), made by FFT and broadcasting instead of covariance matrices and loops.
"""

import math
from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor

from tracetune.data.synthetic.draws import (
    Draws,
    autoregressive_noise,
    coloured_noise,
    slow_factor,
    standardise,
    trend,
)
from tracetune.data.synthetic.seasons import calendar_periods, harmonics, profile, weekly_levels

_BURN_IN = 100  # steps until the chaotic system is on its attractor


def business(n: int, length: int, draws: Draws) -> Tensor:
    """Energy, traffic, retail: a daily shape, a weekly rhythm, a trend, and noise that remembers."""
    periods = calendar_periods(n, draws)
    day, week = periods[:, :1], periods[:, 1:]
    season = torch.where(draws.chance(0.5, n, 1), profile(n, length, draws, day), harmonics(n, length, draws, day))
    season = season * slow_factor(n, length, draws)
    season = season * torch.where(draws.chance(0.3, n, 1), weekly_levels(n, length, draws, day), draws.one())
    long_season = harmonics(n, length, draws, week, 4) * draws.uniform(n, 1) * draws.chance(0.6, n, 1)
    drift = trend(n, length, draws) * draws.uniform(n, 1, high=2.0) * draws.chance(0.6, n, 1)
    series = season + long_season + drift
    remembers = draws.chance(0.6, n, 1)
    noise = torch.where(remembers, autoregressive_noise(n, length, draws), coloured_noise(n, length, draws))
    level = draws.log_uniform(n, 1, low=0.02, high=2.0)
    volatility = torch.where(draws.chance(0.3, n, 1), slow_factor(n, length, draws, 1.0), draws.one())
    series = series + level * noise * volatility
    multiplicative = draws.chance(0.15, n, 1)
    return torch.where(multiplicative, (standardise(series) * draws.uniform(n, 1, low=0.3, high=0.9)).exp(), series)


def near_unit_root(n: int, length: int, draws: Draws) -> Tensor:
    """Temperatures, water levels, tariffs: almost a random walk, with a weak daily rhythm on it."""
    period = calendar_periods(n, draws)[:, :1]
    level = coloured_noise(n, length, draws, 1.4, 2.2)
    season = harmonics(n, length, draws, period, 4) * draws.log_uniform(n, 1, low=0.05, high=1.0)
    return level + season + draws.log_uniform(n, 1, low=0.01, high=0.4) * draws.normal(n, length)


def gaussian_process(n: int, length: int, draws: Draws) -> Tensor:
    """Smooth and quasi-periodic processes: a stationary Gaussian process with three bumps in its spectrum."""
    frequencies = torch.arange(length + 1, dtype=torch.float32, device=draws.device) / (2 * length)
    density = torch.zeros(n, length + 1, device=draws.device)
    for _ in range(3):
        at_zero = draws.chance(0.4, n, 1)
        centre = torch.where(at_zero, 0 * draws.one(), 1 / draws.log_uniform(n, 1, low=4, high=300))
        width = draws.log_uniform(n, 1, low=0.0005, high=0.05)
        weight = draws.log_uniform(n, 1, low=0.01, high=1)
        density += weight * torch.exp(-0.5 * ((frequencies - centre) / width) ** 2) / width
    spectrum = torch.complex(draws.normal(n, length + 1), draws.normal(n, length + 1)) * density.sqrt()
    series = standardise(torch.fft.irfft(spectrum, 2 * length)[:, :length])
    return series + trend(n, length, draws) * draws.chance(0.3, n, 1)


def random_walk(n: int, length: int, draws: Draws) -> Tensor:
    """Prices: random walks, some with drift, their volatility in clusters."""
    volatility = (coloured_noise(n, length, draws, 1.0, 2.0) * draws.uniform(n, 1)).exp()
    steps = draws.normal(n, length) * volatility
    drift = 0.1 * draws.normal(n, 1) * draws.chance(0.4, n, 1)
    return (steps + drift).cumsum(1)


def intermittent(n: int, length: int, draws: Draws) -> Tensor:
    """Spare parts: mostly zero, now and then a demand; half of them counts, half with a season in their rate."""
    rate = draws.log_uniform(n, 1, low=0.03, high=0.6)
    period = calendar_periods(n, draws)[:, :1]
    wave = torch.sin(2 * math.pi * (draws.steps(n, length) + draws.uniform(n, 1) * period) / period)
    rate = rate * (1 + 0.9 * wave * draws.chance(0.5, n, 1))
    size = (draws.normal(n, length) * draws.uniform(n, 1)).exp()
    demand = (draws.uniform(n, length) < rate) * size
    demand[:, 0] += 1e-3  # no row is constant
    return torch.where(draws.chance(0.5, n, 1), (demand * 3).round(), demand)


def solar(n: int, length: int, draws: Draws) -> Tensor:
    """Sunlight and photovoltaics: zero at night, a half wave by day, clouds over it."""
    day = calendar_periods(n, draws)[:, :1].clamp(min=8)
    time = draws.steps(n, length) + draws.uniform(n, 1) * day
    wave = (torch.sin(2 * math.pi * time / day) + draws.uniform(n, 1, low=-0.5, high=0.5)).clamp(min=0)
    return wave * torch.sigmoid(coloured_noise(n, length, draws, 0.8, 2.0) * 2 + 1)


def oscillator(n: int, length: int, draws: Draws) -> Tensor:
    """Machines and physiology: sines, square and sawtooth waves of drifting frequency, some damped or growing."""
    period = draws.log_uniform(n, 1, low=6, high=300)
    drift = 0.3 * coloured_noise(n, length, draws, 2.0, 3.0) * draws.uniform(n, 1)
    phase = 2 * math.pi * (draws.steps(n, length) / period + drift)
    wave = torch.sin(phase + 2 * math.pi * draws.uniform(n, 1))
    wave = torch.where(draws.chance(0.3, n, 1), torch.sign(wave), wave)
    wave = torch.where(draws.chance(0.2, n, 1), ((phase / (2 * math.pi)) % 1) * 2 - 1, wave)
    decay = draws.steps(n, length) / length * draws.uniform(n, 1, low=-1, high=3) * draws.chance(0.4, n, 1)
    return wave * torch.exp(-decay) + draws.log_uniform(n, 1, low=0.005, high=0.5) * draws.normal(n, length)


def chaos(n: int, length: int, draws: Draws) -> Tensor:
    """Turbulence: one coordinate of Lorenz' system (1963), at a random speed."""
    state = draws.normal(n, 3) * 5 + torch.tensor([0.0, 0.0, 25.0], device=draws.device)
    speed = draws.log_uniform(n, low=0.004, high=0.02)
    rho = draws.uniform(n, low=24, high=40)
    series = torch.empty(n, length, device=draws.device)
    for step in range(-_BURN_IN, length):
        x, y, z = state.unbind(1)
        slope = torch.stack([10 * (y - x), x * (rho - z) - y, x * y - 8 / 3 * z], 1)
        state = state + speed[:, None] * slope
        if step >= 0:
            series[:, step] = state[:, 0]
    return torch.nan_to_num(series, 0.0, 0.0, 0.0).clamp(-1e3, 1e3) + 0.01 * draws.normal(n, length)


@dataclass(frozen=True)
class Family:
    """A generator and its share of the corpus."""

    generate: Callable[[int, int, Draws], Tensor]
    share: float


FAMILIES = {
    "business": Family(business, 0.45),
    "near_unit_root": Family(near_unit_root, 0.15),
    "gaussian_process": Family(gaussian_process, 0.13),
    "random_walk": Family(random_walk, 0.07),
    "intermittent": Family(intermittent, 0.03),
    "solar": Family(solar, 0.06),
    "oscillator": Family(oscillator, 0.09),
    "chaos": Family(chaos, 0.02),
}
