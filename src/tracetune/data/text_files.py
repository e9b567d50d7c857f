"""Tables of texts: cells are taken as they are written, whatever they look like.

Tables of numbers are read by ``tracetune.data.reading``, which would look for dates, decimal marks and missing values.
"""

import csv
import io
import logging
import re
from pathlib import Path
from typing import Any

import pandas as pd

from tracetune.base.errors import InputError, Remark, argument
from tracetune.data.reading.encodings import find_encoding, odd_lines
from tracetune.data.reading.files import damage_explained, file_kind, open_bytes, read_raw
from tracetune.data.reading.options import ReadingOptions
from tracetune.data.reading.raw import refuse_duplicate_names
from tracetune.data.text_marks import COMMAS_AND_POINTS, TextMarks

logger = logging.getLogger(__name__)

FIRST_ROW = "first_row"
"""Key of a frame's ``attrs``: how its file counts the first row."""
_MARKS = "marks"  # likewise: separator and decimal mark of its file
_SEPARATORS = ("\t", ",", ";", "|")
_DECIMAL_COMMA = re.compile(r"[+-]?\d+,\d+")
_ESCAPE = "\\"
_MARK_BYTES = 4  # that say which encoding follows
_NUMBER = re.compile(r"[+-]?\d+([.,]\d+)?")


def read_text_table(path: str | Path, encoding: str | None = None) -> pd.DataFrame:
    """Read a .csv, .tsv, .jsonl, .json, .parquet, .feather or .xlsx file; names of columns are texts.

    Cells of text files stay texts, missing ones are empty; quotes in files with tabs are part of the text unless all of
    them are closed. Files without a header get names such as "column 1", which a line in the log says.

    Args:
        path: of the file.
        encoding: of a text file; None finds it.

    Raises:
        InputError: the file is missing, empty, damaged or of an unknown kind, in another encoding than was given, a
            line has too many cells, or two columns have the same name.
    """
    source = Path(path)
    kind = file_kind(source)
    with damage_explained(source, kind):
        frame, first, marks = _read_lines(source, encoding) if kind == "text" else _read_others(source)
    if not len(frame):
        raise InputError(f"Expected rows in {source.name}, found none.")
    refuse_duplicate_names(frame.columns)
    frame = frame.set_axis(list(map(str, frame.columns)), axis=1)
    frame.attrs |= {FIRST_ROW: first, _MARKS: [marks.separator, marks.decimal]}  # as JSON, which Parquet files hold
    return frame


def marks_of(frame: pd.DataFrame) -> TextMarks:
    """Return the marks of the file that a table was read from."""
    return TextMarks(*frame.attrs.get(_MARKS, ()))


def _read_others(source: Path) -> tuple[pd.DataFrame, int, TextMarks]:
    raw = read_raw(source, ReadingOptions())
    return raw.frame, raw.first_row, COMMAS_AND_POINTS


def _read_lines(source: Path, encoding: str | None) -> tuple[pd.DataFrame, int, TextMarks]:
    """Return the cells of a text file, how it counts the first row of them, and its marks."""
    with open_bytes(source) as file:
        content = file.read()
    whole = _decoded(source, content, encoding)
    if (place := whole.find("\0")) >= 0:  # pandas would cut the cell there
        raise InputError(f"{source.name} holds a NUL byte in line {whole.count(chr(10), 0, place) + 1:,}. Remove it.")
    text = whole.lstrip("\n\r")
    first_line = 1 + whole[: len(whole) - len(text)].count("\n")
    first = text.partition("\n")[0]
    separator = max(_SEPARATORS, key=first.count) if any(mark in first for mark in _SEPARATORS) else ","
    options: dict[str, Any] = {
        "sep": separator, "header": None, "dtype": str, "keep_default_na": False, "engine": "c",
        "quoting": csv.QUOTE_NONE if separator == "\t" and not _is_quoted(text) else csv.QUOTE_MINIMAL,
        "escapechar": _ESCAPE if _is_escaped(text, separator) else None,
    }  # fmt: skip
    try:
        rows = pd.read_csv(io.StringIO(text), **options)
    except (pd.errors.ParserError, pd.errors.EmptyDataError) as error:
        raise InputError(
            f"{source.name} cannot be cut into cells: {_in_words(str(error), first_line)}. Put quotes around texts "
            f"that hold {separator!r}, and close them."
        ) from error
    marks = TextMarks(separator, "," if separator != "," and _has_decimal_commas(rows) else ".")
    if _has_header(rows):
        return rows.iloc[1:].reset_index(drop=True).set_axis(list(rows.iloc[0]), axis=1), first_line + 1, marks
    names = [f"column {number}" for number in range(1, rows.shape[1] + 1)]
    logger.warning(
        "%s has no header: its first line has a value of a later one. Columns are called %s.",
        source.name,
        ", ".join(map(repr, names)),
    )
    return rows.set_axis(names, axis=1), first_line, marks


def _in_words(error: str, first_line: int) -> str:
    """Return what pandas says of a line, in words of the file."""
    if found := re.search(r"Expected (\d+) fields in line (\d+), saw (\d+)", error):
        expected, line, cells = map(int, found.groups())
        return f"line {first_line - 1 + line} has {cells} of them, the lines before {expected}"
    if found := re.search(r"EOF inside string starting at row (\d+)", error):
        return f"a quote in line {first_line + int(found[1])} is never closed"
    return error.strip()[:200]


def _decoded(source: Path, content: bytes, given: str | None) -> str:
    """Return text in the encoding that it has, and say where that was guessed."""
    try:
        content.decode("utf-8")
        valid, odd = True, b""
    except UnicodeDecodeError:
        valid, odd = False, odd_lines(content)
    encoding = find_encoding(content[:_MARK_BYTES], odd, valid, given)
    if given is not None:
        return content.decode(given)
    if not encoding.found.startswith("utf"):
        logger.warning(
            Remark(
                f"{source.name} is read in encoding {encoding.found}: {encoding.reason}. Where letters come out wrong, "
                f"name another one with {argument('encoding')}."
            )
        )
    return content.decode(encoding.found, errors="replace")


def _is_quoted(text: str) -> bool:
    """Return whether every cell that begins with a quote ends with one, and has none in between that is not doubled.

    Cells may hold ends of lines where the lines themselves do not have as many cells each.
    """
    cells = [cell for line in text.splitlines() for cell in line.split("\t") if cell.startswith('"')]
    inside = (cell[1:-1].replace('""', "") if len(cell) > 1 and cell.endswith('"') else '"' for cell in cells)
    if bool(cells) and all('"' not in part for part in inside):
        return True
    return len({line.count("\t") for line in text.splitlines() if line}) > 1 and _is_even(text, "\t")


def _is_escaped(text: str, separator: str) -> bool:
    """Return whether quotes within cells have a backslash before them, as Spark and MySQL write them."""
    return f'{_ESCAPE}"' in text and not _is_even(text, separator) and _is_even(text, separator, _ESCAPE)


def _is_even(text: str, separator: str, escape: str | None = None) -> bool:
    """Return whether all quotes are closed and all rows have as many cells, where cells may hold ends of lines."""
    try:
        rows = csv.reader(io.StringIO(text, newline=""), delimiter=separator, strict=True, escapechar=escape)
        return len({len(row) for row in rows if row}) == 1
    except csv.Error:
        return False


def _has_decimal_commas(rows: pd.DataFrame) -> bool:
    """Return whether a column, but for its header and empty cells, holds numbers with decimal commas alone."""
    columns = ([cell for cell in rows[column].iloc[1:] if cell.strip()] for column in rows)
    return any(cells and all(map(_DECIMAL_COMMA.fullmatch, cells)) for cells in columns)


def _has_header(rows: pd.DataFrame) -> bool:
    """Return whether the first row names the columns: none of its cells is a number or comes again in its column."""
    first, later = rows.iloc[0], rows.iloc[1:]
    return not any(
        _NUMBER.fullmatch(cell) or (later[column] == cell).sum() > 1 for column, cell in first.items() if cell.strip()
    )
