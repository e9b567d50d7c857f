"""Components of series: noises with memory, slow factors, trends, breaks. All [n, L], rows independent."""

import torch
from torch import Tensor

from tracetune.data.synthetic.random_source import RandomSource


def standardise(series: Tensor) -> Tensor:
    """Scale rows [n, L] to mean 0 and deviation 1."""
    centred = series - series.mean(dim=1, keepdim=True)
    return centred / centred.square().mean(dim=1, keepdim=True).sqrt().clamp(min=1e-6)


def choose(kind: Tensor, candidates: list[Tensor]) -> Tensor:
    """Take row i of ``candidates[kind[i]]``; ``kind`` [n, 1], candidates [n, L]."""
    chosen = candidates[0]
    for index, candidate in enumerate(candidates[1:], start=1):
        chosen = torch.where(kind == index, candidate, chosen)
    return chosen


def spectral_noise(amplitude: Tensor, source: RandomSource) -> Tensor:
    """Draw stationary Gaussian rows [n, L] from spectral amplitudes [n, L + 1] at the frequencies 0 ... 1/2.

    A period of 2 L is synthesised by inverse FFT and half of it kept, so that rows do not wrap around.
    """
    n, bins = amplitude.shape
    spectrum = torch.view_as_complex(source.normal(n, bins, 2)) * amplitude
    return torch.fft.irfft(spectrum, 2 * (bins - 1))[:, : bins - 1]


def coloured_noise(n: int, length: int, source: RandomSource, low: float = 0.0, high: float = 2.0) -> Tensor:
    """Draw noise of spectral density 1 / f^a, a uniform in [low, high]: 0 white, 1 pink, 2 like a random walk."""
    exponent = source.uniform(n, 1, low=low, high=high)
    log_frequency = source.time(length + 1).clamp(min=1).log()
    amplitude = torch.exp(-0.5 * exponent * log_frequency)
    amplitude[:, 0] = 0
    return standardise(spectral_noise(amplitude, source))


def slow_curve(n: int, length: int, source: RandomSource) -> Tensor:
    """Draw a smooth wandering curve of deviation 1: changing amplitude, phase or volatility."""
    return coloured_noise(n, length, source, 2.2, 3.2)


def slow_factor(n: int, length: int, source: RandomSource, strength: float) -> Tensor:
    """Draw a positive factor around 1; its logarithm wanders with a deviation of up to ``strength``."""
    return torch.exp(slow_curve(n, length, source) * source.uniform(n, 1, high=strength))


def autoregress(shocks: Tensor, coefficient: Tensor) -> Tensor:
    """Return AR(1) rows x_t = coefficient x_{t-1} + shock_t, begun in the stationary distribution.

    Args:
        shocks: [n, L].
        coefficient: [n, 1], absolute value below 1.
    """
    state = shocks.T.contiguous()  # [L, n]: each step of the scan is one contiguous operation
    coefficient = coefficient.squeeze(1)
    state[0] /= (1 - coefficient.square()).sqrt()
    for step in range(1, len(state)):
        state[step].addcmul_(coefficient, state[step - 1])
    return state.T.contiguous()


def remembering_noise(n: int, length: int, source: RandomSource) -> Tensor:
    """Draw AR(1) noise of deviation 1 with a memory between one and some hundred steps, some of it heavy-tailed."""
    heaviness = source.uniform(n, 1, low=0.2, high=0.9) * source.bernoulli(0.25, n, 1)
    coefficient = 1 - source.log_uniform(n, 1, low=0.004, high=1.0)
    return standardise(autoregress(source.heavy_tailed(n, length, heaviness=heaviness), coefficient))


def noise(n: int, length: int, source: RandomSource) -> Tensor:
    """Draw white, AR(1) or 1/f noise of deviation 1, a third of it with a volatility that wanders."""
    kinds = [
        source.normal(n, length),
        remembering_noise(n, length, source),
        coloured_noise(n, length, source, 0.3, 2.0),
    ]
    shocks = choose(source.integers(0, 3, n, 1), kinds)
    volatile = source.bernoulli(0.33, n, 1)
    return torch.where(volatile, shocks * slow_factor(n, length, source, 1.0), shocks)


def trend(n: int, length: int, source: RandomSource) -> Tensor:
    """Draw a trend of a size near 1: linear, broken, saturating, exponential, or a wandering level."""
    time = source.time(length) / length
    slope, start = source.normal(n, 1), source.uniform(n, 1)
    growth = source.uniform(n, 1, low=0.5, high=3.5)
    kinds = [
        slope * time,
        slope * time + 2 * source.normal(n, 1) * (time - start).clamp(min=0),
        slope * torch.sigmoid((time - start) * source.log_uniform(n, 1, low=4, high=40)),
        slope * torch.expm1(growth * time) / torch.expm1(growth),
        slope * slow_curve(n, length, source),
    ]
    return choose(source.integers(0, len(kinds), n, 1), kinds)


def level_shifts(n: int, length: int, source: RandomSource, count: int = 3) -> Tensor:
    """Draw up to ``count`` lasting jumps at random moments, of a size near 1."""
    time = source.time(length)
    shifts = torch.zeros(n, length, device=source.device)
    for index in range(count):
        jump = source.normal(n, 1) * source.bernoulli(1 / (1 + index), n, 1)
        shifts += jump * (time >= source.uniform(n, 1) * length)
    return shifts


def pulses(n: int, length: int, source: RandomSource, low: float = 0.002, high: float = 0.05) -> Tensor:
    """Draw rare events of random rate and size: zero but at the event, or decaying after it."""
    rate = source.log_uniform(n, 1, low=low, high=high)
    events = (source.uniform(n, length) < rate) * source.exponential(n, length)
    decay = source.uniform(n, 1, high=0.9) * source.bernoulli(0.5, n, 1)
    return autoregress(events, decay)
