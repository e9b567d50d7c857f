"""A full disk is recognised in the errors of every library that writes."""

import resource
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
import torch
from safetensors.torch import save_file

from tracetune.base.disk import is_disk_full


@pytest.fixture
def small_files() -> Iterator[None]:
    """A limit on the size of files stands in for a full disk."""
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (100_000, before[1]))
    yield
    resource.setrlimit(resource.RLIMIT_FSIZE, before)


@pytest.mark.parametrize(
    "write",
    [
        lambda path: save_file({"a": torch.zeros(90_000)}, path),
        lambda path: torch.save({"a": torch.zeros(90_000)}, path),
        lambda path: path.write_text("a" * 400_000),
    ],
    ids=["safetensors", "torch", "text"],
)
def test_no_room_for_a_file(tmp_path: Path, small_files: None, write: Callable[[Path], object]) -> None:
    with pytest.raises(Exception) as full:
        write(tmp_path / "file")
    assert is_disk_full(full.value)


def test_other_errors_are_none() -> None:
    for error in (None, OSError(13, "Permission denied"), RuntimeError("mat1 and mat2 shapes"), ValueError("")):
        assert not is_disk_full(error)
    wrapped = RuntimeError("cannot save")
    wrapped.__cause__ = OSError(28, "No space left on device")
    assert is_disk_full(wrapped)
