"""Files that are whole or absent: staged folders, atomic writes, JSON."""

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
    """
    target = Path(path)
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
    """Refuse an output folder that would mix with older content.

    Raises:
        InputError: ``path`` is a file, or a folder that already holds something.
    """
    target = Path(path)
    if target.is_file():
        raise InputError(f"Expected a folder to write to, found the file {target}. Choose another path.")
    if target.is_dir() and any(target.iterdir()):
        raise InputError(f"The output folder {target} is not empty. Choose another one, or empty it first.")


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


def _umask() -> int:
    mask = os.umask(0)
    os.umask(mask)
    return mask
