"""Tables written to files, whole or not at all."""

from collections.abc import Sequence
from pathlib import Path

import pandas as pd

from tracetune.base.errors import InputError, argument
from tracetune.base.files import require_place, staged_file

_WRITTEN = ("csv", "csv.gz", "parquet", "json")


def require_table_path(path: str | Path, overwrite: bool = False) -> None:
    """Refuse an output file before the work is done: `write_frame` could not write it, or it is there already.

    Raises:
        InputError: an unknown suffix, a folder, a file although ``overwrite`` is false, or no access to the place.
    """
    require_place(path)
    target = Path(path)
    if target.is_dir():
        raise InputError(f"Expected a file to write to, found the folder {target}. Choose another path.")
    if target.exists() and not target.is_file():
        raise InputError(f"Expected a file to write to, found {target}, which is none. Choose another path.")
    if target.exists() and not overwrite:
        raise InputError(
            f"{target} exists already. Choose another {argument('output')}, or add {argument('overwrite', True)}."
        )
    table_kind(target, _WRITTEN)


def write_frame(frame: pd.DataFrame, path: str | Path) -> None:
    """Write ``frame`` as ``.csv``, ``.csv.gz``, ``.parquet`` or ``.json`` (records), whole or not at all.

    Raises:
        InputError: the suffix is none of these.
    """
    kind = table_kind(Path(path), _WRITTEN)
    with staged_file(path) as temporary:
        if kind == "parquet":
            frame.to_parquet(temporary, index=False)
        elif kind == "json":
            frame.to_json(temporary, orient="records", date_format="iso", indent=2)
        else:
            frame.to_csv(temporary, index=False)


def table_kind(path: Path, kinds: Sequence[str]) -> str:
    """Return which of ``kinds`` a file is by its suffix.

    Raises:
        InputError: none of them.
    """
    for kind in kinds:
        if path.name.lower().endswith(f".{kind}"):
            return kind
    listed = ", ".join(f".{kind}" for kind in kinds)
    raise InputError(f"Expected a table file ending in one of {listed}, found {path.name!r}.")
