"""Output folders are whole or absent."""

import errno
import os
import stat
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from tracetune.base.errors import InputError
from tracetune.base.files import (
    follow_umask,
    write_json,
)
from tracetune.base.folders import require_apart, require_empty, reserved, resumed_folder, staged_folder
from tracetune.base.leftovers import temporary_name


@pytest.fixture
def mount_point(tmp_path: Path) -> Iterator[Path]:
    """An empty folder that nothing can be renamed onto; where mounting is not allowed the test is left out."""
    folder = tmp_path / "mount"
    folder.mkdir()
    if subprocess.run(["mount", "-t", "tmpfs", "tmpfs", folder], capture_output=True).returncode:
        pytest.skip("needs the right to mount")
    yield folder
    subprocess.run(["umount", folder], check=True)


def modes(folder: Path) -> dict[str, str]:
    return {path.name: f"{stat.S_IMODE(path.stat().st_mode):o}" for path in (folder, *folder.rglob("*"))}


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
    assert [path.name for path in (tmp_path / "a").iterdir()] == ["run"]


@pytest.mark.parametrize("form", ["empty", "link", "dangling", "here", "bind"])
def test_every_form_of_an_empty_folder_works(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, form: str) -> None:
    real = tmp_path / "real"
    target = real
    if form != "dangling":
        real.mkdir()
    if form in ("link", "dangling"):
        target = tmp_path / "link"
        target.symlink_to(real)
    if form == "here":
        monkeypatch.chdir(real)
        target = Path()
    if form == "bind":  # the file system says no only when the rename is tried

        def busy(self: Path, other: Path) -> Path:
            raise OSError(errno.EBUSY, "Device or resource busy")

        monkeypatch.setattr(Path, "replace", busy)
    with staged_folder(target) as temporary:
        (temporary / "deep").mkdir()
        (temporary / "deep" / "weights").write_text("whole")
    assert (real / "deep" / "weights").read_text() == "whole"
    assert [path.name for path in real.iterdir()] == ["deep"]
    assert {path.name for path in tmp_path.iterdir()} <= {"real", "link"}
    if form == "here":
        assert Path("deep").is_dir()


def test_an_empty_mount_point_works(mount_point: Path) -> None:
    with staged_folder(mount_point) as temporary:
        (temporary / "weights").write_text("whole")
    assert [path.name for path in mount_point.iterdir()] == ["weights"]
    (mount_point / "weights").unlink()
    with pytest.raises(RuntimeError), staged_folder(mount_point) as temporary:
        raise RuntimeError
    assert list(mount_point.iterdir()) == []
    with resumed_folder(mount_point) as folder:
        (folder / "scores").touch()
    assert [path.name for path in mount_point.iterdir()] == ["scores"]


def test_a_move_that_fails_leaves_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    rename = Path.rename

    def full(self: Path, target: Path) -> Path:
        if self.name == "b":
            raise OSError(errno.ENOSPC, "No space left on device")
        return rename(self, target)

    with monkeypatch.context() as patch, pytest.raises(OSError, match="No space left"), staged_folder(".") as temporary:
        for name in "abc":
            (temporary / name).touch()
        patch.setattr(Path, "rename", full)
    assert list(tmp_path.iterdir()) == []


def test_modes_follow_the_umask(tmp_path: Path) -> None:
    before = os.umask(0o027)
    try:
        with staged_folder(tmp_path / "run") as temporary:
            (temporary / "deep").mkdir(mode=0o700)
            (temporary / "deep" / "weights").touch(mode=0o600)
        assert modes(tmp_path / "run") == {"run": "750", "deep": "750", "weights": "640"}
        os.umask(0o002)
        (tmp_path / "run").chmod(0o2700)
        follow_umask(tmp_path / "run")
        assert modes(tmp_path / "run") == {"run": "2775", "deep": "775", "weights": "664"}
        write_json(tmp_path / "a.json", 1)
        assert modes(tmp_path)["a.json"] == "664"
    finally:
        os.umask(before)


def test_an_interrupted_folder_is_gone_on_with(tmp_path: Path) -> None:
    target = tmp_path / "out"
    with pytest.raises(KeyboardInterrupt), resumed_folder(target) as folder:
        (folder / "state").write_text("half")
        raise KeyboardInterrupt
    assert [path.name for path in tmp_path.iterdir()] == ["out.unfinished"]
    with resumed_folder(target) as folder:
        assert (folder / "state").read_text() == "half"
        (folder / "scores").touch()
    assert [path.name for path in tmp_path.iterdir()] == ["out"]
    assert {path.name for path in target.iterdir()} == {"state", "scores"}
    with pytest.raises(InputError, match="is not empty"), resumed_folder(target):
        raise AssertionError("the block must not run")
    with pytest.raises(RuntimeError), resumed_folder(tmp_path / "new"):
        raise RuntimeError
    assert not (tmp_path / "new.unfinished").exists()


def test_the_next_run_sweeps_what_a_kill_left(tmp_path: Path) -> None:
    killed = (
        "import os, signal\nfrom tracetune.base.files import staged_file\n"
        "from tracetune.base.folders import staged_folder\n"
        f"with staged_folder({str(tmp_path / 'run')!r}), staged_file({str(tmp_path / 'f.csv')!r}):\n"
        "    os.kill(os.getpid(), signal.SIGKILL)"
    )
    assert subprocess.run([sys.executable, "-c", killed]).returncode == -9
    assert len(list(tmp_path.iterdir())) == 2
    with staged_folder(tmp_path / "run") as temporary:
        (temporary / "weights").touch()
    assert [path.name for path in tmp_path.iterdir()] == ["run"]


@pytest.mark.parametrize("form", ["renamed onto", "mount point"])
def test_what_is_made_is_kept_where_another_run_was_first(
    tmp_path: Path, form: str, request: pytest.FixtureRequest
) -> None:
    output = tmp_path / "out" if form == "renamed onto" else request.getfixturevalue("mount_point")
    for kept in (2, 3):
        with pytest.raises(InputError, match=f"-{kept}"), staged_folder(output) as folder:
            (folder / "made").write_text("late")
            output.mkdir(exist_ok=True)
            (output / "made").write_text("first")
        assert (output / "made").read_text() == "first"
        beside = output.parent if form == "renamed onto" else output
        assert (beside / f"{output.name}-{kept}" / "made").read_text() == "late"
        (output / "made").unlink()
        if form == "mount point":
            break  # it is not empty any more


def test_an_output_is_that_of_one_run_at_a_time(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    scratch = tmp_path / "scratch"
    scratch.mkdir()
    monkeypatch.setattr(tempfile, "tempdir", str(scratch))
    monkeypatch.chdir(tmp_path)
    with reserved("out"), reserved("other"):
        assert not Path("out").exists()
        with pytest.raises(InputError, match="Another run is going to write to"), reserved(tmp_path / "out"):
            raise AssertionError("the block must not run")
    with pytest.raises(KeyError), reserved("out"):  # however it ends
        raise KeyError
    with reserved("out"):
        pass
    assert not list(scratch.iterdir())


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
