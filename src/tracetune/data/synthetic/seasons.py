"""Periodic shapes: calendar periods, harmonics, arbitrary daily profiles, working weeks. All [n, L]."""

import math

import torch
from torch import Tensor

from tracetune.data.synthetic.draws import Draws, standardise

# A short and a long season, in steps, of the usual sampling intervals.
_CALENDAR = (
    (24, 168), (24, 168), (96, 672), (96, 672), (144, 1008), (48, 336), (288, 2016), (60, 1440),
    (7, 365.25), (7, 30.44), (52.18, 13), (12, 4), (4, 16), (12, 60), (30, 90), (100, 10),
)  # fmt: skip
_KNOTS = 24  # support points of an arbitrary profile


def calendar_periods(n: int, draws: Draws) -> Tensor:
    """Two periods a row, [n, 2]: those of hourly, quarter-hourly, daily, ... data, or (a quarter) arbitrary ones."""
    table = torch.tensor(_CALENDAR, device=draws.device)
    periods = table[draws.integers(0, len(_CALENDAR), (n,))]
    arbitrary = draws.log_uniform(n, 2, low=3, high=400)
    return torch.where(draws.chance(0.25, n, 1), arbitrary, periods)


def harmonics(n: int, length: int, draws: Draws, period: Tensor, count: int = 6) -> Tensor:
    """A smooth season of ``period`` [n, 1]: sines whose amplitudes fall with their order."""
    time = draws.steps(n, length) + draws.uniform(n, 1) * period
    decay = draws.uniform(n, 1, low=0.7, high=2.5)
    season = torch.zeros(n, length, device=draws.device)
    for order in range(1, count + 1):
        representable = (period / order >= 2.0).float()
        amplitude = draws.normal(n, 1) * order ** (-decay) * representable
        season += amplitude * torch.sin(2 * math.pi * order * time / period + 2 * math.pi * draws.uniform(n, 1))
    return standardise(season)


def profile(n: int, length: int, draws: Draws, period: Tensor) -> Tensor:
    """An arbitrary shape repeated every ``period`` [n, 1], some with sharp peaks, as load or traffic over a day."""
    spectrum = torch.fft.rfft(draws.normal(n, _KNOTS))
    cutoff = draws.integers(3, 13, (n, 1))
    kept = torch.arange(_KNOTS // 2 + 1, device=draws.device) < cutoff
    shape = standardise(torch.fft.irfft(spectrum * kept, _KNOTS))
    sharpness = draws.uniform(n, 1, low=0.0, high=1.2)
    shape = torch.where(draws.chance(0.4, n, 1), (sharpness * shape).exp(), shape)
    phase = ((draws.steps(n, length) + draws.uniform(n, 1) * period) % period) / period * _KNOTS
    left = phase.floor().long() % _KNOTS
    share = phase - phase.floor()
    return standardise(shape.gather(1, left) * (1 - share) + shape.gather(1, (left + 1) % _KNOTS) * share)


def weekly_levels(n: int, length: int, draws: Draws, day: Tensor) -> Tensor:
    """A factor per day of the week, half of them with quiet weekends; ``day`` [n, 1] in steps."""
    working = torch.tensor([1.0, 1, 1, 1, 1, 0.3, 0.1], device=draws.device)
    levels = torch.where(draws.chance(0.5, n, 1), working, 1 + 0.5 * draws.normal(n, 7))
    days = ((draws.steps(n, length) + draws.uniform(n, 1) * 7 * day) / day).floor().long()
    return levels.gather(1, days % 7)
