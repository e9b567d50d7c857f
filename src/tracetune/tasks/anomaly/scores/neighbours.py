"""Distances of windows to the nearest normal windows."""

import torch
from torch import Tensor

_MOST_DISTANCES = 2**23  # at once


def nearest_distance(
    queries: Tensor,
    bank: Tensor,
    neighbours: int = 3,
    apart: tuple[Tensor, Tensor, int] | None = None,
    distinct: tuple[Tensor, int] | None = None,
) -> Tensor:
    """Return the mean distance [K] of queries [K, E] to their ``neighbours`` nearest rows of ``bank`` [M, E].

    Args:
        queries: rows to score.
        bank: rows of normal windows.
        neighbours: how many to average over, fewer where the bank is smaller.
        apart: first steps of the queries [K] and of the bank's windows [M], and the least distance between the two
            that counts; so that a window of the bank is not found again in itself. A query near all of the bank
            compares with the farthest in time.
        distinct: first steps of the bank's windows [M] and the least distance between two that both count; so that
            windows over the same steps are one neighbour. None lets all count.
    """
    rows = max(_MOST_DISTANCES // max(len(bank), 1), 1)
    found = []
    for start in range(0, len(queries), rows):
        part = queries[start : start + rows]
        distances = torch.cdist(part, bank)
        if apart is not None:
            gaps = (apart[0][start : start + rows, None] - apart[1][None]).abs()
            allowed = gaps >= torch.minimum(torch.tensor(apart[2]), gaps.amax(1, keepdim=True))
            distances = torch.where(allowed, distances, torch.inf)
        most = min(neighbours, len(bank))
        smallest, nearest = (
            distances.topk(most, largest=False) if distinct is None else _smallest_apart(distances, most, *distinct)
        )
        counted = smallest.isfinite()
        # Distances of cdist are rounded: they come from inner products, so that equal rows are not 0 apart.
        exact = torch.stack([(part - bank[index]).norm(dim=1) for index in nearest.T], dim=1)
        found.append(torch.where(counted, exact, 0.0).sum(1) / counted.sum(1))
    return torch.cat(found)


def _smallest_apart(distances: Tensor, count: int, starts: Tensor, width: int) -> tuple[Tensor, Tensor]:
    """Return the smallest of the distances [K, M] whose windows do not overlap, and their columns, [K, count] each.

    Each is that of the nearest window which overlaps none before it; infinite where there is no such window.
    """
    smallest, nearest = [], []
    for _ in range(count):
        lowest, column = distances.min(1)
        smallest.append(lowest)
        nearest.append(column)
        overlapping = (starts[None] - starts[column, None]).abs() < width
        distances = distances.masked_fill(overlapping, torch.inf)
    return torch.stack(smallest, dim=1), torch.stack(nearest, dim=1)
