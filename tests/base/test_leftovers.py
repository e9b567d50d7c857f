"""What killed processes leave is known by its name, and swept; what living ones are at is left alone."""

import os
import subprocess
import sys
import time
from pathlib import Path

import psutil
import pytest

from tracetune.base import leftovers
from tracetune.base.leftovers import is_leftover, scratch_folder, sweep, temporary_name

DEAD = 2**22 + 1  # above the largest process id


def name_of(pid: int, start: int, host: str | None = None) -> str:
    return f".tracetune-partial-{pid}-{start}-{host or leftovers._host()}-0123abcd.csv"


def test_a_name_tells_process_start_and_host(tmp_path: Path) -> None:
    name = temporary_name(".csv.gz")
    start = int(psutil.Process().create_time())
    assert name.startswith(f".tracetune-partial-{os.getpid()}-{start}-{leftovers._host()}-")
    assert name.endswith(".csv.gz")
    assert temporary_name(hidden=False).startswith("tracetune-partial-")
    assert not is_leftover(tmp_path / name)


def test_a_process_is_known_by_its_start_too(tmp_path: Path) -> None:
    start = int(psutil.Process().create_time())
    assert not is_leftover(tmp_path / name_of(os.getpid(), start))
    assert is_leftover(tmp_path / name_of(os.getpid(), start - 60))
    assert is_leftover(tmp_path / name_of(DEAD, start))
    assert not is_leftover(tmp_path / "results.csv")


def test_another_host_has_a_day(tmp_path: Path) -> None:
    path = tmp_path / name_of(DEAD, 1, "elsewhere")
    path.touch()
    assert not is_leftover(path)
    os.utime(path, (time.time() - 90_000,) * 2)
    assert is_leftover(path)


def test_a_sweep_takes_only_what_is_left_over(tmp_path: Path) -> None:
    (tmp_path / name_of(DEAD, 1)).mkdir()
    (tmp_path / name_of(DEAD, 1) / "weights").touch()
    (tmp_path / temporary_name()).mkdir()
    (tmp_path / "file").touch()
    sweep(tmp_path)
    assert {path.name for path in tmp_path.iterdir()} == {"file", *(p.name for p in tmp_path.glob(".tracetune*"))}
    assert len(list(tmp_path.iterdir())) == 2
    sweep(tmp_path / "nowhere")


def test_a_scratch_folder_is_gone_afterwards_or_swept_by_the_next_one(tmp_path: Path) -> None:
    with scratch_folder(tmp_path) as folder:
        (folder / "checkpoint").mkdir()
        assert folder.parent == tmp_path
    assert list(tmp_path.iterdir()) == []
    killed = (
        "import os, signal\nfrom tracetune.base.leftovers import scratch_folder\n"
        f"with scratch_folder({str(tmp_path)!r}): os.kill(os.getpid(), signal.SIGKILL)"
    )
    assert subprocess.run([sys.executable, "-c", killed]).returncode == -9
    assert len(list(tmp_path.iterdir())) == 1
    with pytest.raises(RuntimeError), scratch_folder(tmp_path) as folder:
        assert list(tmp_path.iterdir()) == [folder]
        raise RuntimeError
    assert list(tmp_path.iterdir()) == []
