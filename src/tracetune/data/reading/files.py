"""Files of tables: which kind one is by its content, and its cells as a `RawTable`."""

import codecs
import csv
import gzip
import io
import warnings
import zipfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, BinaryIO

import pandas as pd
import pyarrow as pa
from pyarrow import parquet

from tracetune.base.errors import InputError, argument, either
from tracetune.data.reading.dialect import Dialect, find_dialect
from tracetune.data.reading.encodings import ODD_BYTES, find_encoding, odd_lines
from tracetune.data.reading.frames import frame_of
from tracetune.data.reading.json_files import read_json
from tracetune.data.reading.nested import unnested
from tracetune.data.reading.options import ReadingOptions
from tracetune.data.reading.raw import RawTable, listed, refuse_duplicate_names, shown, shown_path
from tracetune.data.reading.tsf_files import read_tsf
from tracetune.data.reading.workbooks import read_workbook

TEXT_SUFFIXES = (".csv", ".tsv", ".txt", ".tab", ".dat", ".data")
SUFFIXES = (
    ".csv",
    ".tsv",
    ".txt",
    ".csv.gz",
    ".zip",
    ".xlsx",
    ".xls",
    ".ods",
    ".parquet",
    ".feather",
    ".json",
    ".jsonl",
    ".tsf",
)
_WORKBOOKS = (".xlsx", ".xls", ".ods", ".xlsm", ".xlsb")
_BLOCK = 1 << 20
_SAMPLE_BYTES = 1 << 18


def read_raw(path: str | Path, options: ReadingOptions, label_column: str | None = None) -> RawTable:
    """Read the cells of a file; ``label_column``: see `unnested`.

    Raises:
        InputError: the file is missing, empty, damaged or of an unknown kind, or its dialect can be two.
    """
    source = Path(path)
    kind = file_kind(source)
    with damage_explained(source, kind):
        if kind == "text":
            return _read_text(source, options)
        if kind == "workbook":
            return read_workbook(source, options)
        if kind == "json":
            with open_bytes(source) as file:
                frame = read_json(file.read(), source)
        elif kind == "tsf":
            frame = read_tsf(source)
        elif kind == "feather":
            frame = frame_of(pa.ipc.open_file(source).read_all())
        else:
            frame = frame_of(parquet.read_table(source))
    return unnested(RawTable(frame, 0 if kind in ("parquet", "feather") else 1), options, label_column)


def file_kind(source: Path) -> str:
    """Return what a file holds: text, workbook, json, tsf, parquet or feather; its content counts, then its suffix.

    Raises:
        InputError: the file is missing, empty, or of another kind.
    """
    begin = _first_bytes(source)
    suffixes = "".join(source.suffixes[-2:]).lower()
    if begin.startswith(b"PAR1"):
        return "parquet"
    if begin.startswith(b"ARROW1"):
        return "feather"
    if begin.startswith(b"\xd0\xcf\x11\xe0") or (begin.startswith(b"PK\x03\x04") and _is_workbook(source)):
        return "workbook"
    if begin.lstrip()[:9].lower() in (b"<!doctype", b"<html>") or begin.lstrip()[:5].lower() == b"<html":
        raise InputError(f"{shown_path(source)} is a web page, not a table. Download the table itself.")
    inner = source.suffix.lower() if source.suffix.lower() not in (".gz", ".zip") else Path(source.stem).suffix.lower()
    if inner in (".json", ".jsonl", ".ndjson"):
        return "json"
    if inner in TEXT_SUFFIXES or source.suffix.lower() == ".zip":
        return "text"
    if inner in (".parquet", ".feather", *_WORKBOOKS):
        raise InputError(
            f"{shown_path(source)} cannot be read as {inner[1:]}: it does not begin like one. It is damaged or cut "
            "short; restore it from its source, or give it the suffix of what it is."
        )
    if suffixes.endswith(".tsf"):
        return "tsf"
    if suffixes.endswith(".ts"):
        raise InputError(
            f"Expected a table, found {shown_path(source.name)}: .ts files hold labelled series, which "
            f"{either('Classifier', 'tracetune finetune --task classification')} takes."
        )
    raise InputError(
        f"Expected a table file ending in one of {', '.join(SUFFIXES)}, found {shown_path(suffixes or source.name)!r}."
    )


def _is_workbook(source: Path) -> bool:
    try:
        with zipfile.ZipFile(source) as archive:
            names = set(archive.namelist())
            return "xl/workbook.xml" in names or "xl/workbook.bin" in names or "content.xml" in names
    except zipfile.BadZipFile:
        return source.suffix.lower() in _WORKBOOKS


def _first_bytes(source: Path) -> bytes:
    try:
        if not source.is_file():
            found = "that is a folder" if source.is_dir() else "there is no such file"
            raise InputError(f"Expected a table at {shown_path(source)}; {found}.")
        with open(source, "rb") as file:
            begin = file.read(512)
    except OSError as error:
        raise InputError(f"{shown_path(source)} cannot be opened: {error.strerror}.") from error
    if not begin:
        raise InputError(f"Expected a table in {shown_path(source)}, found an empty file.")
    return begin


@contextmanager
def damage_explained(source: Path, kind: str) -> Iterator[None]:
    """Turn what readers raise about a file of this kind into an InputError."""
    try:
        yield
    except InputError:
        raise
    except ImportError as error:
        raise InputError(
            f"Reading {shown_path(source)} needs a package: pip install 'tracetune[excel]' ({error})."
        ) from error
    except (MemoryError, RecursionError):
        raise
    except UnicodeDecodeError as error:
        found = ", ".join(f"0x{byte:02X}" for byte in error.object[error.start : error.end][:4])
        raise InputError(
            f"Expected text in encoding {error.encoding} in {shown_path(source)}, found bytes that it does not have "
            f"({found}). Name another one with {argument('encoding')}, or restore the file from its source."
        ) from error
    except Exception as error:  # readers raise nearly anything on damaged files
        text = str(error).replace("\n", " ")
        raise InputError(
            f"{shown_path(source)} cannot be read as {kind}: {text[:300]}. It is damaged or cut short; restore it from "
            "its source."
        ) from error


@contextmanager
def open_bytes(source: Path) -> Iterator[BinaryIO]:
    """Open a text file for reading its bytes, unpacked where it is packed."""
    with open(source, "rb") as file:
        magic = file.read(4)
        file.seek(0)
        if magic.startswith(b"\x1f\x8b"):
            with gzip.open(file) as unpacked:
                yield unpacked  # type: ignore[misc]
        elif magic == b"PK\x03\x04":
            with zipfile.ZipFile(file) as archive, archive.open(_member(source, archive)) as unpacked:
                yield unpacked  # type: ignore[misc]
        else:
            yield file


def text_dialect(source: Path, options: ReadingOptions) -> Dialect:
    """Return the dialect of a text file, by its beginning; all of it is checked for what no text has.

    Raises:
        InputError: NUL bytes, bytes of another encoding than was given, UTF-8 that is damaged, no columns, marks that
            can be two.
    """
    with open_bytes(source) as file:
        sample = file.read(_SAMPLE_BYTES)
    valid, whole, odd = _scan(source, marked=sample[:2] in (b"\xff\xfe", b"\xfe\xff"))
    encoding = find_encoding(sample, odd, valid, options.encoding)
    text = codecs.getincrementaldecoder(encoding.found)(errors="replace").decode(sample)
    dialect = find_dialect(text, whole, encoding, options)
    refuse_duplicate_names([name for name in dialect.names if name])
    return dialect


def text_frames(source: Path, dialect: Dialect, rows: int | None = None) -> Iterator[pd.DataFrame]:
    """Yield a text table as frames of text cells, ``rows`` rows each (None: one frame), as the dialect cuts it."""
    names = list(range(len(dialect.names)))
    arguments: dict[str, Any] = {
        "sep": r"\s+" if dialect.separator == " " else dialect.separator,
        "header": None, "names": names, "index_col": False, "dtype": str, "keep_default_na": False, "na_filter": False,
        "skipinitialspace": True, "skip_blank_lines": True, "on_bad_lines": "error",
        "comment": None, "engine": "c",
    }  # fmt: skip
    with (
        open_bytes(source) as file,
        io.TextIOWrapper(file, dialect.encoding, newline="") as text,
        warnings.catch_warnings(),
    ):
        warnings.simplefilter("error", pd.errors.ParserWarning)
        for _ in range(dialect.skipped + dialect.has_header):
            text.readline()
        try:
            for frame in _frames(text, rows, arguments):
                yield _tidy(frame, dialect)
        except pd.errors.EmptyDataError:
            yield pd.DataFrame(columns=list(_unique_names(dialect)), dtype=object)
        except (pd.errors.ParserWarning, pd.errors.ParserError) as error:
            raise _ragged(source, dialect, error) from error


def _frames(text: io.TextIOBase, rows: int | None, arguments: dict[str, Any]) -> Iterator[pd.DataFrame]:
    """Yield what pandas reads of a text, ``rows`` rows at a time, or in one piece."""
    if rows is None:
        yield pd.read_csv(text, **arguments)
        return
    with pd.read_csv(text, chunksize=rows, **arguments) as blocks:
        yield from blocks


def _read_text(source: Path, options: ReadingOptions) -> RawTable:
    dialect = text_dialect(source, options)
    (frame,) = text_frames(source, dialect)
    return text_table(frame, dialect)


def text_table(frame: pd.DataFrame, dialect: Dialect, before: int = 0) -> RawTable:
    """Return the table of a frame of text cells; ``before`` rows of the file stand above it."""
    first_row = dialect.skipped + dialect.has_header + 1 + before
    return RawTable(
        frame, first_row, dialect.decisions, dialect.notes, dialect.decimal, dialect.thousands,
        separator=dialect.separator,
    )  # fmt: skip


def _tidy(frame: pd.DataFrame, dialect: Dialect) -> pd.DataFrame:
    """Return cells without blanks around them, under their names."""
    frame = frame.fillna("").set_axis(list(_unique_names(dialect)), axis=1)
    frame = frame.apply(lambda column: column.str.strip() if _has_blanks(column) else column)
    if dialect.comments and len(frame.columns):
        first = frame.iloc[:, 0]
        frame = frame[~first.str.startswith("#")]
    return frame


def _has_blanks(column: pd.Series) -> bool:
    return bool((column.str[-1:] == " ").any() or (column.str[:1] == " ").any())


def _unique_names(dialect: Dialect) -> list[str]:
    return [name or f"Unnamed: {place}" for place, name in enumerate(dialect.names)]


def _scan(source: Path, marked: bool) -> tuple[bool, bool, bytes]:
    """Return whether all bytes of a file fit UTF-8, whether they fit into a sample, and lines that are not ASCII.

    NUL bytes are refused.
    """
    decoder = codecs.getincrementaldecoder("utf-8")()
    valid, size, lines, odd = True, 0, 0, b""
    with open_bytes(source) as file:
        while block := file.read(_BLOCK):
            if not marked and (place := block.find(b"\0")) >= 0:
                lines += block.count(b"\n", 0, place)
                raise InputError(
                    f"{shown_path(source)} holds a NUL byte in line {lines + 1:,}, which no text has. Remove it, or "
                    "restore the file from its source."
                )
            lines += block.count(b"\n")
            size += len(block)
            before, valid = valid, valid and _fits(decoder, block)
            if len(odd) < ODD_BYTES or before != valid:
                odd += odd_lines(block)
    return valid, size <= _SAMPLE_BYTES, odd


def _fits(decoder: codecs.IncrementalDecoder, block: bytes) -> bool:
    try:
        decoder.decode(block)
    except UnicodeDecodeError:
        return False
    return True


def _ragged(source: Path, dialect: Dialect, error: Exception) -> InputError:
    """Return the error for a line with more cells than the header, with the line as the file counts it."""
    width = len(dialect.names)
    with open_bytes(source) as file, io.TextIOWrapper(file, dialect.encoding, newline="") as text:
        reader = csv.reader(text, delimiter=dialect.separator, skipinitialspace=True)
        lines = ((reader.line_num, row) for row in reader)
        try:
            longer = next((line for line in lines if line[0] > dialect.skipped + 1 and len(line[1]) > width), None)
        except csv.Error:
            longer = None
    if longer is None:
        cut = f"{shown_path(source)} cannot be cut into cells: {str(error)[:200]}"
        return InputError(f"{cut}. Correct it, or restore it.")
    number, cells = longer
    return InputError(
        f"{shown_path(source)}: expected {width} cells in each line as in the header, found {len(cells)} in line "
        f"{number:,} ({shown(dialect.separator.join(cells))}). Correct the line, or put quotes around cells that hold "
        f"{dialect.separator!r}."
    )


def _member(source: Path, archive: zipfile.ZipFile) -> zipfile.ZipInfo:
    """Return the one table of an archive."""
    tables = [
        info for info in archive.infolist()
        if info.filename.lower().endswith(TEXT_SUFFIXES) and not info.filename.startswith("__MACOSX")
    ]  # fmt: skip
    if len(tables) != 1:
        names = [info.filename for info in archive.infolist()]
        raise InputError(
            f"Expected one text table in {shown_path(source)}, found {len(tables)} ({listed('file', names)}). Unpack "
            "the archive."
        )
    return tables[0]
