"""Spectral densities against scikit-learn's kernels: what is sampled has their covariance."""

import numpy as np
import pytest
import torch
from sklearn.gaussian_process import kernels
from torch import Tensor

from tracetune.data.synthetic import gaussian_process
from tracetune.data.synthetic.components import spectral_noise
from tracetune.data.synthetic.random_source import RandomSource

N, LENGTH = 20_000, 128


class Fixed(RandomSource):
    """Draws shocks as usual, but parameters as they are told."""

    def __init__(self, log_uniform: float, uniform: float) -> None:
        super().__init__(0)
        self._log_uniform, self._uniform = log_uniform, uniform

    def log_uniform(self, *shape: int, low: float, high: float) -> Tensor:
        return torch.full(shape, self._log_uniform)

    def uniform(self, *shape: int, low: float = 0.0, high: float = 1.0) -> Tensor:
        return torch.full(shape, self._uniform)


def variogram(density: Tensor) -> np.ndarray:
    """Half the mean squared difference at lags 1 to 30 of samples of a density [1, L + 1], relative to lag 30."""
    rows = spectral_noise(density.expand(N, -1).sqrt(), RandomSource(1)).double()
    found = np.array([(rows[:, 40 + lag] - rows[:, 40]).square().mean().item() for lag in range(1, 31)])
    return found / found[-1]


def expected(kernel: kernels.Kernel) -> np.ndarray:
    """The same of a stationary kernel k: k(0) - k(lag)."""
    difference = 1 - kernel(np.zeros((1, 1)), np.arange(1.0, 31)[:, None])[0]
    return difference / difference[-1]


def frequencies() -> Tensor:
    return RandomSource(0).time(LENGTH + 1) / (2 * LENGTH)


@pytest.mark.parametrize("scale", [3.0, 10.0])
def test_rbf(scale: float) -> None:
    density = gaussian_process._rbf(1, frequencies(), Fixed(scale, 0))
    np.testing.assert_allclose(variogram(density), expected(kernels.RBF(scale)), atol=0.03)


@pytest.mark.parametrize("smoothness", [1.5, 2.5])
@pytest.mark.parametrize("scale", [4.0, 8.0])
def test_matern(scale: float, smoothness: float) -> None:
    density = gaussian_process._power_law(1, frequencies(), Fixed(scale, smoothness))
    np.testing.assert_allclose(variogram(density), expected(kernels.Matern(scale, nu=smoothness)), atol=0.03)


def test_periodic_has_a_bump_at_every_harmonic(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(gaussian_process, "calendar_periods", lambda n, source: torch.full((n, 3), 16.0))
    density = gaussian_process._periodic(1, frequencies(), Fixed(0.002, 0.5))[0]
    peaks = density[[16, 32, 48, 64]]  # cycles in 2 L steps
    torch.testing.assert_close(peaks[1:] / peaks[:-1], torch.full((3,), 0.5), atol=1e-3, rtol=0)
    assert density[[8, 24, 40]].max() < 1e-3 * peaks[-1]
    found = variogram(density[None])
    assert found[16 - 1] < 0.1 * found[8 - 1]


def test_processes_are_of_several_roughnesses() -> None:
    rows = gaussian_process.gaussian_process(500, 256, RandomSource(0)).double()
    roughness = rows.diff(dim=1).var(1) / rows.var(1)
    quartiles = roughness.quantile(torch.tensor([0.1, 0.9], dtype=torch.float64))
    assert quartiles[1] > 20 * quartiles[0]
