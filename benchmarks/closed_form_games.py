"""Games with known importance: losses that are polynomials in the gates, and that differ from sample to sample.

Notation for shapes: M modules, B samples, T terms.
"""

import math
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor, nn

KINDS = ("additive", "quadratic", "high order", "own curvature")
_PRODUCTS = {"high order": (3, 3, 3, 3, 4, 5), "own curvature": (2, 2, 2)}

Batch = dict[str, Tensor]


class ClosedFormGates:
    """What scores need of ``Gates``, for a loss that reads the gates themselves."""

    def __init__(self, modules: int) -> None:
        self.M = modules
        self.model = nn.Linear(1, 1)
        self.device = torch.device("cpu")
        self.values: Tensor | None = None

    @contextmanager
    def apply(self, values: Tensor) -> Iterator[None]:
        """Gates [M], or [M, B], inside."""
        outer, self.values = self.values, values
        yield
        self.values = outer


@dataclass(frozen=True)
class Game:
    """The loss of sample b at gates g, with weights w of products of gates:

        L_b(g) = sum_m [ (c_m + x_bm) g_m + a_m g_m^2 ] + (1 + z_b) [ g Q g / 2 + sum_t w_t prod_m g_m^e_tm ]

    Attributes:
        linear: c [M].
        square: a [M].
        pairs: Q [M, M], symmetric, zero on its diagonal.
        weights: w [T].
        exponents: e [T, M].
    """

    linear: Tensor
    square: Tensor
    pairs: Tensor
    weights: Tensor
    exponents: Tensor

    def losses(self, gates: Tensor, batch: Batch) -> Tensor:
        """Losses [B] at gates [M, B]; at gates [M] that all samples share, their mean []."""
        if gates.ndim == 1:
            return self._losses(gates[:, None], batch["x"].mean(0)[:, None], batch["z"].mean())[0]
        return self._losses(gates, batch["x"].T, batch["z"])

    def _losses(self, gates: Tensor, noise: Tensor, scale: Tensor) -> Tensor:
        alone = (((self.linear[:, None] + noise) + self.square[:, None] * gates) * gates).sum(0)
        together = (gates * (self.pairs @ gates)).sum(0) / 2
        if len(self.weights):
            together = together + self.weights @ (gates ** self.exponents[:, :, None]).prod(1)
        return alone + (1 + scale) * together

    def importance(self, keep: float | None) -> np.ndarray:
        """phi [M] from the losses of all 2^M sets: at share ``keep`` of the others, or Shapley's for None."""
        modules = len(self.linear)
        sets = (np.arange(2**modules)[:, None] >> np.arange(modules)) & 1
        still = {"x": torch.zeros(len(sets), modules), "z": torch.zeros(len(sets))}
        losses = self.losses(torch.tensor(sets.T, dtype=torch.float32), still).double().numpy()
        others = sets.sum(1)
        if keep is None:
            weights = np.array([1 / (modules * math.comb(modules - 1, min(k, modules - 1))) for k in others.tolist()])
        else:
            weights = keep**others * (1.0 - keep) ** np.maximum(modules - 1 - others, 0)
        without = [np.flatnonzero(sets[:, module] == 0) for module in range(modules)]
        return np.array([weights[w] @ (losses[w] - losses[w + 2**m]) for m, w in enumerate(without)])


def make_game(kind: str, modules: int = 10, seed: int = 0) -> Game:
    """A random game.

    Every kind holds what the kinds before it hold, except the last: "additive" over modules and quadratic in each,
    "quadratic" with a product for every pair, "high order" with products of three to five gates. "own curvature" is
    additive with products of one gate and the square of another.
    """
    random = np.random.default_rng([seed, KINDS.index(kind)])
    pairs = np.triu(random.normal(size=(modules, modules)) / math.sqrt(modules), 1)
    pairs = pairs + pairs.T if kind in ("quadratic", "high order") else 0 * pairs
    exponents = np.zeros((len(_PRODUCTS.get(kind, ())), modules))
    for row, size in zip(exponents, _PRODUCTS.get(kind, ()), strict=True):
        row[random.permutation(modules)[:size]] = 1
        if kind == "own curvature":
            row[np.flatnonzero(row)[0]] = 2
    linear, square = random.normal(size=(2, modules))
    arrays = (linear, square, pairs, random.normal(size=len(exponents)), exponents)
    return Game(*(torch.tensor(array, dtype=torch.float32) for array in arrays))


def draw_batches(modules: int, batches: int, size: int, seed: int) -> list[Batch]:
    """Validation batches whose samples differ in every module's effect, by standard normal noise."""
    generator = torch.Generator().manual_seed(seed)
    return [
        {"x": torch.randn(size, modules, generator=generator), "z": torch.randn(size, generator=generator)}
        for _ in range(batches)
    ]
