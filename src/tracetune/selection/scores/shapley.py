"""Shapley values of modules, the yardstick of signed scores: exact for few, from antithetic permutations for many.

The game: the value of a set S of open modules is -L(S), minus the mean held-out loss, so that

    phi_m = sum over S without m of |S|! (M - |S| - 1)! / M! * (L(S) - L(S with m))

and the values add up to L(no module) - L(all modules) (Shapley 1953; Castro et al. 2009 for permutation sampling).
"""

import math
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from tqdm import tqdm

from tracetune.base.errors import InputError
from tracetune.base.files import read_json, write_json
from tracetune.base.json_types import JsonObject
from tracetune.selection.estimates.standard_errors import mean_and_error
from tracetune.selection.gates import Gates
from tracetune.selection.passes import FORWARD
from tracetune.selection.scores.score import ScoreValues, register_score
from tracetune.selection.validation import AnyBatch, LossFunction, batch_size, checked_loss, on_device, undisturbed

SubsetLoss = Callable[[np.ndarray], float]
"""From a mask bool [M], True where open, to the mean held-out loss."""

EXACT_LIMIT = 12


@dataclass(frozen=True)
class ShapleyValues:
    """Shapley values of M modules.

    Attributes:
        values: [M] in units of the loss.
        standard_errors: [M]; zeros where the values are exact, NaN from a single pair of permutations.
        evaluations: subsets whose loss was computed.
    """

    values: np.ndarray
    standard_errors: np.ndarray
    evaluations: int


def _passes(modules: int, *, pairs: int, exact_limit: int, **_: object) -> float:
    """Return the forward passes over a batch: one for each subset of modules whose loss is read."""
    return FORWARD * (2**modules if _is_exact(modules, pairs, exact_limit) else _sampled_subsets(modules, pairs))


def _is_exact(modules: int, pairs: int, exact_limit: int) -> bool:
    """Return whether all subsets are read: where they are no more than those of the pairs that were asked for."""
    return modules <= exact_limit and 2**modules <= _sampled_subsets(modules, pairs)


def _sampled_subsets(modules: int, pairs: int) -> int:
    return 2 + pairs * 2 * (modules - 1)


@register_score("shapley", passes=_passes, signed=True)
def shapley(
    gates: Gates,
    batches: Iterable[AnyBatch],
    loss_fn: LossFunction,
    *,
    pairs: int = 32,
    exact_limit: int = EXACT_LIMIT,
    seed: int = 0,
    state_file: str | Path | None = None,
    progress: bool = False,
) -> ScoreValues:
    """Return Shapley values of the loss on these batches, sampled; exact where that reads no more subsets.

    They are exact only up to ``exact_limit`` modules.

    Standard errors are those of the sampled orders alone: 0 where values are exact. What other batches would give is
    not part of them.
    """
    kept = list(batches)
    loss = subset_loss(gates, kept, loss_fn)
    if _is_exact(gates.M, pairs, exact_limit):
        result = exact_shapley(loss, gates.M, progress=progress)
    else:
        result = sampled_shapley(loss, gates.M, pairs, seed=seed, state_file=state_file, progress=progress)
    samples = sum(batch_size(batch) for batch in kept)
    return ScoreValues(result.values, result.standard_errors, samples, FORWARD * result.evaluations * len(kept))


def subset_loss(gates: Gates, batches: Iterable[AnyBatch], loss_fn: LossFunction) -> SubsetLoss:
    """Return the mean loss over the samples of ``batches`` as a function of which modules are open."""
    kept = list(on_device(gates.model, batches))
    sizes = np.array([batch_size(batch) for batch in kept])

    def loss(opened: np.ndarray) -> float:
        values = torch.as_tensor(opened, dtype=torch.float32, device=gates.device)
        with undisturbed(gates.model), torch.no_grad(), gates.apply(values):
            losses = [float(checked_loss(gates.model, batch, loss_fn).mean()) for batch in kept]
        return float(np.average(losses, weights=sizes))

    return loss


def exact_shapley(loss: SubsetLoss, modules: int, *, progress: bool = True) -> ShapleyValues:
    """Return Shapley values from all 2^M subsets.

    Raises:
        InputError: more than 20 modules, which would take more than a million evaluations.
    """
    if not 1 <= modules <= 20:
        raise InputError(f"Exact Shapley values need 1 to 20 modules, found {modules}. Sample permutations instead.")
    subsets = (np.arange(2**modules)[:, None] >> np.arange(modules)) & 1  # [2^M, M]
    losses = np.array([loss(subset.astype(bool)) for subset in tqdm(subsets, "Shapley", disable=not progress)])
    sizes = subsets.sum(1)
    values = np.empty(modules)
    for module in range(modules):
        without = np.flatnonzero(subsets[:, module] == 0)
        weights = [1 / (modules * math.comb(modules - 1, size)) for size in sizes[without]]
        values[module] = np.dot(weights, losses[without] - losses[without + 2**module])
    return ShapleyValues(values, np.zeros(modules), len(losses))


def sampled_shapley(
    loss: SubsetLoss,
    modules: int,
    pairs: int = 32,
    *,
    seed: int = 0,
    state_file: str | Path | None = None,
    progress: bool = True,
) -> ShapleyValues:
    """Return Shapley values from ``pairs`` random orders in which the modules open, each also taken in reverse.

    A module that opens early in one order opens late in its reverse, which cancels much of the variance. The
    standard error is over pairs. Every estimate adds up to L(no module) - L(all modules) exactly.

    Args:
        loss: mean held-out loss of a set of open modules.
        modules: M.
        pairs: pairs of orders; each costs 2 (M - 1) evaluations.
        seed: fixes the orders.
        state_file: JSON file that is updated, whole, after each pair. Where it exists, the work goes on from it,
            with the result of an uninterrupted run; more ``pairs`` than before refine it.
        progress: show a progress bar.

    Raises:
        InputError: no pairs, or a state file that belongs to another number of modules, seed or game.
    """
    if modules < 1 or pairs < 1:
        raise InputError(f"Expected at least 1 module and 1 pair of permutations, found {modules} and {pairs}.")
    ends = [loss(np.zeros(modules, dtype=bool)), loss(np.ones(modules, dtype=bool))]
    state = _read_state(state_file, {"modules": modules, "seed": seed, "ends": ends})
    for index in tqdm(range(len(state["gains"]), pairs), "Shapley", disable=not progress):
        order = np.random.default_rng([seed, index]).permutation(modules)
        gains = (_gains(loss, order, ends) + _gains(loss, order[::-1], ends)) / 2
        state["gains"].append(gains.tolist())
        if state_file is not None:
            write_json(state_file, state)
    values, errors = mean_and_error(np.array(state["gains"][:pairs]).T)
    return ShapleyValues(values, errors, _sampled_subsets(modules, pairs))


def _gains(loss: SubsetLoss, order: np.ndarray, ends: list[float]) -> np.ndarray:
    """Return the loss reduction [M] of each module as the modules open in ``order``."""
    gains = np.empty(len(order))
    losses = [ends[0], *_partial_losses(loss, order), ends[1]]
    gains[order] = -np.diff(losses)
    return gains


def _partial_losses(loss: SubsetLoss, order: np.ndarray) -> Iterator[float]:
    opened = np.zeros(len(order), dtype=bool)
    for module in order[:-1]:
        opened[module] = True
        yield loss(opened)


def _read_state(path: str | Path | None, identity: JsonObject) -> JsonObject:
    if path is None or not Path(path).is_file():
        return {**identity, "gains": []}
    state = read_json(path)
    for key, expected in identity.items():
        found = state.get(key) if isinstance(state, dict) else None
        if found is None or not np.allclose(found, expected, rtol=1e-6, atol=0.0):
            raise InputError(
                f"{path} belongs to other Shapley values: expected {key} {expected}. Delete it, or name another file."
            )
    return state
