"""Optimizer steps in micro-batches: a step of any size within a memory target, with the gradient of the whole batch."""

import math
from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor, nn
from torch.utils.data import Dataset
from torch.utils.hooks import RemovableHandle
from transformers import TrainerCallback

from tracetune.data.windows import BatchSource

COUNTED = "labels"  # the entry that the Trainer counts over the micro-batches of a step, and keeps from the model
_TASK_LABELS = "task_labels"  # where a task's own entry of that name waits


class MicroBatches(Dataset):
    """The batches of every epoch, each cut into micro-batches; item i is the i-th micro-batch.

    Batches have ``batch_size`` rows, fewer at the end of an epoch, as a DataLoader would make them; a micro-batch
    never reaches into the next batch. So with one item per DataLoader batch, and :attr:`parts_per_batch` of them per
    optimizer step, each step sees exactly its batch, whatever the divisors of ``batch_size``.

    Args:
        dataset: its ``__getitems__`` returns whole batches.
        batch_size: rows of an optimizer step.
        most_rows: most rows of a micro-batch.
        seed: fixes the random order, which is that of Accelerate's sampler with this seed; None keeps the data set's.

    Attributes:
        parts_per_batch: micro-batches of a whole batch, as few as ``most_rows`` allows.
        rows: rows of a micro-batch; the last one of a batch may have fewer.
    """

    def __init__(self, dataset: BatchSource, batch_size: int, most_rows: int, seed: int | None) -> None:
        self.dataset = dataset
        self.batch_size = batch_size
        self.parts_per_batch = math.ceil(batch_size / most_rows)
        self.rows = math.ceil(batch_size / self.parts_per_batch)
        self.seed = seed
        self._size = len(dataset)
        self._epoch = 0
        self._order: Tensor | None = None

    def __len__(self) -> int:
        whole, rest = divmod(self._size, self.batch_size)
        return whole * self.parts_per_batch + math.ceil(rest / self.rows)

    def set_epoch(self, epoch: int) -> None:
        """Take up the order of an epoch; Accelerate's DataLoader calls it before each."""
        if epoch != self._epoch:
            self._epoch, self._order = epoch, None

    def __getitems__(self, items: list[int]) -> Any:
        """The micro-batches ``items`` as one batch, as the data set makes it."""
        return self.dataset.__getitems__([row for item in items for row in self._rows_of(item)])

    def _rows_of(self, item: int) -> list[int]:
        batch, part = divmod(item, self.parts_per_batch)
        start = batch * self.batch_size + part * self.rows
        stop = min(start + self.rows, (batch + 1) * self.batch_size, self._size)
        if self.seed is None:
            return list(range(start, stop))
        if self._order is None:
            generator = torch.Generator().manual_seed(self.seed + self._epoch)
            self._order = torch.randperm(self._size, generator=generator)
        return self._order[start:stop].tolist()


def counted(batch: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Collate function: the batch, and an entry [B] by which the Trainer counts its rows.

    The Trainer takes it out again before the model sees the batch, since it has a loss function. An entry of the same
    name that the batch has already waits under another one until :class:`TaskLabels` gives it back.
    """
    rows = len(next(iter(batch.values())))
    renamed = {_TASK_LABELS if name == COUNTED else name: entry for name, entry in batch.items()}
    return {**renamed, COUNTED: torch.zeros(rows, dtype=torch.int64)}


class TaskLabels(TrainerCallback):
    """Gives the model the ``labels`` of a batch that went through :func:`counted`."""

    def __init__(self) -> None:
        self._hook: RemovableHandle | None = None

    def on_train_begin(self, args: Any, state: Any, control: Any, **kwargs: Any) -> None:
        """Begin."""
        self._hook = kwargs["model"].register_forward_pre_hook(_give_labels, with_kwargs=True)

    def on_train_end(self, args: Any, state: Any, control: Any, **kwargs: Any) -> None:
        """End."""
        if self._hook is not None:
            self._hook.remove()
            self._hook = None


def _give_labels(model: nn.Module, args: Any, kwargs: dict[str, Any]) -> tuple[Any, dict[str, Any]]:
    return args, {COUNTED if name == _TASK_LABELS else name: entry for name, entry in kwargs.items()}


def share_of_step(outputs: Any, labels: Tensor, num_items_in_batch: Tensor, devices: int = 1) -> Tensor:
    """What a micro-batch adds to the mean loss over all rows of an optimizer step: the Trainer's ``compute_loss_func``.

    Args:
        outputs: of the model; ``loss`` is a mean over the rows, with whatever a callback added to it.
        labels: one entry a row of the micro-batch.
        num_items_in_batch: rows of the whole step, over all micro-batches and processes.
        devices: GPUs that one process shares a batch among; the Trainer multiplies by their number afterwards.
    """
    return outputs["loss"].mean() * (len(labels) / (num_items_in_batch.float().mean() * devices))
