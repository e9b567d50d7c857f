import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from tracetune.base.errors import InputError
from tracetune.base.folder_lock import LOCK_FILE, FolderLock

HOLD = """
import sys
from tracetune.base.folder_lock import FolderLock
lock = FolderLock().hold(sys.argv[1])
print("held", flush=True)
sys.stdin.read()
"""


def test_the_second_run_is_refused_until_the_first_has_ended_however_that_ends(tmp_path: Path) -> None:
    folder = tmp_path / "runs" / "a"
    first = subprocess.Popen(
        [sys.executable, "-c", HOLD, str(folder)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    )
    assert first.stdout is not None
    assert first.stdout.readline() == "held\n"
    for _ in range(2):
        with pytest.raises(
            InputError, match=rf"in use by another run \(process {first.pid} on .*choose another folder"
        ):
            FolderLock().hold(folder)
    os.kill(first.pid, signal.SIGKILL)
    first.wait()
    assert (folder / LOCK_FILE).exists()
    with FolderLock() as lock:
        lock.hold(folder)
        assert (folder / LOCK_FILE).read_text().startswith(f"process {os.getpid()} on ")
    assert list(folder.iterdir()) == []


def test_a_lock_holds_one_folder_and_may_be_asked_for_again(tmp_path: Path) -> None:
    lock = FolderLock().hold(tmp_path / "a").hold(tmp_path / "a")
    with pytest.raises(InputError, match="in use by another run"):
        FolderLock().hold(tmp_path / "a")
    lock.hold(tmp_path / "b")
    FolderLock().hold(tmp_path / "a").release()
    lock.release()
    lock.release()
    assert list(tmp_path.rglob(LOCK_FILE)) == []
