"""Tables written to files, whole or not at all."""

from collections.abc import Sequence
from importlib.util import find_spec
from itertools import chain
from pathlib import Path
from typing import Final

import pandas as pd

from tracetune.base.errors import InputError, argument
from tracetune.base.files import require_place, staged_file
from tracetune.data.json_records import json_records
from tracetune.data.text_marks import COMMAS_AND_POINTS, TextMarks

_WRITTEN = ("csv", "csv.gz", "tsv", "xlsx", "parquet", "json", "jsonl")
_TEXT = ("csv", "csv.gz", "tsv")
_WRITER_OF_WORKBOOKS: Final = "openpyxl"
_LONGEST_SHEET = 1_048_575  # rows below the header
_SAID = {";": "semicolons", "|": "bars"}


def require_table_path(path: str | Path, overwrite: bool = False) -> None:
    """Refuse an output file before the work is done: `write_frame` could not write it, or it is there already.

    Raises:
        InputError: an unknown suffix, a folder, a file although ``overwrite`` is false, no access to the place, or no
            package that writes workbooks.
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
    if table_kind(target, _WRITTEN) == "xlsx" and find_spec(_WRITER_OF_WORKBOOKS) is None:
        raise InputError(
            f"Writing {target} needs a package: pip install 'tracetune[excel]'. Or choose a .csv or .parquet file."
        )


def write_frame(frame: pd.DataFrame, path: str | Path, marks: TextMarks = COMMAS_AND_POINTS) -> None:
    """Write ``frame`` as ``.csv``, ``.csv.gz``, ``.tsv``, ``.xlsx``, ``.parquet``, ``.json`` (a list of records) or
    ``.jsonl`` (one a line).

    The file is whole or absent.

    Args:
        frame: the table.
        path: where; its suffix says which kind.
        marks: of text, see `TextMarks.in_file`.

    Raises:
        InputError: the suffix is none of these, or a workbook has no place for so many rows.
    """
    kind = table_kind(Path(path), _WRITTEN)
    with staged_file(path) as temporary:
        if kind == "parquet":
            frame.to_parquet(temporary, index=False)
        elif kind == "json":
            records = ",\n".join(f"  {record}" for record in json_records(frame))
            temporary.write_text(f"[\n{records}\n]\n", encoding="utf-8")
        elif kind == "jsonl":
            with temporary.open("w", encoding="utf-8") as file:
                file.writelines(f"{record}\n" for record in json_records(frame))
        elif kind == "xlsx":
            _write_workbook(frame, temporary, Path(path))
        else:
            marks = marks.in_file(kind)
            frame.to_csv(temporary, index=False, sep=marks.separator, decimal=marks.decimal)


def marks_in_words(marks: TextMarks, path: str | Path) -> str:
    """Return in brackets what a text file at ``path`` has of the marks of its source; "" for commas and points."""
    kind = table_kind(Path(path), _WRITTEN)
    if kind not in _TEXT:
        return ""
    marks = marks.in_file(kind)
    separators = f"{_SAID[marks.separator]} between cells" if marks.separator in _SAID else ""
    found = [separators, "decimal commas" if marks.decimal == "," else ""]
    return f" ({', '.join(filter(None, found))}, as in the source)" if any(found) else ""


def _write_workbook(frame: pd.DataFrame, temporary: Path, target: Path) -> None:
    """Write the one sheet of a workbook; times with a zone, which workbooks do not know, are text there.

    Text that begins with an equals sign stays text, and is no formula.
    """
    if len(frame) > _LONGEST_SHEET:
        raise InputError(
            f"Expected at most {_LONGEST_SHEET:,} rows for {target.name}, which is all that a sheet holds, found "
            f"{len(frame):,}. Choose a .csv or .parquet file."
        )
    zoned = frame.select_dtypes("datetimetz").columns
    written = frame.assign(**{str(name): frame[name].astype(str).where(frame[name].notna()) for name in zoned})
    with pd.ExcelWriter(temporary, engine=_WRITER_OF_WORKBOOKS) as writer:
        written.to_excel(writer, index=False)
        for cell in chain.from_iterable(writer.book.active.iter_rows()):
            if cell.data_type == "f":
                cell.data_type = "s"


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
