"""Files that are whole or absent, asked before the work is done whether they can be written; JSON."""

import contextlib
import hashlib
import json
import os
import stat
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from tracetune.base.disk import is_disk_full
from tracetune.base.errors import InputError, nearest_names
from tracetune.base.json_types import JsonObject
from tracetune.base.leftovers import sweep, temporary_name

UNFINISHED = ".unfinished"
"""Ending of the folder that an output is made in, see base/folders.py; names leave room for it."""

_LONGEST_NAME = 255


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


def read_json_object(path: str | Path) -> JsonObject:
    """Read a JSON file that holds an object.

    Raises:
        InputError: the file is missing, is not JSON, or holds something else.
    """
    content = read_json(path)
    if not isinstance(content, dict):
        raise InputError(f"Expected an object {{...}} in {path}, found {type(content).__name__}. Restore the file.")
    return content


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


def require_file(path: str, what: str = "a table") -> None:
    """Refuse a file that is not there before anything is loaded, and name those that are called alike.

    ``what`` it is to be stands in the message.

    Raises:
        InputError: there is no such file.
    """
    source = Path(path)
    try:
        if source.exists():
            return
        beside = [each.name for each in source.absolute().parent.iterdir() if each.is_file()]
    except (OSError, ValueError):  # a name that no file system holds, a folder that cannot be read
        beside = []
    alike = nearest_names(source.name, beside)
    hint = f" Did you mean {' or '.join(str(source.with_name(name)) for name in alike)}?" if alike else ""
    raise InputError(f"Expected {what} at {path[:200]}: there is no such file.{hint}")


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


def file_digest(path: Path) -> str:
    """Return the SHA-256 of a file's bytes."""
    with path.open("rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()


@contextmanager
def place_explained(target: Path) -> Iterator[None]:
    """Raise an InputError for an OSError about the place of an output; an error of a full disk is raised as it is."""
    try:
        yield
    except OSError as error:
        if is_disk_full(error):
            raise
        reason = error.strerror or str(error)
        raise InputError(f"{str(target)[:200]} cannot be written: {reason}. Choose another path.") from error


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
    """Refuse a folder that cannot be written, by trial: access rights do not tell of read-only file systems."""
    if not os.access(folder, os.W_OK | os.X_OK):
        raise InputError(f"{path} cannot be written: no write access to {folder}. Choose another path.")
    trial = folder / temporary_name()
    trial.mkdir()
    with contextlib.suppress(OSError):
        trial.rmdir()
