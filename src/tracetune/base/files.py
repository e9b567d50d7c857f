"""Files that are whole or absent: staged files and folders, JSON."""

import errno
import json
import os
import shutil
import stat
from collections.abc import Collection, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from tracetune.base.errors import InputError
from tracetune.base.folder_lock import FolderLock
from tracetune.base.leftovers import remove, sweep, temporary_name
from tracetune.base.places import is_renamed_onto, place_explained, require_empty, require_place, unfinished_path
from tracetune.base.signals import Stopped

_NOT_RENAMED_ONTO = (errno.EBUSY, errno.EXDEV, errno.EACCES, errno.EPERM, errno.EINVAL)


@contextmanager
def staged_file(path: str | Path) -> Iterator[Path]:
    """Yield a temporary path beside ``path`` that replaces it when the block ends without error.

    The temporary name keeps the suffixes of ``path``, because writers choose their format by them.

    Raises:
        InputError: there is no folder to write to at that place.
    """
    require_place(path)
    with place_explained(Path(path)):
        target = Path(path).resolve()
        if target.exists() and not target.is_file():
            raise InputError(f"Expected a file to write to, found {path}, which is none. Choose another path.")
        target.parent.mkdir(parents=True, exist_ok=True)
        sweep(target.parent)
        temporary = target.parent / temporary_name("".join(target.suffixes)[-32:])
        temporary.touch()
    try:
        yield temporary
        _follow_umask(temporary)
        temporary.replace(target)
    finally:
        temporary.unlink(missing_ok=True)


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


def write_json(path: str | Path, content: object) -> None:
    """Write ``content`` as indented JSON, whole or not at all."""
    with staged_file(path) as temporary:
        temporary.write_text(json.dumps(content, indent=2, allow_nan=False) + "\n", encoding="utf-8")


def read_json(path: str | Path) -> Any:
    """Read a JSON file.

    Raises:
        InputError: the file is missing or is not JSON.
    """
    source = Path(path)
    if not source.is_file():
        raise InputError(f"Expected the file {source}; it does not exist.")
    try:
        return json.loads(source.read_text(encoding="utf-8"))
    except (ValueError, RecursionError) as error:
        raise InputError(f"{source} is not a valid JSON file ({error}). Restore it from its source.") from error
    except OSError as error:
        raise InputError(f"{source} cannot be read: {error}.") from error


def read_json_object(path: str | Path) -> dict[str, Any]:
    """Read a JSON file that holds an object.

    Raises:
        InputError: the file is missing, is not JSON, or holds something else.
    """
    content = read_json(path)
    if not isinstance(content, dict):
        raise InputError(f"Expected an object {{...}} in {path}, found {type(content).__name__}. Restore the file.")
    return content


def follow_umask(folder: str | Path) -> None:
    """Give everything in ``folder``, and itself, the modes of newly made files: some writers make them private."""
    for path in (Path(folder), *Path(folder).rglob("*")):
        if not path.is_symlink():
            _follow_umask(path)


def _follow_umask(path: Path) -> None:
    mask = os.umask(0)
    os.umask(mask)
    mode = path.stat().st_mode
    usual = (0o777 if stat.S_ISDIR(mode) else 0o666) & ~mask
    kept = stat.S_IMODE(mode) & 0o7000  # the group of a shared folder is inherited through a bit of these
    if stat.S_IMODE(mode) != usual | kept:
        path.chmod(usual | kept)


def _publish(folder: Path, target: Path) -> None:
    """Make a finished folder the output: by one rename, or where the target must stay, by moving what it holds."""
    follow_umask(folder)
    if folder.parent != target:
        try:
            folder.replace(target)
            return
        except OSError as error:
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
