"""Distances of windows to the nearest normal windows."""

import torch
from torch import Tensor

_CHUNK = 2048


def nearest_distance(
    queries: Tensor, bank: Tensor, neighbours: int = 3, apart: tuple[Tensor, Tensor, int] | None = None
) -> Tensor:
    """Return the mean distance [K] of queries [K, E] to their ``neighbours`` nearest rows of ``bank`` [M, E].

    Args:
        queries: rows to score.
        bank: rows of normal windows.
        neighbours: how many to average over, fewer where the bank is smaller.
        apart: first steps of the queries [K] and of the bank's windows [M], and the least distance between the two
            that counts; so that a window of the bank is not found again in itself. A query near all of the bank
            compares with the farthest in time.
    """
    found = []
    for start in range(0, len(queries), _CHUNK):
        part = queries[start : start + _CHUNK]
        distances = torch.cdist(part, bank)
        if apart is not None:
            gaps = (apart[0][start : start + _CHUNK, None] - apart[1][None]).abs()
            allowed = gaps >= torch.minimum(torch.tensor(apart[2]), gaps.amax(1, keepdim=True))
            distances = torch.where(allowed, distances, torch.inf)
        nearest = distances.topk(min(neighbours, len(bank)), largest=False)
        # Those of cdist are rounded: they come from inner products, so that equal rows are not 0 apart.
        exact = torch.stack([(part - bank[index]).norm(dim=1) for index in nearest.indices.T], dim=1)
        counted = nearest.values.isfinite()
        found.append(torch.where(counted, exact, 0.0).sum(1) / counted.sum(1))
    return torch.cat(found)
