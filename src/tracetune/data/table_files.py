"""Files of tables: which kind one is, what its damage means, frames read from it and written whole or not at all."""

import re
import zlib
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

import pandas as pd
import pyarrow

from tracetune.base.errors import InputError
from tracetune.base.files import staged_file
from tracetune.base.places import require_place
from tracetune.data.columns import ITEM_NAMES, is_usual, refuse_duplicate_columns

_WRITTEN = ("csv", "csv.gz", "parquet", "json")


def read_frame(path: str | Path) -> pd.DataFrame:
    """Read a table from ``.csv``, ``.csv.gz`` or ``.parquet``.

    Raises:
        InputError: the file is missing, empty, damaged, of another kind, or names a column twice.
    """
    source = Path(path)
    kind = readable_kind(source)
    with damage_explained(source, kind):
        return pd.read_parquet(source) if kind == "parquet" else pd.read_csv(source, dtype=csv_types(source))


def readable_kind(source: Path) -> str:
    """Which kind of table a file is: "csv", "csv.gz" or "parquet".

    Raises:
        InputError: the file is missing, empty, or of another kind.
    """
    if not source.is_file():
        found = "that is a folder" if source.is_dir() else "there is no such file"
        raise InputError(f"Expected a table at {source}; {found}.")
    kind = table_kind(source, ("csv", "csv.gz", "parquet"))
    if source.stat().st_size == 0:
        raise InputError(f"Expected a table in {source}, found an empty file.")
    return kind


def csv_types(source: Path) -> dict[str, type]:
    """Types of the columns of a CSV file that pandas must not guess: item names are text, 007 is not 7.

    Raises:
        InputError: a column name occurs twice, or other separators than commas.
    """
    header = pd.read_csv(source, header=None, nrows=1, dtype=str)
    names = header.iloc[0].dropna()
    refuse_duplicate_columns(names)
    if len(header.columns) == 1 and re.search(r"[;\t|]", str(names.iloc[0])):
        raise InputError(
            f"Expected columns separated by commas in {source}, found the one column {names.iloc[0]!r}. Save the table "
            "with commas between cells and points in numbers."
        )
    return {name: str for name in names if is_usual(name, ITEM_NAMES)}


@contextmanager
def damage_explained(source: Path, kind: str) -> Iterator[None]:
    """Turn what readers raise about a file of this kind into an InputError."""
    try:
        yield
    except pd.errors.EmptyDataError as error:
        raise InputError(f"Expected a table in {source}, found no columns.") from error
    except (UnicodeDecodeError, pd.errors.ParserError) as error:
        raise InputError(
            f"{source} cannot be read as {kind}: {error}. Expected text in UTF-8 with the same number of "
            "comma-separated cells in each line; correct it, or restore it from its source."
        ) from error
    except (EOFError, OSError, zlib.error, pyarrow.ArrowException) as error:
        raise InputError(
            f"{source} cannot be read as {kind}: {error}. It is damaged or cut short; restore it from its source."
        ) from error


def require_table_path(path: str | Path, overwrite: bool = False) -> None:
    """Refuse an output file before the work is done: `write_frame` could not write it, or it is there already.

    Raises:
        InputError: an unknown suffix, a folder, a file although ``overwrite`` is false, or no access to the place.
    """
    target = Path(path)
    if target.is_dir():
        raise InputError(f"Expected a file to write to, found the folder {target}. Choose another path.")
    if target.exists() and not overwrite:
        raise InputError(f"{target} exists already. Choose another --output, or add --overwrite.")
    table_kind(target, _WRITTEN)
    require_place(target)


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
    """Which of ``kinds`` a file is by its suffix.

    Raises:
        InputError: none of them.
    """
    for kind in kinds:
        if path.name.lower().endswith(f".{kind}"):
            return kind
    listed = ", ".join(f".{kind}" for kind in kinds)
    raise InputError(f"Expected a table file ending in one of {listed}, found {path.name!r}.")
