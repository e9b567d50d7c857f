"""Files and folders are whole or absent."""

import os
from pathlib import Path

import pytest

from tracetune.base.errors import InputError
from tracetune.base.files import read_json, require_empty, require_place, staged_file, staged_folder, write_json


def test_a_failed_write_leaves_the_old_file(tmp_path: Path) -> None:
    target = tmp_path / "table.csv"
    target.write_text("old")
    with pytest.raises(RuntimeError), staged_file(target) as temporary:
        temporary.write_text("half")
        raise RuntimeError
    assert target.read_text() == "old"
    assert list(tmp_path.iterdir()) == [target]


def test_a_failed_folder_leaves_nothing(tmp_path: Path) -> None:
    with pytest.raises(RuntimeError), staged_folder(tmp_path / "run") as temporary:
        (temporary / "weights").write_text("half")
        raise RuntimeError
    assert list(tmp_path.iterdir()) == []


def test_a_folder_appears_whole(tmp_path: Path) -> None:
    with staged_folder(tmp_path / "a" / "run") as temporary:
        (temporary / "weights").write_text("whole")
        assert not (tmp_path / "a" / "run").exists()
    assert (tmp_path / "a" / "run" / "weights").read_text() == "whole"


def test_a_used_folder_is_refused(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(InputError, match="is not empty"):
        require_empty(tmp_path)
    with pytest.raises(InputError, match="found the file"):
        require_empty(tmp_path / "file")


def test_a_place_below_a_file_is_refused(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(InputError, match="file is a file, expected a folder"):
        require_empty(tmp_path / "file" / "deep" / "run")
    for staged in (staged_file, staged_folder):
        with pytest.raises(InputError, match="cannot be written"), staged(tmp_path / "file" / "run"):
            raise AssertionError("the block must not run")
    assert list(tmp_path.iterdir()) == [tmp_path / "file"]


def test_a_folder_without_write_access_is_refused_before_the_work(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(os, "access", lambda path, mode: Path(path) != tmp_path)
    with pytest.raises(InputError, match=f"no write access to {tmp_path}"):
        require_place(tmp_path / "new" / "run")


def test_a_full_disk_is_no_wrong_path(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(**options: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("tempfile.mkdtemp", full)
    with pytest.raises(OSError, match="No space left"), staged_folder(tmp_path / "run"):
        pass
    assert list(tmp_path.iterdir()) == []


def test_json_round_trip_and_its_errors(tmp_path: Path) -> None:
    path = tmp_path / "a.json"
    write_json(path, {"a": [1, 2.5, None]})
    assert read_json(path) == {"a": [1, 2.5, None]}
    path.write_text("{")
    with pytest.raises(InputError, match="not a valid JSON file"):
        read_json(path)
    with pytest.raises(InputError, match="does not exist"):
        read_json(tmp_path / "b.json")
