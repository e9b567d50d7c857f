"""Rows of results as Markdown, on the terminal, and as files."""

import csv
import json
from collections.abc import Mapping, Sequence
from datetime import datetime, time
from numbers import Integral, Real
from pathlib import Path
from typing import TYPE_CHECKING, Literal

import numpy as np
from rich.box import SIMPLE_HEAD
from rich.cells import cell_len
from rich.console import Console
from rich.table import Table
from rich.text import Text

from tracetune.base.errors import InputError
from tracetune.base.files import staged_file

if TYPE_CHECKING:  # a command that lists names needs no pandas
    import pandas as pd

Row = Mapping[str, object]

_BOOLEAN = (bool, np.bool_)


def frame_rows(frame: "pd.DataFrame") -> list[dict[str, object]]:
    """Return the rows of a data frame."""
    return [{str(name): value for name, value in row.items()} for row in frame.to_dict("records")]


def markdown_table(rows: Sequence[Row], columns: Sequence[str] | None = None) -> str:
    """Return rows as a Markdown table that is aligned in its source too.

    Args:
        rows: each a mapping from column to value; what is absent stays empty.
        columns: which, in this order; None takes all, in order of first appearance.

    Returns:
        The table without a line break at its end; empty where there is no column.
    """
    columns = _columns(rows, columns)
    if not columns:
        return ""
    cells = [[_escaped(cell) for cell in line] for line in _lines(rows, columns)]
    numeric = [_is_numeric(rows, column) for column in columns]
    header = [_escaped(column) for column in columns]
    widths = [max(3, *(len(line[i]) for line in (header, *cells))) for i in range(len(columns))]
    rule = ["-" * (width - 1) + (":" if right else "-") for width, right in zip(widths, numeric, strict=True)]
    return "\n".join(_markdown_line(line, widths, numeric) for line in (header, rule, *cells))


def print_table(
    title: str, rows: Sequence[Row], columns: Sequence[str] | None = None, console: Console | None = None
) -> None:
    """Print rows on the terminal under a title.

    Args:
        title: stands above the table.
        rows: as for `markdown_table`.
        columns: as for `markdown_table`.
        console: where to print; None for standard output.
    """
    columns = _columns(rows, columns)
    lines = _lines(rows, columns)
    table = Table(title=Text(title, style="bold"), title_justify="left", box=SIMPLE_HEAD, padding=(0, 1, 0, 0))
    for index, column in enumerate(columns):
        numeric = _is_numeric(rows, column)
        justify: Literal["left", "right"] = "right" if numeric else "left"
        header = Text(column.replace("_", " "))
        # Numbers and names stay whole, to be copied; headers are broken between words where there is no room for them.
        whole = [*header.plain.split(), *(line[index] for line in lines)]
        widest = max(map(len, whole)) if numeric else None
        table.add_column(header, justify=justify, no_wrap=index == 0, min_width=widest, overflow="fold")
    for line in lines:
        table.add_row(*map(Text, line))
    console = console or Console()
    drawn = "".join(segment.text for segment in console.render(table)).splitlines()
    needed = max(cell_len(line.rstrip(" ─")) for line in drawn)
    console.print(table, crop=needed <= console.width)  # a table that is too wide runs on, and loses nothing


def shown_cells(rows: Sequence[Row]) -> tuple[list[tuple[str, bool]], list[list[str]]]:
    """Return the columns of rows, each with whether it holds numbers, and the cells for reading."""
    columns = _columns(rows, None)
    return [(column, _is_numeric(rows, column)) for column in columns], _lines(rows, columns)


def write_rows(path: str | Path, rows: Sequence[Row], columns: Sequence[str] | None = None) -> None:
    """Write rows with all their digits to a ``.csv``, ``.json`` or ``.md`` file, whole or not at all.

    CSV leaves absent values empty; JSON turns values that are not finite into null; Markdown rounds as for reading.

    Raises:
        InputError: another suffix.
    """
    suffix = Path(path).suffix.lower()
    if suffix not in _WRITERS:
        raise InputError(f"Expected a file name that ends in {', '.join(_WRITERS)}, found {Path(path).name!r}.")
    with staged_file(path) as temporary:
        _WRITERS[suffix](temporary, rows, _columns(rows, columns))


def format_value(value: object) -> str:
    """Return a value for reading: four significant digits, thousands apart, nothing for None."""
    if value is None:
        return ""
    if isinstance(value, _BOOLEAN):
        return "yes" if value else "no"
    if isinstance(value, Integral):
        return f"{int(value):,}"
    if not isinstance(value, Real):
        return str(value)
    number = float(value)
    return f"{number:,.0f}" if 999.95 <= abs(number) < 1e15 else f"{number:#.4g}"


def _columns(rows: Sequence[Row], columns: Sequence[str] | None) -> list[str]:
    return list(columns) if columns is not None else list(dict.fromkeys(column for row in rows for column in row))


def _lines(rows: Sequence[Row], columns: Sequence[str]) -> list[list[str]]:
    """Return the cells of each row for reading; columns of days are without hours, of whole minutes without seconds."""
    days = {column for column in columns if all(_is_day(row.get(column)) for row in rows)}
    minutes = {column for column in columns if all(_is_minute(row.get(column)) for row in rows)}

    def cell(name: str, value: object) -> str:
        if not isinstance(value, datetime) or name not in minutes:
            return format_value(value)
        return str(value)[:10] if name in days else value.isoformat(" ", "minutes")

    return [[cell(name, row.get(name)) for name in columns] for row in rows]


def _is_day(value: object) -> bool:
    """Return whether a value is midnight of a day without a zone; what is absent may be one."""
    if not isinstance(value, datetime) or not _is_minute(value):
        return value is None
    return value.tzinfo is None and value.time() == time()


def _is_minute(value: object) -> bool:
    """Return whether a value is a time at the beginning of a minute; what is absent may be one."""
    if value is None or not isinstance(value, datetime):
        return value is None
    return value == value and value == value.replace(second=0, microsecond=0)  # NaT is no time, nor itself


def _is_numeric(rows: Sequence[Row], column: str) -> bool:
    values = [row[column] for row in rows if row.get(column) is not None]
    return bool(values) and all(isinstance(value, Real) and not isinstance(value, _BOOLEAN) for value in values)


def _escaped(text: str) -> str:
    return text.replace("|", "\\|").replace("\n", " ")


def _markdown_line(cells: Sequence[str], widths: Sequence[int], numeric: Sequence[bool]) -> str:
    padded = [
        cell.rjust(width) if right else cell.ljust(width)
        for cell, width, right in zip(cells, widths, numeric, strict=True)
    ]
    return f"| {' | '.join(padded)} |"


def _write_csv(path: Path, rows: Sequence[Row], columns: Sequence[str]) -> None:
    with path.open("w", newline="", encoding="utf-8") as file:
        writer = csv.DictWriter(file, columns, extrasaction="ignore", lineterminator="\n")
        writer.writeheader()
        writer.writerows(rows)


def _write_json(path: Path, rows: Sequence[Row], columns: Sequence[str]) -> None:
    content = [{column: _plain(row[column]) for column in columns if column in row} for row in rows]
    path.write_text(json.dumps(content, indent=2, allow_nan=False) + "\n", encoding="utf-8")


def _write_markdown(path: Path, rows: Sequence[Row], columns: Sequence[str]) -> None:
    path.write_text(markdown_table(rows, columns) + "\n", encoding="utf-8")


def _plain(value: object) -> object:
    """Return NumPy numbers as Python's, and null for what JSON has no number for."""
    if isinstance(value, _BOOLEAN):
        return bool(value)
    if not isinstance(value, Real):
        return value
    if isinstance(value, Integral):
        return int(value)
    number = float(value)
    return number if abs(number) < float("inf") else None


_WRITERS = {".csv": _write_csv, ".json": _write_json, ".md": _write_markdown}
