"""Tables written chunk by chunk, as one file that is whole or absent."""

import gzip
from collections.abc import Iterable
from contextlib import closing
from itertools import chain
from pathlib import Path
from typing import TextIO

import numpy as np
import pandas as pd
import pyarrow as pa
from pyarrow import parquet

from tracetune.base.errors import InputError
from tracetune.base.files import staged_file
from tracetune.data.json_records import json_records
from tracetune.data.table_files import table_kind
from tracetune.data.text_marks import COMMAS_AND_POINTS, TextMarks

PIECEWISE = ("csv", "csv.gz", "tsv", "parquet", "jsonl")
_REWRITTEN_ROWS = 100_000
_UNITS = ("D", "s", "ms", "us", "ns")  # how finely pandas writes moments to CSV: as finely as a column needs


def write_frames(frames: Iterable[pd.DataFrame], path: str | Path, marks: TextMarks = COMMAS_AND_POINTS) -> int:
    """Write frames of the same columns below each other as ``.csv``, ``.csv.gz``, ``.tsv``, ``.parquet`` or ``.jsonl``.

    The file is there when the last frame is written, and has the text that one frame of all rows would give. Returns
    the number of rows. ``marks`` are those of text, see `TextMarks.in_file`.

    Raises:
        InputError: another suffix, or no frame.
    """
    target = Path(path)
    kind = table_kind(target, PIECEWISE)
    rest = iter(frames)
    first = next(rest, None)  # before a file is made: most bad input shows in the first chunk
    if first is None:
        raise InputError(f"Expected tables to write to {target}, found none.")
    rows = 0
    with staged_file(target) as temporary, closing(_open(temporary, kind, marks)) as file:
        for frame in chain([first], rest):
            file.write(frame)
            rows += len(frame)
    return rows


def _open(path: Path, kind: str, marks: TextMarks) -> "_ParquetFile | _JsonLines | _CsvFile":
    if kind == "parquet":
        return _ParquetFile(path)
    return _JsonLines(path) if kind == "jsonl" else _CsvFile(path, kind, marks.in_file(kind))


class _JsonLines:
    """A text file that grows by a JSON object a row."""

    def __init__(self, path: Path) -> None:
        self._stream = path.open("w", encoding="utf-8")

    def write(self, frame: pd.DataFrame) -> None:
        self._stream.writelines(f"{record}\n" for record in json_records(frame))

    def close(self) -> None:
        self._stream.close()


class _ParquetFile:
    """A Parquet file that grows by frames; the first one settles its schema."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._writer: parquet.ParquetWriter | None = None

    def write(self, frame: pd.DataFrame) -> None:
        schema = None if self._writer is None else self._writer.schema
        table = pa.Table.from_pandas(frame, schema=schema, preserve_index=False)
        if self._writer is None:
            self._writer = parquet.ParquetWriter(self._path, table.schema)
        self._writer.write_table(table)

    def close(self) -> None:
        if self._writer is not None:
            self._writer.close()


class _CsvFile:
    """A text file that grows by frames.

    Pandas writes moments as finely as a column needs: days alone if all are midnights. A frame that needs a finer form
    than those before rewrites them, or readers would find two forms in one column.
    """

    def __init__(self, path: Path, kind: str, marks: TextMarks, units: dict[str, str] | None = None) -> None:
        self._path = path
        self._kind = kind
        self._marks = marks
        self._units: dict[str, str] = units or {}
        self._empty = True
        self._stream = self._open("w")

    def write(self, frame: pd.DataFrame) -> None:
        units = {name: _unit(frame[name]) for name in frame.select_dtypes("datetime").columns}
        finest = {name: max(unit, self._units.get(name, "D"), key=_UNITS.index) for name, unit in units.items()}
        if not self._empty and finest != self._units:
            self._rewrite(finest)
        self._units = finest
        frame = frame.copy(deep=False)
        for name, unit in finest.items():
            frame[name] = _text(frame[name], unit)
        frame.to_csv(
            self._stream, index=False, header=self._empty, sep=self._marks.separator, decimal=self._marks.decimal
        )
        self._empty = False

    def close(self) -> None:
        self._stream.close()

    def _open(self, mode: str) -> TextIO:
        if self._kind == "csv.gz":
            return gzip.open(self._path, f"{mode}t", encoding="utf-8", newline="")  # type: ignore[return-value]  # by the mode
        return self._path.open(f"{mode}t", encoding="utf-8", newline="")  # type: ignore[return-value]

    def _rewrite(self, units: dict[str, str]) -> None:
        self._stream.close()
        with (
            staged_file(self._path) as temporary,
            closing(_CsvFile(temporary, self._kind, self._marks, units)) as finer,
            pd.read_csv(
                self._path, dtype=str, keep_default_na=False, chunksize=_REWRITTEN_ROWS, sep=self._marks.separator
            ) as chunks,
        ):
            for chunk in chunks:
                finer.write(chunk.assign(**{name: pd.to_datetime(chunk[name], format="ISO8601") for name in units}))
        self._stream = self._open("a")


def _unit(column: pd.Series) -> str:
    """Return the coarsest unit that holds all moments."""
    moments = column.dropna().to_numpy("datetime64[ns]")
    return next(unit for unit in _UNITS if (moments.astype(f"datetime64[{unit}]") == moments).all())


def _text(column: pd.Series, unit: str) -> pd.Series:
    moments = column.to_numpy(f"datetime64[{unit}]")
    text = pd.Series(np.char.replace(np.datetime_as_string(moments), "T", " "), column.index, dtype=object)
    return text.where(column.notna(), None)
