"""Random gates at which the gate gradient is read, and the weights with which the reads are added up.

A mask opens some modules and closes the others. The gate gradient is read at several masks, and a module's score is a
weighted sum of its reads. Every read serves all modules at once: for each one the others are the context, and its own
gate is where the integral over it is read. Whatever the draw, for every module

    the weights add up to 1, and weights times its own gates add up to 1/2,

so that a loss that is additive over modules and quadratic in each gate is scored exactly. In the mean over draws every
loss is that is quadratic in each gate, whatever its terms of several modules:

- **stratified**, for context "budget" where there are masks enough: each module is open in a share q of them, rounded
  up or down at random, and closed in the others, independently of the other modules. Reads at its open end weigh 1/2
  together, those at its closed end as well (the trapezoid rule).
- **twins**, where masks mostly see one end (q near 0 or 1, few masks), or where the end that is seen tells of the
  context (context "shapley": open modules make a large share likelier). Each mask S is read twice: as it is, and at
  S + z / 8 with a random sign z for every module. For a loss that is quadratic in its own gate, with curvature
  c_m(S) = d^2 L / dg_m^2,

      E_z [ 8 z_m (dL/dg_m (S + z / 8) - dL/dg_m (S)) ] = c_m(S)

  (Hutchinson's estimator of the Hessian's diagonal; exact where c_m is linear in each other gate, and within 1/64 of
  a coefficient where it is quadratic). The integral over the own gate is then dL/dg_m (S) + (1/2 - S_m) c_m(S): both
  terms are read in the same context, however the own gate is drawn. For K masks with shares u_k

      phi_m = - mean_k [ dL/dg_m (S_k) + (1/2 - u_k) c_m(S_k) ] - (mean u - mean S_m) mean_k c_m(S_k)

  whose last term is 0 in the mean and makes additive losses exact. Shares are q in context "budget", and in context
  "shapley" spread over (0, 1), where masks come in pairs, each with its opposite (1 - S, 1 - u, -z): what is quadratic
  in all gates together is then exact by any draw.

Notation for tensor shapes: M gated modules, K masks, P reads of a mask (1, or 2 where it has a twin).
"""

import math
from dataclasses import dataclass

import torch
from torch import Tensor

CONTEXTS = ("budget", "shapley")
MASKS = ("auto", "per_sample", "per_batch")
LEAST_MASKS = 2
"""So many masks, or one and its twin, see both ends of every module in every setting."""

_STEP = 1 / 8


@dataclass(frozen=True)
class Masks:
    """Gates to read at, and the weights of the reads.

    Attributes:
        gates: [P, M, K], masks of 0 and 1, and their twins; both are to be read on the same samples.
        weights: [P, M, K].
    """

    gates: Tensor
    weights: Tensor


def draw_masks(modules: int, count: int, keep: float, context: str, generator: torch.Generator) -> Masks:
    """Draw ``count`` masks: stratified where that sees both ends, otherwise with twins.

    Args:
        modules: M.
        count: K, at least 1.
        keep: q, the probability with which a module is open in context "budget".
        context: "budget" or "shapley".
        generator: fixes the draw.
    """
    if context == "budget" and count >= stratified_masks(keep):
        return _stratified(_balanced(modules, count, keep, generator))
    if context == "budget":
        opened = _balanced(modules, count, keep, generator).double()
        return _with_twins(opened, torch.full((count,), keep, dtype=torch.double), _signs(modules, count, generator))
    pairs, single = divmod(count, 2)
    shares = (
        (torch.arange(pairs) + torch.rand(pairs, generator=generator).double()) / pairs / 2
    )  # u or 1 - u, evenly spread
    first = (torch.rand(modules, pairs, generator=generator) < shares).double()
    signs = _signs(modules, pairs, generator)
    alone = torch.rand(single, generator=generator).double()
    opened = torch.cat([first, 1 - first, (torch.rand(modules, single, generator=generator) < alone).double()], dim=1)
    signs = torch.cat([signs, -signs, _signs(modules, single, generator)], dim=1)
    return _with_twins(opened, torch.cat([shares, 1 - shares, alone]), signs)


def stratified_masks(keep: float) -> float:
    """Return the smallest number of stratified masks that see both ends of every module; infinite for q of 0 or 1."""
    rarer = min(keep, 1 - keep)
    return math.ceil(round(1 / rarer, 9)) if rarer > 0 else math.inf


def _stratified(opened: Tensor) -> Masks:
    number = opened.sum(1, keepdim=True)
    weights = torch.where(opened, 0.5 / number, 0.5 / (opened.shape[1] - number))
    return Masks(opened.double()[None], weights.double()[None])


def _with_twins(opened: Tensor, shares: Tensor, signs: Tensor) -> Masks:
    """Return masks [M, K] drawn with shares [K], each with a twin next to it in the direction of ``signs`` [M, K]."""
    count = opened.shape[1]
    curvature = (0.5 - shares + shares.mean() - opened.mean(1, keepdim=True)) / count  # weight of 8 z (twin - mask)
    difference = curvature * signs / _STEP
    weights = torch.stack([1 / count - difference, difference])
    return Masks(torch.stack([opened, opened + _STEP * signs]), weights)


def _signs(modules: int, count: int, generator: torch.Generator) -> Tensor:
    return torch.where(torch.rand(modules, count, generator=generator) < 0.5, -1.0, 1.0).double()


def _balanced(modules: int, count: int, share: float, generator: torch.Generator) -> Tensor:
    """Return masks [M, K], each module open in ``share * K`` of them, rounded up or down at random, independently."""
    uniform = torch.rand(modules, count, generator=generator)
    expected = round(share * count, 9)  # 49 * (1 / 49) is 1
    number = torch.floor(expected + torch.rand(modules, 1, generator=generator).double())
    return uniform.argsort(dim=1).argsort(dim=1) < number
