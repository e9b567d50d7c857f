"""Names of temporary files that contain their process, so that files of killed processes can be removed."""

import contextlib
import os
import re
import secrets
import shutil
import socket
import time
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache
from pathlib import Path

import psutil

_MARK = "tracetune-partial"
_PATTERN = re.compile(rf"\.?{_MARK}-(?P<pid>\d+)-(?P<start>\d+)-(?P<host>.+)-[0-9a-f]{{8}}(\..*)?")
_CLOCK_SECONDS = 3  # start times of one process may differ by as much when the clock is set meanwhile
_ELSEWHERE_SECONDS = 86_400  # a process of another host cannot be asked whether it lives


def temporary_name(suffix: str = "", *, hidden: bool = True) -> str:
    """Return a new name with process, its start and host in it: ``.tracetune-partial-PID-START-HOST-RANDOM``."""
    start = int(psutil.Process().create_time())
    return f"{'.' * hidden}{_MARK}-{os.getpid()}-{start}-{_host()}-{secrets.token_hex(4)}{suffix}"


def is_leftover(path: Path) -> bool:
    """Return whether a path has such a name and the process that made it is gone.

    A process of another host (or container) counts as gone when it has left the path alone for a day.
    """
    match = _PATTERN.fullmatch(path.name)
    if match is None:
        return False
    if match["host"] != _host():
        with contextlib.suppress(OSError):
            return time.time() - path.lstat().st_mtime > _ELSEWHERE_SECONDS
        return False
    try:
        process = psutil.Process(int(match["pid"]))
        same = abs(process.create_time() - int(match["start"])) <= _CLOCK_SECONDS
        return not same or process.status() == psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return True
    except psutil.AccessDenied:
        return False


def sweep(folder: str | Path) -> None:
    """Delete what processes that are gone left in ``folder``; what cannot be deleted stays."""
    with contextlib.suppress(OSError):
        for path in [path for path in Path(folder).iterdir() if is_leftover(path)]:
            remove(path)


def remove(path: Path) -> None:
    """Delete a file or a folder with all it holds, as far as that is possible."""
    if path.is_dir() and not path.is_symlink():
        shutil.rmtree(path, ignore_errors=True)
    else:
        with contextlib.suppress(OSError):
            path.unlink()


@contextmanager
def scratch_folder(parent: str | Path) -> Iterator[Path]:
    """Yield a new folder in ``parent`` that is gone afterwards; those of killed processes are swept."""
    sweep(parent)
    folder = Path(parent) / temporary_name(hidden=False)
    folder.mkdir(mode=0o700)
    try:
        yield folder
    finally:
        shutil.rmtree(folder, ignore_errors=True)


@cache
def _host() -> str:
    """Return the host's name, and in containers, which share it, the namespace of process ids."""
    name = re.sub(r"[^A-Za-z0-9_.]", "_", socket.gethostname())[:40]
    try:
        return f"{name}.{os.stat('/proc/self/ns/pid').st_ino}"
    except OSError:
        return name
