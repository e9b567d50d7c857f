"""Room within a limit: memory first, then files that leave nothing behind."""

from pathlib import Path

import torch

from tracetune.training.storage import Storage


def test_room_is_given_within_the_limit() -> None:
    storage = Storage(limit=100)
    assert storage.empty(20, dtype=torch.float32) is not None
    assert storage.empty(6, dtype=torch.float32) is None
    assert storage.empty(5, dtype=torch.float32) is not None
    assert storage.empty(1, dtype=torch.int8) is None


def test_what_memory_may_not_hold_goes_to_a_file_that_leaves_nothing_behind(tmp_path: Path) -> None:
    storage = Storage(limit=1000, memory=100, folder=tmp_path)
    tensor = storage.empty(10, 20, dtype=torch.float32)
    assert tensor is not None and tensor.shape == (10, 20)
    values = torch.arange(200.0).view(10, 20)
    tensor.copy_(values)
    assert torch.equal(tensor[[3, 9]], values[[3, 9]])
    assert list(tmp_path.iterdir()) == []


def test_rows_are_shared_out_between_memory_and_file(tmp_path: Path) -> None:
    storage = Storage(limit=8 * 12, memory=8 * 5, folder=tmp_path)
    assert [len(part) for part in storage.rows(20, 2, dtype=torch.float32)] == [5, 7]
    assert storage.rows(1, 2, dtype=torch.float32) == []
    assert [len(part) for part in Storage(limit=8 * 12).rows(3, 2, dtype=torch.float32)] == [3]


def test_the_default_leaves_memory_for_others() -> None:
    import psutil

    assert 0 < Storage().limit < psutil.virtual_memory().total / 2


def test_a_folder_that_is_not_there_yet_is_made_for_files(tmp_path: Path) -> None:
    folder = tmp_path / "run" / "head"
    found = Storage(limit=1000, memory=0, folder=folder).empty(2, 5, dtype=torch.float32)
    assert found is not None and list(folder.iterdir()) == []
    found.copy_(torch.arange(10.0).view(2, 5))
    assert found.flatten().tolist() == list(range(10))
