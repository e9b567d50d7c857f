"""Score steps by how far the windows around them are from the nearest normal windows."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from tracetune.base.errors import InputError
from tracetune.tasks.anomaly_scores.features import WindowFeatures
from tracetune.tasks.anomaly_scores.neighbours import coreset, nearest_distance
from tracetune.tasks.anomaly_scores.sliding import dominant_period, spread, window_starts

SHORTEST_WINDOW = 8


@dataclass(frozen=True)
class Bank:
    """The normal windows of one width.

    Attributes:
        width: W, steps of a window.
        starts: [M] first steps of its windows in the normal part.
        rows: [M, E] their features.
    """

    width: int
    starts: Tensor
    rows: Tensor


@dataclass(frozen=True)
class NeighbourScorer:
    """Distances to the nearest windows of a normal part, at several widths, added up in units of their own spread.

    Attributes:
        features: what windows are compared by.
        location: mean of the normal part; scores are of values in units of its deviation.
        scale: deviation of the normal part.
        banks: one a width.
        neighbours: how many nearest windows a distance is averaged over.
        spreads: one a width, median and 0.99 quantile less median of the normal part's own scores.
        normal_scores: [T] scores of the normal part, each window compared with those that do not overlap it.
        repeatability: how much nearer the nearest windows are than any two: 1 where windows repeat each other, 0 where
            the nearest one is as far as any, so that distances say nothing.
    """

    features: WindowFeatures
    location: float
    scale: float
    banks: tuple[Bank, ...]
    neighbours: int
    spreads: tuple[tuple[float, float], ...]
    normal_scores: np.ndarray
    repeatability: float

    def score(self, values: np.ndarray) -> np.ndarray:
        """Return scores [T] of values [T], without missing values; higher is more anomalous."""
        scaled = (values - self.location) / self.scale
        per_width = [_scores(scaled, bank, bank.rows, self.features, self.neighbours) for bank in self.banks]
        return _combined(per_width, self.spreads)


def fit_neighbour_scorer(
    normal: np.ndarray,
    features: WindowFeatures,
    widths: Sequence[int] | None = None,
    *,
    neighbours: int = 3,
    bank_size: int = 4000,
) -> NeighbourScorer:
    """Learn a normal part: values [T], without missing values.

    The part need not be free of anomalies: windows are compared with ``neighbours`` others that they do not overlap,
    so that what occurs less often than that is still far from them.

    Args:
        normal: the values to learn.
        features: what windows are compared by.
        widths: of windows in steps; None for half of, one and two periods, see `window_widths`.
        neighbours: how many nearest windows a distance is averaged over.
        bank_size: most windows that are kept of each width.

    Raises:
        InputError: fewer values than two windows.
    """
    widths = window_widths(normal) if widths is None else tuple(widths)
    if len(normal) < 2 * min(widths):
        raise InputError(
            f"Expected at least {2 * min(widths)} normal steps, two windows of {min(widths)}, found {len(normal)}."
        )
    location, scale = float(normal.mean()), float(normal.std()) or 1.0
    scaled = (normal - location) / scale
    banks, per_width = [], []
    for width in (width for width in widths if 2 * width <= len(normal)):
        starts = window_starts(len(scaled), width, _stride(width))
        rows = features(_windows(scaled, starts, width))
        kept = coreset(rows, bank_size)
        bank = Bank(width, torch.as_tensor(starts)[kept], rows[kept])
        banks.append(bank)
        per_width.append(_scores(scaled, bank, rows, features, neighbours, within=True))
    spreads = tuple(_spread_of(scores) for scores in per_width)
    return NeighbourScorer(
        features=features,
        location=location,
        scale=scale,
        banks=tuple(banks),
        neighbours=neighbours,
        spreads=spreads,
        normal_scores=_combined(per_width, spreads),
        repeatability=float(np.mean([_repeatability(bank, neighbours) for bank in banks])),
    )


def window_widths(values: np.ndarray, shortest: int = 64, longest: int = 400) -> tuple[int, ...]:
    """Return half of, one and two periods of values [T] in steps; periods below ``shortest`` steps count as that."""
    period = max(dominant_period(values) or shortest, shortest)
    widths = {int(np.clip(period * share, SHORTEST_WINDOW, min(longest, len(values) // 2))) for share in (0.5, 1, 2)}
    return tuple(sorted(width for width in widths if width >= SHORTEST_WINDOW)) or (SHORTEST_WINDOW,)


def _scores(
    scaled: np.ndarray,
    bank: Bank,
    rows: Tensor,
    features: WindowFeatures,
    neighbours: int,
    *,
    within: bool = False,
) -> np.ndarray:
    """Return scores [T] of one width; ``within`` the normal part, whose features ``rows`` are known already."""
    width = min(bank.width, len(scaled))
    starts = window_starts(len(scaled), width, _stride(width))
    if within:
        first = torch.as_tensor(starts)
        distances = nearest_distance(rows, bank.rows, neighbours, (first, bank.starts, bank.width))
    else:
        distances = nearest_distance(features(_windows(scaled, starts, width)), bank.rows, neighbours)
    return spread(starts, distances.numpy(), width, len(scaled))


def _windows(values: np.ndarray, starts: np.ndarray, width: int) -> np.ndarray:
    return np.lib.stride_tricks.sliding_window_view(values, width)[starts]


def _stride(width: int) -> int:
    return max(1, width // 8)


def _repeatability(bank: Bank, neighbours: int, sample: int = 500) -> float:
    """Return 1 - median distance to the nearest windows / median distance of any two; 0 where all are the same."""
    generator = torch.Generator().manual_seed(0)
    one, other = torch.randint(len(bank.rows), (2, 4 * sample), generator=generator)
    any_two = (bank.rows[one] - bank.rows[other]).norm(dim=1).median()
    part = torch.randperm(len(bank.rows), generator=generator)[:sample]
    nearest = nearest_distance(
        bank.rows[part], bank.rows, neighbours, (bank.starts[part], bank.starts, bank.width)
    ).median()
    return float((1 - nearest / any_two).clamp(0, 1)) if any_two > 0 else 0.0


def _spread_of(scores: np.ndarray) -> tuple[float, float]:
    middle, high = np.quantile(scores, [0.5, 0.99])
    return float(middle), float(high - middle) or 1.0


def _combined(per_width: Sequence[np.ndarray], spreads: Sequence[tuple[float, float]]) -> np.ndarray:
    scaled = [(scores - middle) / unit for scores, (middle, unit) in zip(per_width, spreads, strict=True)]
    return np.mean(scaled, axis=0)
