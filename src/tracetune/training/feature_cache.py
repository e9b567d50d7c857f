"""Outputs of a frozen model, computed once and reused in every epoch."""

import logging
from collections.abc import Callable, Sequence

import torch
from torch import Tensor
from torch.utils.data import Dataset

from tracetune.data.batch_source import Batch, BatchSource, lengths_of
from tracetune.training.storage import Storage

logger = logging.getLogger(__name__)


class CachedBatches(Dataset):
    """A data set held as tensors in memory; rows come out by index, whole batches at once.

    Args:
        tensors: with a first dimension of rows.
        lengths: of the rows that they were computed from, so that batches are drawn as from those.
    """

    def __init__(self, tensors: dict[str, Tensor], lengths: Sequence[int] | None = None) -> None:
        self.tensors = tensors
        self.lengths = lengths

    def __len__(self) -> int:
        return len(next(iter(self.tensors.values())))

    def __getitems__(self, indices: list[int]) -> Batch:
        """Return rows ``indices`` of every tensor, stacked."""
        rows = torch.as_tensor(indices)
        return {name: tensor[rows] for name, tensor in self.tensors.items()}

    def __getitem__(self, index: int) -> Batch:
        """Return row ``index`` of every tensor."""
        return {name: tensor[index] for name, tensor in self.tensors.items()}


def cache_batches(
    compute: Callable[[Batch], Batch],
    dataset: BatchSource,
    *,
    batch_size: int = 256,
    device: torch.device | str = "cpu",
    storage: Storage | None = None,
) -> CachedBatches | None:
    """Run ``compute`` over every batch of ``dataset`` and keep what it returns, in the data set's order.

    Args:
        compute: maps a batch of inputs to a mapping of tensors with the same first dimension; must be
            deterministic (frozen layers in evaluation mode).
        dataset: its ``__getitems__`` returns whole batches.
        batch_size: rows per call of ``compute``.
        device: where ``compute`` wants its inputs.
        storage: where the cache goes; None for a third of the free memory.

    Returns:
        The cache, or None where it would not fit; a log line says so.
    """
    storage = Storage() if storage is None else storage
    size = len(dataset)
    tensors: dict[str, Tensor] = {}
    for start in range(0, size, batch_size):
        rows = list(range(start, min(start + batch_size, size)))
        inputs = dataset.__getitems__(rows)
        with torch.inference_mode():
            outputs = compute({name: tensor.to(device) for name, tensor in inputs.items()})
        tensors = tensors or _room(outputs, size, storage)
        if not tensors:
            return None
        for name, tensor in outputs.items():
            tensors[name][start : start + len(rows)] = tensor.cpu()
    return CachedBatches(tensors, lengths_of(dataset))


def _room(outputs: Batch, size: int, storage: Storage) -> dict[str, Tensor]:
    """Return tensors for ``size`` rows such as those of ``outputs``; none, with a log line, where one does not fit."""
    rooms = {}
    for name, tensor in outputs.items():
        room = storage.empty(size, *tensor.shape[1:], dtype=tensor.dtype)
        if room is None:
            logger.warning(
                "Features of %d windows are not cached: %.2f GB are allowed. Every epoch computes them again.",
                size,
                storage.limit / 1e9,
            )
            return {}
        rooms[name] = room
    return rooms
