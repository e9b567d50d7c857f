"""Gaussian processes of random composite kernels, after KernelSynth (Ansari et al. 2024, Chronos, appendix A).

Nothing is factorised: a stationary kernel is drawn from its spectral density (Bochner's theorem), so a sum of kernels
is a sum of densities and one inverse FFT samples any number of rows. Sums are exact up to the grid of 2 L frequencies;
a product with the linear kernel is a product with a linear factor, a product of two samples stands for a product of
kernels (its covariance is that product, though it is not Gaussian).
"""

import torch
from torch import Tensor

from tracetune.data.synthetic.components import choose, spectral_noise, standardise, trend
from tracetune.data.synthetic.random_source import RandomSource
from tracetune.data.synthetic.seasonal import calendar_periods

_KERNELS = 3  # summed in one stationary sample
_HARMONICS = 4


def gaussian_process(n: int, length: int, source: RandomSource) -> Tensor:
    """Smooth, rough and quasi-periodic processes: sums and products of RBF, Matern, quadratic and periodic kernels."""
    first, second = _stationary(n, length, source), _stationary(n, length, source)
    linear = 1 + source.normal(n, 1) * (source.time(length) / length)
    composed = choose(source.integers(0, 4, n, 1), [first, first * linear, first * second, first + second])
    return composed + trend(n, length, source) * source.bernoulli(0.3, n, 1)


def _stationary(n: int, length: int, source: RandomSource) -> Tensor:
    """Draw a sample [n, L] of a sum of three random stationary kernels."""
    frequency = source.time(length + 1) / (2 * length)  # cycles a step, [1, L + 1]
    density = torch.zeros(n, length + 1, device=source.device)
    for _ in range(_KERNELS):
        candidates = [_rbf(n, frequency, source), _power_law(n, frequency, source), _periodic(n, frequency, source)]
        kernel = choose(source.integers(0, 3, n, 1), candidates)
        density += kernel / kernel.sum(1, keepdim=True).clamp(min=1e-12) * source.log_uniform(n, 1, low=0.05, high=1)
    return standardise(spectral_noise(density.sqrt(), source))


def _rbf(n: int, frequency: Tensor, source: RandomSource) -> Tensor:
    """Return the Gaussian spectral density of the squared exponential kernel, [n, L + 1]."""
    length_scale = source.log_uniform(n, 1, low=2, high=150)
    return torch.exp(-2 * (torch.pi * frequency * length_scale).square())


def _power_law(n: int, frequency: Tensor, source: RandomSource) -> Tensor:
    """Return the density of Matern kernels of smoothness 1/2 to 5/2, which falls as a power."""
    length_scale = source.log_uniform(n, 1, low=2, high=300)
    smoothness = source.uniform(n, 1, low=0.5, high=2.5)
    scaled = (2 * torch.pi * frequency * length_scale).square() / (2 * smoothness)
    return torch.exp(-(smoothness + 0.5) * torch.log1p(scaled))


def _periodic(n: int, frequency: Tensor, source: RandomSource) -> Tensor:
    """Return the density of a periodic kernel times a wide RBF: a bump at each harmonic of a calendar period."""
    period = calendar_periods(n, source)[:, :1]
    width = source.log_uniform(n, 1, low=0.0004, high=0.004)
    decay = source.uniform(n, 1, low=0.2, high=0.8)
    density = torch.zeros(n, frequency.shape[1], device=source.device)
    for order in range(1, _HARMONICS + 1):
        density += decay**order * torch.exp(-0.5 * ((frequency - order / period) / width).square())
    return density
