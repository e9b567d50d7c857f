"""Tables in workbooks: Excel and OpenDocument."""

from pathlib import Path
from typing import Any

import pandas as pd

from tracetune.base.errors import InputError, argument
from tracetune.data.reading.options import ReadingOptions
from tracetune.data.reading.raw import Decision, RawTable, listed, refuse_duplicate_names, shown_path

_WHOLE = 2**53  # up to here a float holds every whole number


def read_workbook(source: Path, options: ReadingOptions) -> RawTable:
    """Read the cells of a sheet: the one that is asked for, or the first; rows before its header are left out.

    Raises:
        InputError: no such sheet, one without cells, or two columns of one name.
    """
    import python_calamine

    with python_calamine.CalamineWorkbook.from_path(str(source)) as book:
        name = _sheet(book.sheet_names, options.sheet)
        cells = book.get_sheet_by_name(name).to_python(skip_empty_area=True)
    rows: list[list[object]] = [[None if cell == "" else cell for cell in row] for row in cells]
    width = max((sum(cell is not None for cell in row) for row in rows), default=0)
    if width == 0:
        raise InputError(f"Expected a table in sheet {name!r} of {shown_path(source)}, found no cells.")
    header = next(
        place
        for place, row in enumerate(rows)
        if sum(cell is not None for cell in row) >= max(2, width - 1) or width == 1
    )
    names = ["" if cell is None else str(_plain(cell)) for cell in rows[header]]
    last = max(place for row in rows[header:] for place, cell in enumerate(row) if cell is not None) + 1
    names = [name or f"Unnamed: {place}" for place, name in enumerate(names[:last])]
    refuse_duplicate_names(names)
    body = [row[:last] for row in rows[header + 1 :]]
    frame = pd.DataFrame(body, columns=names, dtype=object).infer_objects().apply(_whole_numbers)
    notes = [f"left out {header} row{'s' if header > 1 else ''} before the header"] if header else []
    others = [each for each in book.sheet_names if each != name]
    reason = (
        "it was given"
        if options.sheet
        else "it is the first of " + str(1 + len(others))
        if others
        else "it is the only one"
    )
    decision = Decision("sheet", name, reason, "sheet", name)
    return RawTable(frame, header + 2, (decision,), tuple(notes))


def _whole_numbers(column: pd.Series) -> pd.Series:
    """Return a column as integers where it holds whole numbers alone: workbooks have no other kind than floats."""
    if pd.api.types.is_float_dtype(column.dtype) and (column % 1 == 0).all() and column.abs().max() < _WHOLE:
        return column.astype("int64")
    return column


def _plain(cell: Any) -> object:
    """Return a cell of a header without what workbooks add: a date has no midnight, a whole number no fraction."""
    if isinstance(cell, float) and cell.is_integer():
        return int(cell)
    return cell.date() if hasattr(cell, "date") and _midnight(cell) else cell


def _midnight(cell: Any) -> bool:
    return not hasattr(cell, "hour") or (cell.hour, cell.minute, cell.second) == (0, 0, 0)


def _sheet(names: list[str], wanted: str | None) -> str:
    if wanted is None:
        return names[0]
    if wanted in names:
        return wanted
    if str(wanted).isdecimal() and 1 <= int(wanted) <= len(names):
        return names[int(wanted) - 1]
    raise InputError(f"Expected {argument('sheet')} as one of {listed('sheet', names)}, found {wanted!r}.")
