"""Data sets that hand out whole batches, and parts of them by the numbers of their rows."""

from collections.abc import Callable, Sequence
from typing import Protocol, cast, runtime_checkable

import numpy as np
from torch import Tensor
from torch.utils.data import DataLoader, Dataset, Subset

Batch = dict[str, Tensor]


class BatchSource(Protocol):
    """A data set that hands out whole batches, as PyTorch's DataLoader asks for them where it can."""

    def __len__(self) -> int:
        """Return the number of rows."""
        ...

    def __getitems__(self, indices: list[int]) -> Batch:
        """Return rows ``indices`` as one batch."""
        ...


@runtime_checkable
class HasLengths(Protocol):
    """A data set of rows of different lengths, of which those of about the same length make cheap batches."""

    @property
    def lengths(self) -> Sequence[int] | None:
        """Return the length of each row; None where they are not known."""
        ...


def lengths_of(source: BatchSource) -> Sequence[int] | None:
    """Return the length of each row of a data set; None where they are all the same, or not known."""
    return source.lengths if isinstance(source, HasLengths) else None


def spread_rows(size: int, count: int, seed: int) -> np.ndarray:
    """Return ``count`` of ``size`` rows in ascending order, one drawn from each of as many equal parts; all if fewer.

    Drawn, because a fixed step could meet the same channel or hour of the day each time.
    """
    if count >= size:
        return np.arange(size)
    borders = np.arange(count + 1) * size // count
    return np.random.default_rng(seed).integers(borders[:-1], borders[1:])


def identity_collate(batch: Batch) -> Batch:
    """Return the batch as it is: `Windows` hands out whole batches."""
    return batch


def chosen_rows(source: BatchSource, indices: Sequence[int]) -> BatchSource:
    """Return rows ``indices`` of a data set, in this order: torch's Subset, whose types know single rows only."""
    return cast(BatchSource, Subset(_as_dataset(source), indices))


@runtime_checkable
class MakesBatches(Protocol):
    """A data set that makes the batches of a loader itself, because rows alone do not say all about them."""

    def loader(self, batch_size: int) -> DataLoader[Batch]:
        """Return a loader whose items are whole batches of at most so many rows."""
        ...


def batch_loader(source: BatchSource, batch_size: int) -> DataLoader[Batch]:
    """Return a loader that reads a data set in order, in whole batches."""
    if isinstance(source, MakesBatches):
        return source.loader(batch_size)
    collate: Callable[[list[Batch]], Batch] = identity_collate  # type: ignore[assignment]  # of batches, not of rows
    return DataLoader(_as_dataset(source), batch_size, collate_fn=collate)


def _as_dataset(source: BatchSource) -> Dataset[Batch]:
    """Return a data set as torch's class, which its loaders and subsets ask for by name only."""
    return cast(Dataset[Batch], source)


class OtherRows(Dataset[Batch]):
    """A data set without a few of its rows, in its order; only the indices of those few are kept.

    Args:
        source: the data set.
        left_out: indices of the few, ascending.
    """

    def __init__(self, source: BatchSource, left_out: np.ndarray) -> None:
        self.source = source
        self._kept_before = left_out - np.arange(len(left_out))  # how many rows stay before each that is left out
        self._size = len(source) - len(left_out)

    def __len__(self) -> int:
        return self._size

    def __getitems__(self, indices: list[int]) -> Batch:
        """Return rows ``indices`` of those that are left, as one batch."""
        return self.source.__getitems__(self.rows_of(np.asarray(indices, dtype=np.int64)).tolist())

    def rows_of(self, indices: np.ndarray) -> np.ndarray:
        """Return where the rows ``indices`` of those that are left are in the source."""
        return indices + np.searchsorted(self._kept_before, indices, side="right")


def spread_sample(source: BatchSource, count: int, seed: int = 0) -> BatchSource:
    """Return about evenly spread rows of a data set, see `spread_rows`, in random order; all if there are fewer.

    The order is random, so that the first of them already come from all of the time.
    """
    if count >= len(source):
        return source
    rows = spread_rows(len(source), count, seed)
    return chosen_rows(source, np.random.default_rng(seed).permutation(rows).tolist())
