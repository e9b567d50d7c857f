"""What is held out of labelled series: classes in equal shares, every sample once where there are few."""

import numpy as np
import pytest

from tracetune.base.errors import InputError
from tracetune.tasks.labelled_series import LabelledSeries, hold_out, split_samples


def samples(labels: np.ndarray) -> LabelledSeries:
    return LabelledSeries(np.arange(len(labels), dtype=float)[:, None, None], labels)


def test_few_samples_are_held_out_in_turn() -> None:
    labels = np.arange(30) % 3
    folds = list(hold_out(samples(labels), None, 0.25, seed=0))
    assert len(folds) == 4
    assert sorted(np.concatenate([rows for _, rows in folds])) == list(range(30))
    for train, rows in folds:
        assert sorted(np.concatenate([train, rows])) == list(range(30))
        assert np.bincount(labels[rows]).min() >= 2


def test_of_many_samples_one_share_is_held_out() -> None:
    ((train, rows),) = hold_out(samples(np.arange(400) % 2), None, 0.25, seed=0)
    assert (len(train), len(rows)) == (300, 100)
    with pytest.raises(InputError, match="folds of at most 2"):
        next(hold_out(samples(np.array([0, 0, 0, 1, 1])), 3, 0.25, seed=0))
    assert len(list(hold_out(samples(np.array([0] * 9 + [1])), None, 0.25, seed=0))) == 1  # a class of one sample


def test_every_class_trains_and_all_but_single_samples_validate() -> None:
    labels = np.array([0] * 10 + [1] * 2 + [2])
    train, validation = split_samples(labels, 0.2, seed=0)
    assert np.bincount(labels[train]).tolist() == [8, 1, 1]
    assert np.bincount(labels[validation], minlength=3).tolist() == [2, 1, 0]
    assert sorted([*train, *validation]) == list(range(13))
    with pytest.raises(InputError, match="one of each"):
        split_samples(np.arange(3), 0.2, seed=0)
