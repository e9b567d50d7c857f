"""Optimizer steps in micro-batches: in turn, within a memory target, or by several processes; the same gradient."""

import math
from collections.abc import Callable, Sequence

import torch
from torch import Tensor, nn
from torch.utils.data import Dataset
from torch.utils.hooks import RemovableHandle
from transformers import TrainerCallback, TrainerControl, TrainerState, TrainingArguments
from transformers.trainer_pt_utils import get_length_grouped_indices
from transformers.utils import ModelOutput

from tracetune.data.batch_source import Batch, BatchSource

COUNTED = "labels"  # the entry that the Trainer counts over the micro-batches of a step, and keeps from the model
_TASK_LABELS = "task_labels"  # name of a task's "labels" entry meanwhile
_NOT_COUNTED = -100  # the Trainer's mark in it
_EMPTY = "micro_batch_is_empty"


Order = Callable[[int], Tensor]
"""From the number of an epoch to its order of the rows [S]."""


class MicroBatches(Dataset):
    """The batches of every epoch, each cut into micro-batches; item i is the i-th micro-batch.

    Batches have ``batch_size`` rows, fewer at the end of an epoch, as a DataLoader would make them; a micro-batch
    never reaches into the next batch. So with one item per DataLoader batch, and `parts_per_batch` of them per
    optimizer step, each step sees exactly its batch, whatever the divisors of ``batch_size``.

    Of P processes each reads every P-th item. Then all batches are cut into equally many parts of about the same size;
    a part without rows, at the end of an epoch, holds a row that does not count.

    Args:
        dataset: its ``__getitems__`` returns whole batches.
        batch_size: rows of an optimizer step.
        most_rows: most rows of a micro-batch.
        order: of the rows in an epoch, by its number; see `random_order` and `length_grouped_order`.
        processes: that share the parts of each batch.

    Attributes:
        parts_per_batch: micro-batches of a whole batch, as few as ``most_rows`` allows, as many for each process.
        rows: rows of a micro-batch; the last one of a batch may have fewer.
    """

    def __init__(self, dataset: BatchSource, batch_size: int, most_rows: int, order: Order, processes: int = 1) -> None:
        self.dataset = dataset
        self.batch_size = batch_size
        self.parts_per_batch = math.ceil(math.ceil(batch_size / most_rows) / processes) * processes
        self.processes = processes
        self.rows = math.ceil(batch_size / self.parts_per_batch)
        self._order_of = order
        self._size = len(dataset)
        self._epoch = 0
        self._order: Tensor | None = None

    def __len__(self) -> int:
        if self.processes > 1:
            return math.ceil(self._size / self.batch_size) * self.parts_per_batch
        whole, rest = divmod(self._size, self.batch_size)
        return whole * self.parts_per_batch + math.ceil(rest / self.rows)

    def set_epoch(self, epoch: int) -> None:
        """Take up the order of an epoch; Accelerate's DataLoader calls it before each."""
        if epoch != self._epoch:
            self._epoch, self._order = epoch, None

    def __getitems__(self, items: list[int]) -> Batch:
        """Return the micro-batches ``items`` as one batch, as the data set makes it."""
        rows = [row for item in items for row in self._rows_of(item)]
        if rows:
            return self.dataset.__getitems__(rows)
        return {**self.dataset.__getitems__([0]), _EMPTY: torch.tensor(True)}

    def _rows_of(self, item: int) -> list[int]:
        batch, part = divmod(item, self.parts_per_batch)
        first = batch * self.batch_size
        size = min(self.batch_size, self._size - first)
        if self.processes > 1:
            start, stop = first + size * part // self.parts_per_batch, first + size * (part + 1) // self.parts_per_batch
        else:
            start, stop = first + part * self.rows, first + min((part + 1) * self.rows, size)
        if self._order is None:
            self._order = self._order_of(self._epoch)
        return self._order[start:stop].tolist()


def kept_order(rows: int) -> Order:
    """Return the order of the data set itself, in every epoch."""
    return lambda epoch: torch.arange(rows)


def random_order(rows: int, seed: int) -> Order:
    """Return random orders, those of Accelerate's sampler with this seed."""
    return lambda epoch: torch.randperm(rows, generator=torch.Generator().manual_seed(seed + epoch))


def length_grouped_order(lengths: Sequence[int], batch_size: int, seed: int) -> Order:
    """Return random orders in which the rows of a batch are about equally long; see transformers' group_by_length.

    The batches of an epoch come in random order, but for the last one, which may be smaller.
    """

    def order(epoch: int) -> Tensor:
        generator = torch.Generator().manual_seed(seed + epoch)
        rows = torch.tensor(get_length_grouped_indices(lengths, batch_size, generator=generator))
        whole = len(rows) // batch_size * batch_size
        batches = rows[:whole].view(-1, batch_size)
        return torch.cat([batches[torch.randperm(len(batches), generator=generator)].flatten(), rows[whole:]])

    return order


def counted(batch: Batch) -> Batch:
    """Collate function: the batch, and an entry [B] by which the Trainer counts its rows.

    The Trainer takes it out again before the model sees the batch, since it has a loss function. An entry of the same
    name in the batch is renamed, and restored by `TaskLabels`.
    """
    entries = {_TASK_LABELS if name == COUNTED else name: entry for name, entry in batch.items() if name != _EMPTY}
    rows = len(next(iter(entries.values())))
    value = _NOT_COUNTED if _EMPTY in batch else 0
    return {**entries, COUNTED: torch.full((rows,), value, dtype=torch.int64)}


class TaskLabels(TrainerCallback):
    """Gives the model the ``labels`` of a batch that went through `counted`."""

    def __init__(self) -> None:
        self._hook: RemovableHandle | None = None

    def on_train_begin(
        self,
        args: TrainingArguments,
        state: TrainerState,
        control: TrainerControl,
        *,
        model: nn.Module,
        **kwargs: object,
    ) -> None:
        """Give the model the labels of its batches from now on."""
        self._hook = model.register_forward_pre_hook(_give_labels, with_kwargs=True)

    def on_train_end(
        self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **kwargs: object
    ) -> None:
        """Stop giving the model the labels of its batches."""
        self.close()

    def close(self) -> None:
        """Stop giving the model the labels of its batches."""
        if self._hook is not None:
            self._hook.remove()
            self._hook = None


def _give_labels(model: nn.Module, args: tuple[Tensor, ...], kwargs: Batch) -> tuple[tuple[Tensor, ...], Batch]:
    return args, {COUNTED if name == _TASK_LABELS else name: entry for name, entry in kwargs.items()}


def share_of_step(outputs: ModelOutput, labels: Tensor, num_items_in_batch: Tensor, devices: int = 1) -> Tensor:
    """Return a micro-batch's share of the mean loss of an optimizer step: the Trainer's ``compute_loss_func``.

    Args:
        outputs: of the model; ``loss`` is a mean over the rows, with whatever a callback added to it.
        labels: one entry a row of the micro-batch.
        num_items_in_batch: rows of the whole step, over all micro-batches and processes.
        devices: GPUs that one process shares a batch among; the Trainer multiplies by their number afterwards.
    """
    rows = (labels != _NOT_COUNTED).sum()
    return outputs["loss"].mean() * (rows / (num_items_in_batch.float().mean() * devices))
