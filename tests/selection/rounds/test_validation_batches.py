"""Which validation batches a round reads: others each time, from all over."""

from collections.abc import Iterator

import pytest
import torch
from torch.utils.data import BatchSampler, DataLoader, RandomSampler, TensorDataset

from tracetune.selection.rounds.validation_batches import ScoringBatches

DATA = TensorDataset(torch.arange(80))


def read(batches: ScoringBatches, wanted: int, seed: int) -> list[int]:
    return [int(row) for (batch,) in batches.draw(wanted, (0, seed)) for row in batch]


@pytest.mark.parametrize("shuffle", [False, True])
def test_samples_of_a_data_set_are_drawn_one_from_each_part(shuffle: bool) -> None:
    """By the seed alone: a loader that shuffles draws its order where scoring has put the generators back."""
    batches = ScoringBatches(DataLoader(DATA, batch_size=4, shuffle=shuffle), 3)
    one, other = read(batches, 2, seed=1), read(batches, 2, seed=2)
    assert [row // 10 for row in one] == [row // 10 for row in other] == list(range(8))
    assert one != other
    assert read(batches, 2, seed=1) == one
    assert batches.overlap(2) == 0.1
    assert read(batches, 99, seed=1) == list(range(80))
    assert batches.overlap(99) == 1
    assert [len(batch) for (batch,) in batches] == [4, 4, 4], "what batches look like"


def test_batches_of_a_list_are_drawn_one_from_each_part() -> None:
    batches = ScoringBatches([(torch.tensor([place]),) for place in range(12)], None)
    drawn = {tuple(read(batches, 3, seed)) for seed in range(20)}
    assert len(drawn) > 10
    assert all([row // 4 for row in rows] == [0, 1, 2] for rows in drawn)
    assert batches.overlap(3) == 0.25


def test_what_has_no_length_or_batches_of_its_own_is_read_from_its_beginning() -> None:
    class Stream(torch.utils.data.IterableDataset):
        def __iter__(self) -> Iterator[tuple[torch.Tensor]]:
            return iter([(torch.tensor([place]),) for place in range(5)])

    assert read(ScoringBatches(Stream(), 4), 2, seed=1) == [0, 1]
    assert ScoringBatches(Stream(), 4).overlap(2) == 1
    for batches in ([[3, 1], [4, 7], [5, 9]], BatchSampler(RandomSampler(DATA), 2, drop_last=True)):
        given = ScoringBatches(DataLoader(DATA, batch_sampler=batches), None)
        assert len(read(given, 2, seed=1)) == 4
        assert given.overlap(2) == 1
    assert read(ScoringBatches(DataLoader(DATA, batch_sampler=[[3, 1], [4, 7]]), None), 1, seed=1) == [3, 1]
