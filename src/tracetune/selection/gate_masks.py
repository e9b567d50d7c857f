"""Random masks that see both ends of every module, and the weights with which they are read.

A mask says which modules are open. The gate gradient is read at several masks, and a module's score is a weighted sum
of its reads. Whatever the masks, for every module

    the weights add up to 1, and those of the reads at which it is open itself add up to 1/2,

which is the trapezoid rule over the module's own gate: a loss that is additive over modules and quadratic in each gate
is scored exactly, by any draw. What else is exact in the mean over draws depends on how masks are drawn:

- **stratified**, where there are enough masks: each module is open in a share q of them, rounded up or down at random,
  and closed in the others, independently of the other modules. Exact where the loss is quadratic in each gate.
- **context and pairs**, where there are too few masks to see each module open and closed (q near 0 or 1): half of the
  masks are drawn in the context, open with probability q, and mostly see one end. What the other end differs by, the
  read at the closed minus the read at the open end, is taken from pairs of opposite masks at share 1/2, of which one
  sees each module open and one closed. Exact where the loss is linear in each gate, or quadratic in them together.
- **opposite pairs**, for Shapley values: a mask with share u, uniform on (0, 1), and its opposite with share 1 - u.
  Exact where the loss is linear in each gate; where it is quadratic in them together, by any draw.

Notation for tensor shapes: M gated modules, K masks.
"""

import math
from dataclasses import dataclass

import torch
from torch import Tensor

CONTEXTS = ("budget", "shapley")
ENOUGH_MASKS = 3
"""So many masks see both ends of every module in every setting."""


@dataclass(frozen=True)
class Masks:
    """Masks and the weights of their reads.

    Attributes:
        opened: bool [M, K], True where open.
        weights: [M, K].
    """

    opened: Tensor
    weights: Tensor


def draw_masks(modules: int, count: int, keep: float, context: str, generator: torch.Generator) -> Masks:
    """Draw ``count`` masks, at least :func:`least_masks`.

    Args:
        modules: M.
        count: K.
        keep: q, the probability with which a module is open in context "budget".
        context: "budget" or "shapley".
        generator: fixes the draw.
    """
    assert count >= least_masks(keep, context), "too few masks to see both ends"
    if context == "budget" and count >= stratified_masks(keep):
        return _stratified(modules, count, keep, generator)
    if context == "budget":
        pairs = max(1, count // 4)
        return _context_and_pairs(modules, count - 2 * pairs, keep, pairs, generator)
    if count % 2 == 0:
        return _opposite_pairs(modules, count // 2, generator)
    triple = _context_and_pairs(modules, 1, float(torch.rand((), generator=generator)), 1, generator)
    return triple if count == ENOUGH_MASKS else _joined(_opposite_pairs(modules, count // 2 - 1, generator), triple)


def least_masks(keep: float, context: str) -> int:
    """Return the smallest number of masks that can see both ends of every module."""
    return 2 if context == "shapley" or stratified_masks(keep) == 2 else ENOUGH_MASKS


def stratified_masks(keep: float) -> float:
    """Return the smallest number of stratified masks that see both ends of every module; infinite for q of 0 or 1."""
    rarer = min(keep, 1 - keep)
    return math.ceil(round(1 / rarer, 9)) if rarer > 0 else math.inf


def _stratified(modules: int, count: int, keep: float, generator: torch.Generator) -> Masks:
    opened = _balanced(modules, count, keep, generator)
    number = opened.sum(1, keepdim=True)
    return Masks(opened, torch.where(opened, 0.5 / number, 0.5 / (count - number)).double())


def _context_and_pairs(modules: int, count: int, share: float, pairs: int, generator: torch.Generator) -> Masks:
    """Masks at this share, and pairs of opposite masks at share 1/2 that tell how far apart the ends are."""
    context = _balanced(modules, count, share, generator)
    half = torch.rand(modules, pairs, generator=generator) < 0.5
    excess = context.double().mean(1, keepdim=True) - 0.5  # weight of open reads beyond 1/2
    difference = torch.where(half, -1.0, 1.0).double() / pairs  # closed minus open
    weights = [torch.full(context.shape, 1 / count, dtype=torch.double), excess * difference]
    return Masks(torch.cat([context, half, ~half], dim=1), torch.cat([*weights, -weights[1]], dim=1))


def _opposite_pairs(modules: int, pairs: int, generator: torch.Generator) -> Masks:
    strata = (torch.arange(pairs) + torch.rand(pairs, generator=generator)) / pairs / 2  # u or 1 - u, evenly spread
    first = torch.rand(modules, pairs, generator=generator) < strata
    opened = torch.cat([first, ~first], dim=1)
    return Masks(opened, torch.full(opened.shape, 0.5 / pairs, dtype=torch.double))


def _balanced(modules: int, count: int, share: float, generator: torch.Generator) -> Tensor:
    """Masks [M, K], each module open in ``share * K`` of them, rounded up or down at random, independently."""
    uniform = torch.rand(modules, count, generator=generator)
    expected = round(share * count, 9)  # 49 * (1 / 49) is 1
    number = torch.floor(expected + torch.rand(modules, 1, generator=generator).double())
    return uniform.argsort(dim=1).argsort(dim=1) < number


def _joined(first: Masks, second: Masks) -> Masks:
    """Both, each weighing as much as it has masks."""
    sizes = first.opened.shape[1], second.opened.shape[1]
    weights = [each.weights * size / sum(sizes) for each, size in zip((first, second), sizes, strict=True)]
    return Masks(torch.cat([first.opened, second.opened], dim=1), torch.cat(weights, dim=1))
