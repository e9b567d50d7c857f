"""Output folders that are whole or absent: staged beside their place, or kept there unfinished to go on from."""

import errno
import hashlib
import shutil
import tempfile
from collections.abc import Collection, Iterator
from contextlib import contextmanager, suppress
from itertools import count
from pathlib import Path

from tracetune.base.errors import InputError
from tracetune.base.files import UNFINISHED, follow_umask, is_renamed_onto, place_explained, require_place
from tracetune.base.folder_lock import FolderLock
from tracetune.base.leftovers import is_leftover, remove, sweep, temporary_name
from tracetune.base.signals import Stopped

_NOT_RENAMED_ONTO = (errno.EBUSY, errno.EXDEV, errno.EACCES, errno.EPERM, errno.EINVAL)


@contextmanager
def staged_folder(path: str | Path) -> Iterator[Path]:
    """Yield an empty folder that becomes ``path`` when the block ends without error.

    Where a folder cannot be renamed onto (a mount point, the working directory, a link to either), it is staged
    inside, and its contents move up at the end.

    Raises:
        InputError: ``path`` is a file, a folder that already holds something, or at a place without write access.
    """
    require_empty(path)
    with place_explained(Path(path)):
        target = Path(path).resolve()
        parent = target.parent if is_renamed_onto(target) else target
        parent.mkdir(parents=True, exist_ok=True)
        sweep(parent)
        temporary = parent / temporary_name()
        temporary.mkdir()
    try:
        yield temporary
        _publish(temporary, target)
    finally:
        shutil.rmtree(temporary, ignore_errors=True)


@contextmanager
def resumed_folder(path: str | Path, nothing: Collection[str] = ()) -> Iterator[Path]:
    """Yield the unfinished folder of an output, which becomes ``path`` when the block ends without error.

    It is ``path`` with ".unfinished" added, and survives errors and kills: the next run finds in it what this one
    left, and goes on. A run that a signal stops has a note of that.

    Args:
        path: the output folder.
        nothing: names of files that are not worth going on from: with no others the folder goes after an error.

    Raises:
        InputError: as `staged_folder`; another run is at work in it.
    """
    require_empty(path)
    with place_explained(Path(path)):
        target = Path(path).resolve()
        unfinished = unfinished_path(target)
        unfinished.mkdir(parents=True, exist_ok=True)
        lock = FolderLock().hold(unfinished)
        sweep(unfinished)
    try:
        with lock:
            yield unfinished
        _publish(unfinished, target)
    except BaseException as error:
        if unfinished.is_dir() and not any(each.name not in nothing for each in unfinished.iterdir()):
            remove(unfinished)
        elif isinstance(error, Stopped):
            error.add_note(f"What it has so far is in {unfinished}: the same command goes on from there.")
        raise


@contextmanager
def reserved(path: str | Path) -> Iterator[None]:
    """Keep other runs from the output ``path`` while the block lasts: they would end with nowhere to write to.

    The lock is in the folder for temporary files, so that the output itself stays absent, or empty, until it is whole.

    Raises:
        InputError: another run, on this host, is going to write to it.
    """
    with place_explained(Path(path)):
        name = hashlib.sha256(str(Path(path).resolve()).encode()).hexdigest()[:16]
    folder = Path(tempfile.gettempdir()) / f"tracetune-output-{name}"
    try:
        lock = FolderLock().hold(folder)
    except InputError as error:
        raise InputError(
            f"Another run is going to write to {path}, and only one of them could. Wait until it has ended, stop it, "
            "or choose another folder."
        ) from error
    try:
        with lock:
            yield
    finally:
        with suppress(OSError):  # another run may have it by now
            folder.rmdir()


def require_empty(path: str | Path) -> None:
    """Refuse an output folder that would mix with older content, or that cannot be made.

    What killed runs left in it does not count, nor what an interrupted one will go on from.

    Raises:
        InputError: ``path`` is a file, a folder that already holds something, or at a place without write access.
    """
    target = Path(path)
    require_place(target)
    if target.is_file():
        raise InputError(f"Expected a folder to write to, found the file {target}. Choose another path.")
    if target.is_dir():
        with place_explained(target):
            found = [each for each in target.iterdir() if not (is_leftover(each) or each.name == UNFINISHED)]
        if found:
            raise InputError(f"The output folder {target} is not empty. Choose another one, or empty it first.")


def require_apart(output: str | Path, state: str | Path) -> None:
    """Refuse an output folder and a folder for an interrupted run's state that lie one in the other.

    Raises:
        InputError: they are the same, or one is inside the other.
    """
    one, other = Path(output).resolve(), Path(state).resolve()
    if one == other or one in other.parents or other in one.parents:
        raise InputError(
            f"Expected an output folder apart from the folder for checkpoints, found {output} and {state}. "
            "The output appears when the run is done, so neither can be inside the other: choose another path."
        )


def unfinished_path(target: Path) -> Path:
    """Return where an output folder is kept while unfinished: beside it, or inside where it is a mount point."""
    return target.with_name(target.name + UNFINISHED) if is_renamed_onto(target) else target / UNFINISHED


def _publish(folder: Path, target: Path) -> None:
    """Make a finished folder the output: by one rename, or where the target must stay, by moving what it holds.

    Raises:
        InputError: something else has been written there meanwhile; the folder is kept beside it.
    """
    follow_umask(folder)
    if _holds_others(target, folder):
        raise _kept_beside(folder, target)
    if folder.parent != target:
        try:
            folder.replace(target)
            return
        except OSError as error:
            if error.errno in (errno.ENOTEMPTY, errno.EEXIST):
                raise _kept_beside(folder, target) from error
            if error.errno not in _NOT_RENAMED_ONTO or not target.is_dir():
                raise
        inside = target / temporary_name()
        try:
            shutil.copytree(folder, inside)
            _move_up(inside, target)
        finally:
            shutil.rmtree(inside, ignore_errors=True)
        remove(folder)
        return
    _move_up(folder, target)
    folder.rmdir()


def _holds_others(target: Path, staged: Path) -> bool:
    """Return whether a folder holds anything but ``staged`` and what killed or interrupted runs left."""
    return target.is_dir() and not all(
        each == staged or is_leftover(each) or each.name == UNFINISHED for each in target.iterdir()
    )


def _kept_beside(folder: Path, target: Path) -> InputError:
    """Give a finished folder a name beside the output that it was meant for, and return the error that tells it."""
    meant = target / target.name if folder.parent == target else target
    free = next(name for number in count(2) if not (name := meant.with_name(f"{meant.name}-{number}")).exists())
    folder.rename(free)
    return InputError(
        f"Expected {target} to be empty still, found what another run has written there meanwhile. What this one made "
        f"is in {free}."
    )


def _move_up(folder: Path, target: Path) -> None:
    """Move what ``folder`` holds to ``target``: all of it, or after an error nothing."""
    moved: list[Path] = []
    try:
        for path in sorted(folder.iterdir()):
            moved.append(target / path.name)
            path.rename(moved[-1])
    except BaseException:
        for path in moved:
            remove(path)
        raise
