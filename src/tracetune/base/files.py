"""Files that are whole or absent: staged folders, atomic writes, JSON."""

import errno
import json
import os
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from tracetune.base.errors import InputError


@contextmanager
def staged_file(path: str | Path) -> Iterator[Path]:
    """Yield a temporary path beside ``path`` that replaces it when the block ends without error.

    The temporary name keeps the suffixes of ``path``, because writers choose their format by them.

    Raises:
        InputError: there is no folder to write to at that place.
    """
    target = Path(path)
    with _place_explained(target):
        target.parent.mkdir(parents=True, exist_ok=True)
        handle, name = tempfile.mkstemp(dir=target.parent, prefix=".", suffix="".join(target.suffixes))
    os.close(handle)
    temporary = Path(name)
    try:
        yield temporary
        temporary.chmod(0o666 & ~_umask())
        temporary.replace(target)
    finally:
        temporary.unlink(missing_ok=True)


@contextmanager
def staged_folder(path: str | Path) -> Iterator[Path]:
    """Yield an empty folder that becomes ``path`` when the block ends without error.

    Raises:
        InputError: ``path`` is a file, or a folder that already holds something.
    """
    target = Path(path)
    require_empty(target)
    with _place_explained(target):
        target.parent.mkdir(parents=True, exist_ok=True)
        temporary = Path(tempfile.mkdtemp(dir=target.parent, prefix=f".{target.name}."))
    try:
        yield temporary
        temporary.chmod(0o777 & ~_umask())
        if target.exists():
            target.rmdir()
        temporary.replace(target)
    finally:
        shutil.rmtree(temporary, ignore_errors=True)


def require_empty(path: str | Path) -> None:
    """Refuse an output folder that would mix with older content, or that cannot be made.

    Raises:
        InputError: ``path`` is a file, a folder that already holds something, or at a place without write access.
    """
    target = Path(path)
    if target.is_file():
        raise InputError(f"Expected a folder to write to, found the file {target}. Choose another path.")
    if target.is_dir() and any(target.iterdir()):
        raise InputError(f"The output folder {target} is not empty. Choose another one, or empty it first.")
    require_place(target)


def require_place(path: str | Path) -> None:
    """Refuse an output path before the work is done, where it could not be written afterwards.

    Raises:
        InputError: the nearest folder above ``path`` that exists is a file, or not open for writing.
    """
    above = next(folder for folder in Path(path).absolute().parents if folder.exists())
    if not above.is_dir():
        raise InputError(f"{path} cannot be written: {above} is a file, expected a folder. Choose another path.")
    if not os.access(above, os.W_OK | os.X_OK):
        raise InputError(f"{path} cannot be written: no write access to {above}. Choose another path.")


def write_json(path: str | Path, content: Any) -> None:
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
    except (UnicodeDecodeError, json.JSONDecodeError) as error:
        raise InputError(f"{source} is not a valid JSON file ({error}). Restore it from its source.") from error


@contextmanager
def _place_explained(target: Path) -> Iterator[None]:
    """Turn what is wrong with the place of an output into an InputError; a full disk stays what it is."""
    try:
        yield
    except OSError as error:
        if error.errno in (errno.ENOSPC, errno.EDQUOT):
            raise
        raise InputError(f"{target} cannot be written: {error}. Choose another path.") from error


def read_json_object(path: str | Path) -> dict[str, Any]:
    """Read a JSON file that holds an object.

    Raises:
        InputError: the file is missing, is not JSON, or holds something else.
    """
    content = read_json(path)
    if not isinstance(content, dict):
        raise InputError(f"Expected an object {{...}} in {path}, found {type(content).__name__}. Restore the file.")
    return content


def _umask() -> int:
    mask = os.umask(0)
    os.umask(mask)
    return mask
