"""Random numbers from one seeded generator, and the noises and shapes that series are composed of.

Every function makes n series of length L at once, [n, L]; rows are independent.
"""

import math

import torch
from torch import Tensor


class Draws:
    """Random tensors from one generator, on its device."""

    def __init__(self, seed: int, device: torch.device | str = "cpu") -> None:
        self.device = torch.device(device)
        self.generator = torch.Generator(self.device).manual_seed(seed)

    def uniform(self, *shape: int, low: float = 0.0, high: float = 1.0) -> Tensor:
        """Uniform in [low, high)."""
        return low + (high - low) * torch.rand(*shape, generator=self.generator, device=self.device)

    def log_uniform(self, *shape: int, low: float, high: float) -> Tensor:
        """Uniform in the logarithm, between two positive numbers."""
        return self.uniform(*shape, low=math.log(low), high=math.log(high)).exp()

    def normal(self, *shape: int) -> Tensor:
        """Standard normal."""
        return torch.randn(*shape, generator=self.generator, device=self.device)

    def chance(self, probability: float, *shape: int) -> Tensor:
        """True with this probability."""
        return self.uniform(*shape) < probability

    def integers(self, low: int, high: int, shape: tuple[int, ...]) -> Tensor:
        """Uniform whole numbers in [low, high)."""
        return torch.randint(low, high, shape, generator=self.generator, device=self.device)

    def permutation(self, n: int) -> Tensor:
        """A random order of n rows."""
        return torch.randperm(n, generator=self.generator, device=self.device)

    def steps(self, n: int, length: int) -> Tensor:
        """Time steps 0, 1, ... of every row, [n, L]."""
        return torch.arange(length, dtype=torch.float32, device=self.device).expand(n, length)

    def one(self) -> Tensor:
        """The number 1 as [1, 1]."""
        return torch.ones(1, 1, device=self.device)


def standardise(series: Tensor) -> Tensor:
    """Rows [n, L] with mean 0 and deviation 1."""
    deviation = series.std(dim=1, keepdim=True)
    return (series - series.mean(dim=1, keepdim=True)) / deviation.clamp(min=1e-6)


def coloured_noise(n: int, length: int, draws: Draws, low: float = 0.0, high: float = 2.0) -> Tensor:
    """Noise with spectral density 1 / f^a, a uniform in [low, high]: 0 is white, 1 pink, 2 a random walk."""
    exponent = draws.uniform(n, 1, low=low, high=high)
    frequencies = torch.arange(1, length + 1, dtype=torch.float32, device=draws.device)
    spectrum = torch.complex(draws.normal(n, length), draws.normal(n, length)) * frequencies ** (-exponent / 2)
    spectrum = torch.cat([torch.zeros(n, 1, dtype=spectrum.dtype, device=draws.device), spectrum], 1)
    return standardise(torch.fft.irfft(spectrum, 2 * length)[:, :length])


def autoregressive_noise(n: int, length: int, draws: Draws) -> Tensor:
    """AR(1) noise, from white to almost a random walk; the recursion is a convolution with its impulse response."""
    coefficient = 1 - draws.log_uniform(n, 1, low=0.003, high=1.0)
    shocks = draws.normal(n, 2 * length)
    response = coefficient ** torch.arange(2 * length, dtype=torch.float32, device=draws.device)
    product = torch.fft.rfft(shocks, 4 * length) * torch.fft.rfft(response, 4 * length)
    return standardise(torch.fft.irfft(product, 4 * length)[:, length : 2 * length])


def slow_factor(n: int, length: int, draws: Draws, strength: float = 0.3) -> Tensor:
    """A positive factor around 1 that drifts slowly: changing amplitude or volatility."""
    return (strength * coloured_noise(n, length, draws, 2.0, 3.0) * draws.uniform(n, 1)).exp()


def trend(n: int, length: int, draws: Draws) -> Tensor:
    """A linear, piecewise linear, saturating, exponential or quadratic trend."""
    time = draws.steps(n, length) / length
    kind = draws.integers(0, 5, (n, 1))
    slope = draws.normal(n, 1)
    linear = slope * time
    knot, change = draws.uniform(n, 1), 3 * draws.normal(n, 1)
    piecewise = linear + change * (time - knot).clamp(min=0)
    saturating = slope * torch.sigmoid((time - draws.uniform(n, 1)) * draws.log_uniform(n, 1, low=3, high=30))
    exponential = slope * torch.expm1(time * draws.uniform(n, 1, low=0.5, high=3)) / 3
    quadratic = slope * (time - draws.uniform(n, 1)) ** 2 * 2
    kinds = torch.stack([linear, piecewise, saturating, exponential, quadratic], 1)
    return kinds.gather(1, kind.unsqueeze(-1).expand(n, 1, length)).squeeze(1)
