"""Stochastic processes: random walks, ARIMA, volatility in clusters, growth of economies, changing regimes."""

import torch
from torch import Tensor

from tracetune.data.synthetic.components import (
    autoregress,
    choose,
    coloured_noise,
    level_shifts,
    noise,
    slow_curve,
    standardise,
    trend,
)
from tracetune.data.synthetic.random_source import RandomSource
from tracetune.data.synthetic.seasonal import season


def random_walk(n: int, length: int, source: RandomSource) -> Tensor:
    """Prices and exchange rates: a unit root, some with drift, some with heavy tails, some geometric."""
    heaviness = source.uniform(n, 1, low=0.2, high=1.0) * source.bernoulli(0.4, n, 1)
    steps = source.heavy_tailed(n, length, heaviness=heaviness)
    drift = source.normal(n, 1) * 0.1 * source.bernoulli(0.4, n, 1)
    walk = (steps + drift).cumsum(1)
    geometric = torch.exp(walk * source.log_uniform(n, 1, low=0.003, high=0.05))
    return torch.where(source.bernoulli(0.4, n, 1), geometric, walk)


def arima(n: int, length: int, source: RandomSource) -> Tensor:
    """Macro and industrial series: ARMA(2, 1) with real or complex roots, integrated zero, one or two times."""
    shocks = source.normal(n, length + 1)
    shocks = shocks[:, 1:] + source.uniform(n, 1, low=-0.9, high=0.9) * shocks[:, :-1]
    series = second_order(shocks, *_roots(n, source))
    level = standardise(series).cumsum(1)
    curve = standardise(level).cumsum(1)
    order = source.integers(0, 5, n, 1)
    return choose(order, [series, series, level, level + trend(n, length, source), curve])


def _roots(n: int, source: RandomSource) -> tuple[Tensor, Tensor]:
    """Draw AR(2) coefficients, [n, 1] each, of stable roots: half of them complex (cycles of 5 to 100 steps)."""
    radius = 1 - source.log_uniform(n, 1, low=0.005, high=0.6)
    angle = 2 * torch.pi / source.log_uniform(n, 1, low=5, high=100)
    other = source.uniform(n, 1, low=-0.5, high=0.9)
    cyclic = source.bernoulli(0.5, n, 1)
    first = torch.where(cyclic, 2 * radius * torch.cos(angle), radius + other)
    second = torch.where(cyclic, -radius.square(), -radius * other)
    return first, second


def second_order(shocks: Tensor, first: Tensor, second: Tensor) -> Tensor:
    """Return AR(2) rows x_t = first x_{t-1} + second x_{t-2} + shock_t; shocks [n, L], coefficients [n, 1]."""
    state = shocks.T.contiguous()
    first, second = first.squeeze(1), second.squeeze(1)
    for step in range(2, len(state)):
        state[step].addcmul_(first, state[step - 1]).addcmul_(second, state[step - 2])
    return state.T.contiguous()


def volatility_clusters(n: int, length: int, source: RandomSource) -> Tensor:
    """Markets: GARCH(1, 1) returns (Bollerslev 1986), or the prices that they add up to."""
    returns = garch(source.normal(n, length), source.uniform(n, 1, low=0.03, high=0.25), source.uniform(n, 1, low=0.6))
    drift = 0.05 * source.normal(n, 1)
    return torch.where(source.bernoulli(0.4, n, 1), returns, (returns + drift).cumsum(1))


def garch(shocks: Tensor, reaction: Tensor, memory: Tensor) -> Tensor:
    """Return GARCH(1, 1) returns [n, L] of variance 1 from standard shocks; ``reaction + memory`` stays below 0.99.

    Args:
        shocks: [n, L].
        reaction: weight of the last squared return, [n, 1].
        memory: share of what is left to 0.99 that goes to the last variance, [n, 1].
    """
    returns = shocks.T.contiguous()
    reaction = reaction.squeeze(1)
    memory = memory.squeeze(1) * (0.99 - reaction)
    base = 1 - reaction - memory
    variance = torch.ones_like(base)
    for step in range(len(returns)):
        returns[step].mul_(variance.sqrt())
        variance = torch.addcmul(torch.addcmul(base, memory, variance), reaction, returns[step].square())
    return returns.T.contiguous()


def coloured(n: int, length: int, source: RandomSource) -> Tensor:
    """Noise of any colour, from anti-persistent through white and pink to smoother than a random walk."""
    return coloured_noise(n, length, source, -0.5, 3.0)


def growth(n: int, length: int, source: RandomSource) -> Tensor:
    """Macro-economic aggregates: exponential growth, business cycles, a year of 4 or 12 steps, crises that last."""
    year = torch.where(source.bernoulli(0.6, n, 1), 12.0, 4.0)
    rate = source.normal(n, 1) * 0.01 + 0.005
    cycle = slow_curve(n, length, source) * source.uniform(n, 1, high=0.15)
    yearly = season(n, length, source, year) * source.log_uniform(n, 1, low=0.005, high=0.15)
    crises = level_shifts(n, length, source) * source.uniform(n, 1, high=0.1)
    shocks = noise(n, length, source) * source.log_uniform(n, 1, low=0.003, high=0.05)
    logarithm = (rate * source.time(length)).clamp(-4, 4) + cycle + yearly + crises + shocks
    return torch.exp(logarithm)


def regimes(n: int, length: int, source: RandomSource) -> Tensor:
    """Processes that switch between two states of their own level, memory and volatility (Hamilton 1989)."""
    switches = source.uniform(n, length) < 1 / source.log_uniform(n, 1, low=15, high=250)
    state = switches.cumsum(1) % 2 == 1
    gap = source.normal(n, 1) * 2
    calm = autoregress(source.normal(n, length), source.uniform(n, 1, low=-0.3, high=0.95))
    busy = source.normal(n, length) * source.log_uniform(n, 1, low=0.1, high=3) + gap
    return torch.where(state, busy, calm)
