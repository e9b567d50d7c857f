"""Whether an output can be written at a place, asked before the work is done."""

import contextlib
import errno
import os
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path

from tracetune.base.errors import InputError
from tracetune.base.leftovers import is_leftover, temporary_name

UNFINISHED = ".unfinished"
_FULL = (errno.ENOSPC, errno.EDQUOT)
_LONGEST_NAME = 255


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


def require_place(path: str | Path) -> None:
    """Refuse an output path before the work is done, where it could not be written afterwards.

    Raises:
        InputError: a name in it is too long, the nearest folder above it that exists is a file, or not open for
            writing.
    """
    if not str(path) or "\0" in str(path):
        raise InputError(f"Expected a path to write to, found {str(path)!r}.")
    with place_explained(Path(path)):
        target = Path(path).resolve()
        _require_short_names(target)
        existing = next(folder for folder in (target, *target.parents) if folder.exists())
        if existing != target and not existing.is_dir():
            raise InputError(f"{path} cannot be written: {existing} is a file, expected a folder. Choose another path.")
        stays = existing != target or (target.is_dir() and not is_renamed_onto(target))
        _require_writable(existing if stays else target.parent, path)


def require_apart(output: str | Path, state: str | Path, flag: str = "checkpoints") -> None:
    """Refuse an output folder and a folder for an interrupted run's state that lie one in the other.

    Raises:
        InputError: they are the same, or one is inside the other.
    """
    one, other = Path(output).resolve(), Path(state).resolve()
    if one == other or one in other.parents or other in one.parents:
        raise InputError(
            f"Expected an output folder apart from the folder for {flag}, found {output} and {state}. "
            "The output appears when the run is done, so neither can be inside the other: choose another path."
        )


def require_distinct(outputs: Iterable[str | Path | None], read: Iterable[str | Path | None] = ()) -> None:
    """Refuse output files of which one would replace another, or what the command reads.

    Args:
        outputs: files that will be written; None for one that is not asked for.
        read: files and folders; a name that is neither (of a known model) replaces nothing.

    Raises:
        InputError: two outputs are one file, or an output is a file that is read or inside a folder that is read.
    """
    written: set[Path] = set()
    sources = [Path(name).expanduser().resolve() for name in read if name is not None and _exists(name)]
    for output in (Path(name) for name in outputs if name is not None):
        with place_explained(output):
            target = output.resolve()
        if target in written:
            raise InputError(f"Expected a file for each output, found {output} for two of them. Choose another path.")
        written.add(target)
        for source in sources:
            if source == target or source in target.parents:
                raise InputError(f"The output {output} would replace what is read from {source}. Choose another path.")


def is_renamed_onto(target: Path) -> bool:
    """Return whether a finished folder can take the place of ``target`` by a rename.

    Not so where ``target`` is a mount point or the working directory, or its parent cannot be written to.
    """
    if not target.exists():
        return True
    if os.path.ismount(target) or target.samefile(Path.cwd()):
        return False
    return os.access(target.parent, os.W_OK | os.X_OK)


def unfinished_path(target: Path) -> Path:
    """Return where an output folder is kept while unfinished: beside it, or inside where it is a mount point."""
    return target.with_name(target.name + UNFINISHED) if is_renamed_onto(target) else target / UNFINISHED


@contextmanager
def place_explained(target: Path) -> Iterator[None]:
    """Raise an InputError for an OSError about the place of an output; an error of a full disk is raised as it is."""
    try:
        yield
    except OSError as error:
        if error.errno in _FULL:
            raise
        reason = error.strerror or str(error)
        raise InputError(f"{str(target)[:200]} cannot be written: {reason}. Choose another path.") from error


def _exists(name: str | Path) -> bool:
    try:
        return Path(name).expanduser().exists()
    except (OSError, ValueError):  # no file system holds such a name
        return False


def _require_short_names(target: Path) -> None:
    most = _LONGEST_NAME - len(UNFINISHED)
    for part in target.parts:
        if (length := len(os.fsencode(part))) > most:
            raise InputError(
                f"{str(target)[:200]}... cannot be written: the name {part[:20]}... has {length} bytes, at most {most} "
                "fit. Choose a shorter one."
            )


def _require_writable(folder: Path, path: str | Path) -> None:
    """Try it: access rights alone do not tell of read-only and special file systems."""
    if not os.access(folder, os.W_OK | os.X_OK):
        raise InputError(f"{path} cannot be written: no write access to {folder}. Choose another path.")
    trial = folder / temporary_name()
    trial.mkdir()
    with contextlib.suppress(OSError):
        trial.rmdir()
