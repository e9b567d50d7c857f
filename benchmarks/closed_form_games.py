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
_PRODUCTS: dict[str, tuple[tuple[int, ...], ...]] = {
    "high order": ((1,) * 3,) * 4 + ((1,) * 4, (1,) * 5),
    "own curvature": ((2, 1), (2, 1), (2, 1), (2, 1, 1), (2, 2), (2, 2, 1)),
}
"""Exponents of the gates of each product."""

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
        """Set gates [M], or [M, B], inside the context."""
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

    def losses(self, gates: Tensor, noise: Tensor, scale: Tensor) -> Tensor:
        """Return losses [..., B] at gates [..., M, B], with noise x [..., M, B] and scale z [..., B] of the samples."""
        alone = (((self.linear[:, None] + noise) + self.square[:, None] * gates) * gates).sum(-2)
        together = (gates * (self.pairs @ gates)).sum(-2) / 2
        if len(self.weights):
            products = (gates.unsqueeze(-3) ** self.exponents[:, :, None]).prod(-2)  # [..., T, B]
            together = together + (self.weights[:, None] * products).sum(-2)
        return alone + (1 + scale) * together

    def subset_losses(self) -> np.ndarray:
        """Return losses [2^M] of all sets without noise; module m is open in those whose digit m in base two is 1."""
        gates = torch.tensor(_subsets(len(self.linear)).T, dtype=torch.float32)
        return self.losses(gates, torch.zeros(()), torch.zeros(())).double().numpy()

    def importance(self, keep: float | None) -> np.ndarray:
        """Return phi [M] from the losses of all 2^M sets: at share ``keep`` of the others, or Shapley's for None."""
        modules = len(self.linear)
        sets, losses = _subsets(modules), self.subset_losses()
        others = sets.sum(1)
        if keep is None:
            weights = np.array([1 / (modules * math.comb(modules - 1, min(k, modules - 1))) for k in others.tolist()])
        else:
            weights = keep**others * (1.0 - keep) ** np.maximum(modules - 1 - others, 0)
        without = [np.flatnonzero(sets[:, module] == 0) for module in range(modules)]
        return np.array([weights[w] @ (losses[w] - losses[w + 2**m]) for m, w in enumerate(without)])

    def diagonal_importance(self) -> np.ndarray:
        """Return Aumann-Shapley values [M]: minus the integral of the gradient along gates (t, ..., t), t in (0, 1)."""
        nodes, weights = np.polynomial.legendre.leggauss(8)  # exact to degree 15
        total = np.zeros(len(self.linear))
        for node, weight in zip((nodes + 1) / 2, weights / 2, strict=True):
            gates = torch.full((len(self.linear), 1), float(node), requires_grad=True)
            (gradient,) = torch.autograd.grad(self.losses(gates, torch.zeros(()), torch.zeros(())).sum(), gates)
            total -= weight * gradient[:, 0].double().numpy()
        return total


def make_game(kind: str, modules: int = 10, seed: int = 0) -> Game:
    """Return a random game.

    Every kind holds what the kinds before it hold, except the last: "additive" over modules and quadratic in each,
    "quadratic" with a product for every pair, "high order" with products of three to five gates. "own curvature" is
    additive with products of gates and squares of other gates, so that the curvature of a module depends on others.
    """
    random = np.random.default_rng([seed, KINDS.index(kind)])
    pairs = np.triu(random.normal(size=(modules, modules)) / math.sqrt(modules), 1)
    pairs = pairs + pairs.T if kind in ("quadratic", "high order") else 0 * pairs
    exponents = np.zeros((len(_PRODUCTS.get(kind, ())), modules))
    for row, powers in zip(exponents, _PRODUCTS.get(kind, ()), strict=True):
        row[random.permutation(modules)[: len(powers)]] = powers
    linear, square = random.normal(size=(2, modules))
    arrays = (linear, square, pairs, random.normal(size=len(exponents)), exponents)
    return Game(*(torch.tensor(array, dtype=torch.float32) for array in arrays))


def loss_of_copies(game: Game, gates: ClosedFormGates, batch: Batch) -> Tensor:
    """Return losses [B] of S copies of a game together, whose gates are those of one model with S * M modules.

    Every copy has noise of its own, and modules of one copy do not meet those of another: a score of this model is a
    score of S games, each with samples and masks of its own. At gates that all samples share, their mean [].
    """
    assert gates.values is not None, "losses are read inside apply"
    noise, scale = batch["x"].permute(1, 2, 0), batch["z"].T  # [S, M, B] and [S, B]
    if gates.values.ndim == 1:
        shared = gates.values.view(*noise.shape[:2], 1)
        return game.losses(shared, noise.mean(-1, keepdim=True), scale.mean(-1, keepdim=True)).sum()
    return game.losses(gates.values.view(noise.shape), noise, scale).sum(0)


def draw_batches(modules: int, copies: int, batches: int, size: int, seed: int) -> list[Batch]:
    """Return validation batches whose samples differ in every module's effect, by standard normal noise."""
    generator = torch.Generator().manual_seed(seed)
    return [
        {
            "x": torch.randn(size, copies, modules, generator=generator),
            "z": torch.randn(size, copies, generator=generator),
        }
        for _ in range(batches)
    ]


def _subsets(modules: int) -> np.ndarray:
    """Return all sets [2^M, M], 1 where open."""
    return (np.arange(2**modules)[:, None] >> np.arange(modules)) & 1
