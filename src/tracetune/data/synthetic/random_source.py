"""Random tensors from one seeded generator on its device."""

import math

import torch
from torch import Tensor


class RandomSource:
    """Draws for synthetic series; ``[n, 1]`` draws are parameters of rows, ``[n, L]`` draws are shocks."""

    def __init__(self, seed: int, device: torch.device | str = "cpu") -> None:
        self.device = torch.device(device)
        self.generator = torch.Generator(self.device).manual_seed(seed)

    def uniform(self, *shape: int, low: float = 0.0, high: float = 1.0) -> Tensor:
        """Draw uniformly from [low, high)."""
        return torch.rand(*shape, generator=self.generator, device=self.device).mul_(high - low).add_(low)

    def log_uniform(self, *shape: int, low: float, high: float) -> Tensor:
        """Draw between two positive numbers, uniformly in the logarithm."""
        return self.uniform(*shape, low=math.log(low), high=math.log(high)).exp_()

    def normal(self, *shape: int) -> Tensor:
        """Draw from the standard normal distribution."""
        return torch.randn(*shape, generator=self.generator, device=self.device)

    def heavy_tailed(self, *shape: int, heaviness: Tensor) -> Tensor:
        """Draw normal shocks, their tails stretched by ``heaviness``, 0 for none (sinh; Jones & Pewsey 2009)."""
        shocks = self.normal(*shape)
        return torch.where(heaviness > 0, torch.sinh(heaviness * shocks) / heaviness.clamp(min=1e-3), shocks)

    def bernoulli(self, probability: float, *shape: int) -> Tensor:
        """Draw booleans that are True with this probability."""
        return torch.rand(*shape, generator=self.generator, device=self.device) < probability

    def integers(self, low: int, high: int, *shape: int) -> Tensor:
        """Draw whole numbers uniformly from [low, high)."""
        return torch.randint(low, high, shape, generator=self.generator, device=self.device)

    def exponential(self, *shape: int) -> Tensor:
        """Draw from the exponential distribution with mean 1."""
        return torch.rand(*shape, generator=self.generator, device=self.device).clamp_(min=1e-12).log_().neg_()

    def poisson(self, rate: Tensor) -> Tensor:
        """Draw Poisson counts of the given rates, of the same shape."""
        return torch.poisson(rate, generator=self.generator)

    def permutation(self, n: int) -> Tensor:
        """Draw a random order of n rows, [n]."""
        return torch.randperm(n, generator=self.generator, device=self.device)

    def allocate(self, n: int, weights: list[float]) -> list[int]:
        """Draw how many of n rows fall to each weight (multinomial)."""
        shares = torch.tensor(weights, device=self.device)
        drawn = torch.multinomial(shares, n, replacement=True, generator=self.generator)
        return drawn.bincount(minlength=len(weights)).tolist()

    def time(self, length: int) -> Tensor:
        """Return steps 0, 1, ... as one row, [1, L]."""
        return torch.arange(length, dtype=torch.float32, device=self.device).unsqueeze(0)
