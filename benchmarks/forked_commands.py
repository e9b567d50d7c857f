"""The command line in forked processes that need not import anything, and that can be made to die at any moment."""

import importlib
import os
import resource
import signal
import sys
import tempfile
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch

import tracetune.selection.rounds.selection_run as selection_run
from tracetune.cli.app import main
from tracetune.cli.commands import COMMANDS
from tracetune.selection.budgets.step_time_profile import StepTimeProfile

_WRITES = os.O_WRONLY | os.O_RDWR | os.O_CREAT
_CHANGES = ("os.rename", "os.mkdir", "os.rmdir", "os.remove", "os.chmod", "shutil.rmtree", "shutil.copytree")


@dataclass(frozen=True)
class Death:
    """When a process is to be killed (SIGKILL), or asked to stop; None where that moment does not come.

    Attributes:
        seconds: after its start.
        change: at this change of a file or folder in its own folder, counted from 1.
        number: the signal that comes after ``seconds``.
    """

    seconds: float | None = None
    change: int | None = None
    number: int = signal.SIGKILL


@dataclass(frozen=True)
class Ended:
    """How a command ended.

    Attributes:
        status: exit status; negative for the signal that ended it.
        seconds: wall-clock time.
        changes: changes of files and folders in its own folder; 0 where it was killed.
        said: standard output and errors.
        most_bytes: most that was in use on the file system of its folder, above what was before.
    """

    status: int
    seconds: float
    changes: int
    said: str
    most_bytes: int


def run_command(
    arguments: Sequence[str],
    folder: Path,
    death: Death | None = None,
    profile: dict[str, Any] | None = None,
    largest_file: int | None = None,
) -> Ended:
    """Run ``tracetune ARGUMENTS`` in ``folder``, with temporary files in its folder tmp.

    Args:
        arguments: of the command line.
        folder: working directory.
        death: when it dies.
        profile: step times that stand in for the clock, without which no two runs are alike.
        largest_file: bytes of the largest file that it can write.
    """
    (folder / "tmp").mkdir(exist_ok=True)
    (folder / "log").touch()  # it may be killed before it writes
    reading, writing = os.pipe()
    started, used = time.monotonic(), _used(folder)
    process = os.fork()
    if process == 0:
        os.close(reading)
        _be_the_command(arguments, folder, death or Death(), profile, largest_file, writing)
    os.close(writing)
    status, most = _watched(process, folder, death, started)
    with os.fdopen(reading, "rb") as pipe:
        changes = int(pipe.read() or 0)
    said = (folder / "log").read_text(errors="replace")
    (folder / "log").unlink()
    return Ended(status, time.monotonic() - started, changes, said, most - used)


def _watched(process: int, folder: Path, death: Death | None, started: float) -> tuple[int, int]:
    """Wait for the process, kill it when its time has come, and look at the disk meanwhile."""
    most, due = 0, death is not None and death.seconds is not None
    while True:
        most = max(most, _used(folder))
        ended, status = os.waitpid(process, os.WNOHANG)
        if ended:
            return os.waitstatus_to_exitcode(status), most
        if due and death is not None and time.monotonic() - started >= (death.seconds or 0.0):
            os.kill(process, death.number)
            due = False
        time.sleep(0.01)


def _used(folder: Path) -> int:
    system = os.statvfs(folder)
    return (system.f_blocks - system.f_bfree) * system.f_frsize


def _be_the_command(
    arguments: Sequence[str],
    folder: Path,
    death: Death,
    profile: dict[str, Any] | None,
    largest_file: int | None,
    pipe: int,
) -> None:
    """Turn this process into the command; it does not return."""
    status = 97
    try:
        os.chdir(folder)
        signal.signal(signal.SIGINT, signal.default_int_handler)  # shells let background processes ignore it
        log = os.open("log", os.O_WRONLY | os.O_CREAT | os.O_TRUNC)
        os.dup2(log, 1)
        os.dup2(log, 2)
        tempfile.tempdir = str(folder / "tmp")
        changes = _count_changes(folder, death.change)
        if profile is not None:
            selection_run.measure_step_time = lambda *_: StepTimeProfile.from_json(profile)
        if largest_file is not None:
            resource.setrlimit(resource.RLIMIT_FSIZE, (largest_file, largest_file))
        sys.argv = ["tracetune", *arguments]
        try:
            main()
            status = 0
        except SystemExit as leaving:
            status = int(leaving.code or 0)
        sys.stdout.flush()
        sys.stderr.flush()
        os.write(pipe, str(len(changes)).encode())
    finally:
        os._exit(status)


def _count_changes(folder: Path, fatal: int | None) -> list[str]:
    """Note what changes in ``folder``; the process dies at the change with the number ``fatal``."""
    seen: list[str] = []
    inside = str(folder.resolve())

    def watch(event: str, details: tuple[Any, ...]) -> None:
        if event not in _CHANGES and not (event == "open" and isinstance(details[2], int) and details[2] & _WRITES):
            return
        path = details[0]
        if isinstance(path, (str, os.PathLike)) and os.path.abspath(path).startswith(inside):
            seen.append(event)
            if len(seen) == fatal:
                os.kill(os.getpid(), signal.SIGKILL)

    sys.addaudithook(watch)
    return seen


for _variant in COMMANDS["finetune"].variants.values():  # or every process would import it
    importlib.import_module(f"tracetune.recipes.{_variant.recipe.partition(':')[0]}")
torch.set_num_threads(1)  # threads do not survive a fork
