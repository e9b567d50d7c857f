"""Series made of events: intermittent demand, counts, spikes and level shifts, duty cycles."""

import torch
from torch import Tensor

from tracetune.data.synthetic.components import coloured_noise, level_shifts, noise, pulses, slow_factor, standardise
from tracetune.data.synthetic.random_source import RandomSource
from tracetune.data.synthetic.seasonal import calendar_periods, season


def intermittent(n: int, length: int, source: RandomSource) -> Tensor:
    """Spare parts, slow retail: mostly zero, now and then a demand, half of it with a season in its rate."""
    rate = source.log_uniform(n, 1, low=0.03, high=0.5)
    period = calendar_periods(n, source)[:, :1]
    rhythm = (1 + 0.7 * season(n, length, source, period)).clamp(min=0)
    rate = rate * torch.where(source.bernoulli(0.5, n, 1), rhythm, torch.ones_like(rhythm))
    size = torch.exp(source.normal(n, length) * source.uniform(n, 1, high=0.8)) * source.log_uniform(
        n, 1, low=1, high=9
    )
    demand = (source.uniform(n, length) < rate) * size
    return torch.where(source.bernoulli(0.6, n, 1), demand.ceil(), demand)


def counts(n: int, length: int, source: RandomSource) -> Tensor:
    """Sales, calls, visitors: Poisson counts of a seasonal, wandering rate, some overdispersed (negative binomial)."""
    period = calendar_periods(n, source)[:, :1]
    logarithm = season(n, length, source, period) * source.uniform(n, 1, low=0.1, high=1)
    logarithm = logarithm + coloured_noise(n, length, source, 1.0, 2.5) * source.uniform(n, 1, high=0.8)
    excess = source.normal(n, length) * source.uniform(n, 1, high=0.6) * source.bernoulli(0.5, n, 1)
    rate = torch.exp((logarithm + excess).clamp(-4, 4)) * source.log_uniform(n, 1, low=0.3, high=60)
    return source.poisson(rate)


def spikes_and_shifts(n: int, length: int, source: RandomSource) -> Tensor:
    """Servers, prices of electricity, sensors: a seasonal base, bursts of random size, lasting level shifts."""
    period = calendar_periods(n, source)[:, :1]
    base = season(n, length, source, period) * source.uniform(n, 1)
    base = base + noise(n, length, source) * source.log_uniform(n, 1, low=0.05, high=0.6)
    bursts = pulses(n, length, source) * source.log_uniform(n, 1, low=1, high=8)
    shifts = level_shifts(n, length, source) * 2 * source.bernoulli(0.5, n, 1)
    return base + bursts + shifts


def duty_cycle(n: int, length: int, source: RandomSource) -> Tensor:
    """Machines, heating: on and off by a rhythm or at random, each state with its level and its small fluctuations."""
    period = calendar_periods(n, source)[:, :1].clamp(min=6)
    rhythmic = season(n, length, source, period, wander=0.1) > source.uniform(n, 1, low=-0.8, high=0.8)
    switches = source.uniform(n, length) < 1 / source.log_uniform(n, 1, low=8, high=120)
    haphazard = switches.cumsum(1) % 2 == 1
    running = torch.where(source.bernoulli(0.6, n, 1), rhythmic, haphazard)
    level = slow_factor(n, length, source, 0.5)
    fluctuation = noise(n, length, source) * source.log_uniform(n, 1, low=0.005, high=0.2)
    return standardise(running * level) + fluctuation * (0.2 + 0.8 * running)
