"""Places that cannot be written are refused before the work."""

import os
from pathlib import Path

import pytest

from tracetune.base.errors import InputError
from tracetune.base.files import staged_file, staged_folder
from tracetune.base.leftovers import temporary_name
from tracetune.base.places import is_renamed_onto, require_apart, require_distinct, require_empty, require_place


def test_a_used_folder_is_refused(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(InputError, match="is not empty"):
        require_empty(tmp_path)
    with pytest.raises(InputError, match="found the file"):
        require_empty(tmp_path / "file")


def test_what_a_killed_run_left_does_not_count(tmp_path: Path) -> None:
    (tmp_path / temporary_name().replace(f"-{os.getpid()}-", f"-{2**22 + 1}-")).mkdir()  # above the largest process id
    require_empty(tmp_path)
    (tmp_path / temporary_name()).mkdir()
    with pytest.raises(InputError, match="is not empty"):
        require_empty(tmp_path)


def test_a_place_below_a_file_is_refused(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(InputError, match="file is a file, expected a folder"):
        require_empty(tmp_path / "file" / "deep" / "run")
    for staged in (staged_file, staged_folder):
        with pytest.raises(InputError, match="cannot be written"), staged(tmp_path / "file" / "run"):
            raise AssertionError("the block must not run")
    assert list(tmp_path.iterdir()) == [tmp_path / "file"]


def test_a_folder_without_write_access_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "access", lambda path, mode: Path(path) != tmp_path)
    with pytest.raises(InputError, match=f"no write access to {tmp_path}"):
        require_place(tmp_path / "new" / "run")


@pytest.mark.skipif(not Path("/proc/self").is_dir(), reason="needs a file system that takes no folders")
def test_a_file_system_that_takes_no_folders_is_refused() -> None:
    with pytest.raises(InputError, match="/proc/run cannot be written"):
        require_place("/proc/run")


@pytest.mark.parametrize("path", ["a" * 250, "b/" + "é" * 130, "a/" * 3000, "", "a\0b"])
def test_a_path_that_no_file_system_takes_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, path: str
) -> None:
    monkeypatch.chdir(tmp_path)
    with pytest.raises(InputError, match=r"cannot be written|Expected a path") as refusal:
        require_place(path)
    assert len(str(refusal.value)) < 600
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("output", "state"), [("out", "out"), ("out", "out/ck"), ("ck/out", "ck"), ("./out", "ck/../out/x/y")]
)
def test_an_output_and_the_state_of_a_run_lie_apart(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, output: str, state: str
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "ck").mkdir()
    with pytest.raises(InputError, match="apart from the folder for checkpoints"):
        require_apart(output, state)
    require_apart("out", "outer")


def test_the_working_directory_and_mount_points_stay_where_they_are(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert is_renamed_onto(tmp_path)
    assert is_renamed_onto(tmp_path / "new")
    with monkeypatch.context() as patch:
        patch.setattr(os.path, "ismount", lambda path: Path(path) == tmp_path)
        assert not is_renamed_onto(tmp_path)
    monkeypatch.chdir(tmp_path)
    assert not is_renamed_onto(tmp_path)


def test_an_output_that_replaces_another_or_what_is_read_is_refused(tmp_path: Path) -> None:
    table, model = tmp_path / "table.csv", tmp_path / "model"
    table.touch()
    model.mkdir()
    require_distinct((tmp_path / "a.csv", None, tmp_path / "b.csv"), (table, model, "tracetune/tiny", "x" * 5000, None))
    with pytest.raises(InputError, match="for two of them"):
        require_distinct((tmp_path / "a.csv", tmp_path / "model" / ".." / "a.csv"))
    (tmp_path / "link.csv").symlink_to(table)
    for output in (table, tmp_path / "link.csv", model / "trace.json"):
        with pytest.raises(InputError, match="would replace what is read"):
            require_distinct([output], (table, model))
