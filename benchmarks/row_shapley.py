"""Shapley values from random orders that differ from window to window: the reference of the fidelity benchmark.

The loss is a mean over windows and Shapley values are linear in the game, so they are the mean over windows of each
window's own. Hence orders may be drawn per window: a pass over B windows then follows B orders at once, where
``tracetune.selection.scores.shapley.sampled_shapley`` follows one. Both are unbiased estimates of the same values and
cost the same passes; noise that windows do not share falls with 1 / B here and stays there.

Notation for tensor shapes: B windows, M gated modules, K pairs of orders.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from scipy.stats import spearmanr
from torch import Tensor

from tracetune.base.files import read_json, write_json
from tracetune.selection.estimates.standard_errors import mean_and_error
from tracetune.selection.gates import Gates
from tracetune.selection.validation import LossFunction, batch_size, checked_loss, undisturbed


@dataclass(frozen=True)
class RowShapley:
    """Shapley values and how far they can be trusted.

    Attributes:
        values: [M] in units of the loss.
        standard_errors: [M] over pairs.
        pairs: K, pairs of orders for each window.
        split_half: Spearman correlation of the values from the even and from the odd pairs.
        passes: forward passes over all windows.
    """

    values: np.ndarray
    standard_errors: np.ndarray
    pairs: int
    split_half: float
    passes: int


def row_shapley(
    gates: Gates,
    batches: list[dict[str, Tensor]],
    loss_fn: LossFunction,
    *,
    state_file: Path,
    least_pairs: int = 4,
    most_pairs: int = 16,
    split_half: float = 0.98,
    seed: int = 0,
) -> RowShapley:
    """Add pairs of orders, each with its reverse, until the two halves of them agree.

    Args:
        gates: gates of the model.
        batches: held-out windows.
        loss_fn: from model and batch to losses [B].
        state_file: JSON file that is updated after each pair, and from which the work goes on. Its name has to
            identify model and windows.
        least_pairs: K is at least this,
        most_pairs: at most this,
        split_half: and otherwise the first even K with at least this Spearman correlation between halves.
        seed: fixes the orders.
    """
    with undisturbed(gates.model), torch.no_grad():
        # read inside, because the ends of all orders are the same two subsets
        gains: list[list[float]] = read_json(state_file) if state_file.is_file() else []
        ends = [_end_losses(gates, batch, loss_fn) for batch in batches]
        while not _enough(gains, least_pairs, most_pairs, split_half):
            gains.append(_pair(gates, batches, ends, loss_fn, seed, len(gains)).tolist())
            write_json(state_file, gains)
    values, errors = mean_and_error(np.array(gains).T)
    return RowShapley(values, errors, len(gains), agreement(gains), 2 + len(gains) * 2 * (gates.M - 1))


def agreement(gains: list[list[float]]) -> float:
    """Return the Spearman correlation of the means over even and over odd pairs [K, M]; NaN from a single pair."""
    if len(gains) < 2:
        return float("nan")
    values = np.array(gains)
    return float(spearmanr(values[0::2].mean(axis=0), values[1::2].mean(axis=0)).statistic)


def _enough(gains: list[list[float]], least: int, most: int, wanted: float) -> bool:
    if len(gains) < least or len(gains) % 2:
        return len(gains) >= most
    return len(gains) >= most or agreement(gains) >= wanted


def _pair(
    gates: Gates, batches: list[dict[str, Tensor]], ends: list[Tensor], loss_fn: LossFunction, seed: int, index: int
) -> np.ndarray:
    """Return the mean gain [M] over all windows, each with an order of its own and with its reverse."""
    random = np.random.default_rng([seed, index])
    total, windows = np.zeros(gates.M), 0
    for batch, end in zip(batches, ends, strict=True):
        size = batch_size(batch)
        place = random.permuted(np.tile(np.arange(gates.M), (size, 1)), axis=1).T  # [M, B], place in the order
        for places in (place, gates.M - 1 - place):
            losses = torch.stack([end[0], *_partial_losses(gates, places, batch, loss_fn), end[1]])  # [M + 1, B]
            gains = (losses[:-1] - losses[1:]).double().cpu().numpy()
            total += np.take_along_axis(gains, places, axis=0).sum(axis=1) / 2
        windows += size
    return total / windows


def _partial_losses(gates: Gates, places: np.ndarray, batch: dict[str, Tensor], loss_fn: LossFunction) -> Iterator:
    """Yield losses [B] with the first 1, 2, ..., M - 1 modules of each window's order open."""
    for opened in range(1, gates.M):
        yield _losses(gates, torch.from_numpy(places < opened), batch, loss_fn)


def _end_losses(gates: Gates, batch: dict[str, Tensor], loss_fn: LossFunction) -> Tensor:
    """Return losses [2, B] with all modules closed and with all open."""
    return torch.stack([_losses(gates, torch.full((gates.M,), value), batch, loss_fn) for value in (0.0, 1.0)])


def _losses(gates: Gates, opened: Tensor, batch: dict[str, Tensor], loss_fn: LossFunction) -> Tensor:
    with gates.apply(opened.to(gates.device, torch.float32)):
        return checked_loss(gates.model, batch, loss_fn)
