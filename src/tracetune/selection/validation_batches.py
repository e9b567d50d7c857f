"""Validation batches that selection reads in every round: the first ones, or fewer from all over them."""

from collections.abc import Callable, Iterable, Iterator
from itertools import islice
from typing import Any

import numpy as np
from torch.utils.data import DataLoader, IterableDataset, SequentialSampler, Subset

from tracetune.base.errors import InputError


class FirstBatches:
    """The first ``count`` batches, as often as one likes; all of them for None."""

    def __init__(self, batches: Iterable[Any], count: int | None) -> None:
        self.batches = batches
        self.count = count

    def __iter__(self) -> Iterator[Any]:
        return islice(iter(self.batches), self.count)

    def spread(self, count: int, wanted: int, seed: int = 0) -> Iterable[Any]:
        """Fewer batches from all over these.

        Samples are drawn anew, one from each of equal parts, where a DataLoader reads a data set in its order;
        otherwise some of the batches are left out.

        Args:
            count: how many batches these are.
            wanted: how many batches to read instead.
            seed: fixes the samples.
        """
        if wanted >= count:
            return self
        loader = self.batches
        if isinstance(loader, DataLoader) and isinstance(loader.sampler, SequentialSampler) and loader.batch_size:
            samples = min(len(loader.sampler), count * loader.batch_size)
            borders = np.linspace(0, samples, min(samples, wanted * loader.batch_size) + 1).astype(int)
            chosen = np.random.default_rng(seed).integers(borders[:-1], borders[1:])
            subset = Subset(loader.dataset, chosen.tolist())
            return DataLoader(subset, batch_size=loader.batch_size, collate_fn=loader.collate_fn)
        return _Places(self, [place * count // wanted for place in range(wanted)])


class _Places:
    """The batches at these places in the order of all."""

    def __init__(self, batches: Iterable[Any], places: list[int]) -> None:
        self.batches = batches
        self.places = places

    def __iter__(self) -> Iterator[Any]:
        places = set(self.places)
        return (batch for place, batch in enumerate(islice(iter(self.batches), max(places) + 1)) if place in places)


def checked_validation(validation: Any) -> Any:
    """Validation data that can be read in every round, and are not empty as far as one can see.

    Raises:
        InputError: none given, or of length 0.
    """
    if validation is None:
        raise InputError("TraceCallback scores modules on validation data: pass batches, a DataLoader or a data set.")
    if isinstance(validation, Iterator):
        validation = list(validation)
    if hasattr(validation, "__len__") and len(validation) == 0:
        raise InputError(
            "Expected at least one validation batch, found none. Give more validation data, or a loader without "
            "drop_last (fewer samples than one batch are dropped by it)."
        )
    return validation


def as_batches(validation: Any, batch_size: int, collate: Callable[[list[Any]], Any]) -> Any:
    """Batches (a list, DataLoader or iterable data set) as they are; a data set of single samples in batches."""
    return DataLoader(validation, batch_size, collate_fn=collate) if _holds_samples(validation) else validation


def _holds_samples(validation: Any) -> bool:
    """Whether these are single samples to be batched: a data set with an index. Everything else yields batches."""
    batches = isinstance(validation, (list, tuple, DataLoader, IterableDataset))
    return not batches and hasattr(validation, "__getitem__")
