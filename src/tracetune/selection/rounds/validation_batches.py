"""The validation batches of a selection, of which each round reads some others."""

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from itertools import islice
from typing import Any

import numpy as np
from torch.utils.data import DataLoader, IterableDataset, RandomSampler, SequentialSampler, Subset

from tracetune.base.errors import InputError
from tracetune.selection.validation import AnyBatch, no_batch


class ScoringBatches:
    """Validation batches, of which every round reads as many, drawn from all over them.

    Iterating gives the first ``count``, which show what batches are like.

    Args:
        batches: list, DataLoader, or anything that yields batches each time it is iterated.
        count: how many a round reads at most; None reads all.
    """

    def __init__(self, batches: Iterable[AnyBatch], count: int | None) -> None:
        self.batches: Any = batches
        self.count = count

    def __iter__(self) -> Iterator[AnyBatch]:
        return islice(iter(self.batches), self.count)

    def draw(self, wanted: int, seed: Sequence[int] | int) -> Iterable[AnyBatch]:
        """Return as many batches as ``wanted``, others for every seed; all of them where there are no more.

        Of a list some batches; of a data set under a DataLoader, shuffled or not, samples, one from each of equal
        parts. What can only be read from the beginning is.
        """
        loader, source = self.batches, np.random.default_rng(seed)
        if isinstance(loader, (list, tuple)):
            return [loader[place] for place in _one_of_each(len(loader), wanted, source)]
        if not _draws_samples(loader):
            return ScoringBatches(loader, wanted)
        chosen = _one_of_each(len(loader.dataset), wanted * loader.batch_size, source)
        return DataLoader(Subset(loader.dataset, chosen), loader.batch_size, collate_fn=loader.collate_fn)

    def overlap(self, wanted: int) -> float:
        """Return the mean share that two draws of ``wanted`` batches have in common; 1 where they are not drawn."""
        loader = self.batches
        if isinstance(loader, (list, tuple)):
            return min(1.0, wanted / len(loader))
        return min(1.0, wanted * loader.batch_size / len(loader.dataset)) if _draws_samples(loader) else 1.0


def _draws_samples(loader: Any) -> bool:
    """Return whether a DataLoader reads all samples of a data set, in order or shuffled, and makes the batches."""
    known = isinstance(loader, DataLoader) and isinstance(loader.sampler, (SequentialSampler, RandomSampler))
    return known and loader.batch_size is not None


def _one_of_each(size: int, parts: int, source: np.random.Generator) -> list[int]:
    """Return one place in each of equal parts of ``range(size)``; all places where there are no more than parts."""
    borders = np.linspace(0, size, min(size, parts) + 1).astype(int)
    chosen: list[int] = source.integers(borders[:-1], borders[1:]).tolist()
    return chosen


def checked_validation(validation: object) -> Any:
    """Return validation data that can be read in every round, and are not empty as far as one can see.

    Raises:
        InputError: none given, or of length 0.
    """
    if validation is None:
        raise InputError("TraceCallback scores modules on validation data: pass batches, a DataLoader or a data set.")
    if isinstance(validation, Iterator):
        validation = list(validation)
    if hasattr(validation, "__len__") and len(validation) == 0:
        raise no_batch()
    return validation


def refuse_rows(validation: object, training: object) -> None:
    """Refuse a list of single samples, as a training data set holds them: elements of a list are batches.

    Args:
        validation: as given.
        training: the training data set, None where there is none.

    Raises:
        InputError: the first element has the keys and shapes of the first training sample.
    """
    if not isinstance(validation, (list, tuple)) or not hasattr(training, "__getitem__"):
        return
    if (row := _shapes(training[0])) and row == _shapes(validation[0]):
        name, shape = next(iter(row.items()))
        raise InputError(
            f"Expected a list of validation batches, found single samples: {name!r} has the shape {list(shape)} of the "
            "training data. Give them as a data set, which is batched like those, or in a DataLoader."
        )


def _shapes(sample: object) -> dict[str, tuple[int, ...]]:
    """Return the shapes of a mapping's values, numbers and lists of numbers too; none of anything else."""
    if not isinstance(sample, Mapping):
        return {}
    return {str(name): tuple(np.shape(value)) for name, value in sample.items()}


def as_batches(validation: Any, batch_size: int, collate: Callable[[list[Any]], Any]) -> Any:
    """Return batches (a list, DataLoader or iterable data set) as they are; a data set of single samples in batches."""
    return DataLoader(validation, batch_size, collate_fn=collate) if _holds_samples(validation) else validation


def _holds_samples(validation: object) -> bool:
    """Return whether these are single samples to be batched: a data set with an index. Others yield batches."""
    batches = isinstance(validation, (list, tuple, DataLoader, IterableDataset))
    return not batches and hasattr(validation, "__getitem__")
