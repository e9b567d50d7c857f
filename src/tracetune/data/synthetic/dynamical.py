"""Dynamical systems: oscillators, chaos, maps; integrated for all rows at once, state [V, n], by RK4."""

from collections.abc import Callable

import torch
from torch import Tensor

from tracetune.data.synthetic.components import choose, slow_curve
from tracetune.data.synthetic.random_source import RandomSource

_BURN_IN = 60  # steps until a system is on its attractor


def waves(n: int, length: int, source: RandomSource) -> Tensor:
    """Machines and physiology: sine, square, triangle and sawtooth waves of drifting frequency, damped or growing."""
    period = source.log_uniform(n, 1, low=5, high=300)
    wander = 0.5 * slow_curve(n, length, source) * source.uniform(n, 1)
    cycles = source.time(length) / period + source.uniform(n, 1) + wander
    phase = cycles - cycles.floor()
    sine = torch.sin(2 * torch.pi * cycles)
    triangle = 4 * (phase - 0.5).abs() - 1
    wave = choose(source.integers(0, 5, n, 1), [sine, sine, torch.sign(sine), triangle, 2 * phase - 1])
    decay = source.uniform(n, 1, low=-1.5, high=4) * source.bernoulli(0.5, n, 1)
    wave = wave * torch.exp(-decay * source.time(length) / length)
    return wave + source.normal(n, length) * source.log_uniform(n, 1, low=0.003, high=0.5)


def lorenz(n: int, length: int, source: RandomSource) -> Tensor:
    """Convection: a coordinate of Lorenz' system (1963) at a random speed and Rayleigh number."""
    rho = source.uniform(n, low=24, high=45)

    def slope(state: Tensor) -> Tensor:
        x, y, z = state
        return torch.stack([10 * (y - x), x * (rho - z) - y, x * y - 8 / 3 * z])

    start = source.normal(3, n) * 5 + torch.tensor([[0.0], [0.0], [25.0]], device=source.device)
    orbit = integrate(slope, start, source.log_uniform(n, low=0.008, high=0.05), length)
    return choose(source.integers(0, 2, n, 1), [orbit[0], orbit[2]])


def roessler(n: int, length: int, source: RandomSource) -> Tensor:
    """Chemical and biological rhythms: the first coordinate of Rössler's system (1976), almost periodic."""
    c = source.uniform(n, low=4, high=9)

    def slope(state: Tensor) -> Tensor:
        x, y, z = state
        return torch.stack([-y - z, x + 0.2 * y, 0.2 + z * (x - c)])

    start = source.uniform(3, n, low=-3, high=3).abs()
    return integrate(slope, start, source.log_uniform(n, low=0.05, high=0.25), length)[0]


def van_der_pol(n: int, length: int, source: RandomSource) -> Tensor:
    """Relaxation oscillations: van der Pol's equation (1926), from almost a sine to almost a square wave."""
    damping = source.log_uniform(n, low=0.1, high=5)

    def slope(state: Tensor) -> Tensor:
        x, velocity = state
        return torch.stack([velocity, damping * (1 - x.square()) * velocity - x])

    orbit = integrate(slope, source.normal(2, n), source.log_uniform(n, low=0.04, high=0.2), length)
    return orbit[0] + source.normal(n, length) * source.log_uniform(n, 1, low=0.003, high=0.3)


def integrate(slope: Callable[[Tensor], Tensor], state: Tensor, step: Tensor, length: int) -> Tensor:
    """Return the orbit [V, n, L] of ``state`` [V, n] by the Runge-Kutta rule with ``step`` [n], after a burn-in."""
    orbit = []
    for _ in range(_BURN_IN + length):
        k1 = slope(state)
        k2 = slope(torch.addcmul(state, k1, step / 2))
        k3 = slope(torch.addcmul(state, k2, step / 2))
        k4 = slope(torch.addcmul(state, k3, step))
        state = torch.addcmul(state, k1 + 2 * (k2 + k3) + k4, step / 6)
        orbit.append(state)
    return torch.stack(orbit[_BURN_IN:], dim=2)


def logistic_map(n: int, length: int, source: RandomSource) -> Tensor:
    """Populations: the logistic map (May 1976), periodic or chaotic, half of it smoothed."""
    rate = source.uniform(n, low=3.4, high=4.0)
    state = source.uniform(n, low=0.1, high=0.9)
    orbit = torch.empty(length, n, device=source.device)
    for step in range(length):
        state = rate * state * (1 - state)
        orbit[step] = state
    series = orbit.T.contiguous()
    smooth = source.uniform(n, 1, high=0.9) * source.bernoulli(0.5, n, 1)
    return series + smooth * (series.roll(1, 1) - series)
