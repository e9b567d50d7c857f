"""Files are whole or absent; what cannot be written is refused before the work."""

import errno
import os
from pathlib import Path

import pytest

from tracetune.base.errors import InputError
from tracetune.base.files import (
    is_renamed_onto,
    read_json,
    require_distinct,
    require_place,
    staged_file,
    write_json,
)
from tracetune.base.folders import require_empty, staged_folder


def test_a_failed_write_leaves_the_old_file(tmp_path: Path) -> None:
    target = tmp_path / "table.csv"
    target.write_text("old")
    with pytest.raises(RuntimeError), staged_file(target) as temporary:
        assert temporary.suffix == ".csv"
        temporary.write_text("half")
        raise RuntimeError
    assert target.read_text() == "old"
    assert list(tmp_path.iterdir()) == [target]


def test_a_link_to_a_file_is_written_through_and_no_special_file_replaced(tmp_path: Path) -> None:
    (tmp_path / "link").symlink_to(tmp_path / "file")
    with staged_file(tmp_path / "link") as temporary:
        temporary.write_text("new")
    assert (tmp_path / "link").is_symlink()
    assert (tmp_path / "file").read_text() == "new"
    os.mkfifo(tmp_path / "pipe")
    with pytest.raises(InputError, match="Expected a file"), staged_file(tmp_path / "pipe"):
        raise AssertionError("the block must not run")


def test_a_full_disk_is_no_wrong_path(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(self: Path, **options: object) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    with monkeypatch.context() as patch:
        patch.setattr(Path, "mkdir", full)
        with pytest.raises(OSError, match="No space left"), staged_folder(tmp_path / "run"):
            pass
    assert list(tmp_path.iterdir()) == []


def test_json_round_trip_and_its_errors(tmp_path: Path) -> None:
    path = tmp_path / "a.json"
    write_json(path, {"a": [1, 2.5, None]})
    assert read_json(path) == {"a": [1, 2.5, None]}
    for damaged in ("{", "[" * 100_000):
        path.write_text(damaged)
        with pytest.raises(InputError, match="not a valid JSON file"):
            read_json(path)
    with pytest.raises(InputError, match="does not exist"):
        read_json(tmp_path / "b.json")


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
