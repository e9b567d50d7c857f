"""Labelled series as training data: batches, and which samples train and which are held out.

Shapes: S samples, B batch, C channels, R steps.
"""

from collections.abc import Iterator

import numpy as np
import torch
from sklearn.model_selection import StratifiedKFold
from torch import Tensor

from tracetune.base.errors import InputError, argument

FEW_SAMPLES = 200  # below which one part held out says too little, and several are affordable
FEW_SAMPLES_FOLDS = 4


class LabelledSeries:
    """Series with their classes, as a data set that hands out whole batches.

    Args:
        values: [S, C, R] float32.
        labels: [S] numbers of classes, from 0.
    """

    def __init__(self, values: np.ndarray, labels: np.ndarray) -> None:
        self.values = torch.from_numpy(np.ascontiguousarray(values, dtype=np.float32))
        self.labels = torch.from_numpy(np.ascontiguousarray(labels, dtype=np.int64))

    def __len__(self) -> int:
        return len(self.labels)

    def __getitems__(self, indices: list[int]) -> dict[str, Tensor]:
        """Return ``values`` [B, C, R] and ``labels`` [B] of the rows ``indices``."""
        return {"values": self.values[indices], "labels": self.labels[indices]}

    def rows(self, indices: np.ndarray) -> "LabelledSeries":
        """Return the samples ``indices``."""
        return LabelledSeries(self.values[indices].numpy(), self.labels[indices].numpy())


def hold_out(
    samples: LabelledSeries, folds: int | None, validation_share: float, seed: int
) -> Iterator[tuple[np.ndarray, np.ndarray]]:
    """Yield the rows that train and the rows that are held out, fold by fold; classes in equal shares.

    Args:
        samples: all that there are.
        folds: parts of which each is held out once; 1 holds out ``validation_share`` once; None takes
            ``FEW_SAMPLES_FOLDS`` where there are fewer than ``FEW_SAMPLES``, else 1.
        validation_share: of each class, where one part is held out.
        seed: fixes the parts.

    Raises:
        InputError: no class has two samples, or fewer of the smallest class than folds that were asked for.
    """
    labels = samples.labels.numpy()
    smallest = int(np.unique(labels, return_counts=True)[1].min())
    if folds is None:
        folds = min(FEW_SAMPLES_FOLDS, smallest) if len(labels) < FEW_SAMPLES else 1
    elif folds > 1 and folds > smallest:
        raise InputError(
            f"Expected {argument('folds')} of at most {smallest}, the samples of the smallest class, found {folds}. "
            "Lower it, or leave out classes with so few samples."
        )
    if folds == 1:
        yield split_samples(labels, validation_share, seed)
    else:
        yield from StratifiedKFold(folds, shuffle=True, random_state=seed).split(labels, labels)


def split_samples(labels: np.ndarray, validation_share: float, seed: int) -> tuple[np.ndarray, np.ndarray]:
    """Return rows that train and rows that validate: of each class about that share, but never its only sample.

    Raises:
        InputError: no class has two samples.
    """
    generator = np.random.default_rng(seed)
    held_out = []
    for label in np.unique(labels):
        rows = generator.permutation(np.flatnonzero(labels == label))
        held_out.append(rows[: min(max(1, round(validation_share * len(rows))), len(rows) - 1)])
    validation = np.sort(np.concatenate(held_out))
    if not len(validation):
        raise InputError("Expected at least two samples of some class, found one of each: none is left to validate on.")
    return np.setdiff1d(np.arange(len(labels)), validation), validation
