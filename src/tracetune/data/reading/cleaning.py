"""Leave out what is no data before anything is decided: empty columns and rows, rows of totals and sources."""

import re
from dataclasses import replace

import numpy as np
import pandas as pd

from tracetune.base.errors import InputError
from tracetune.data.reading.missing import is_textual
from tracetune.data.reading.numbers import as_numbers, looks_like_number
from tracetune.data.reading.raw import RawTable, shown

_TOTAL = re.compile(
    r"(grand |sub)?totals?( "
    r".*)?|sums?|summe|gesamt|average|mean|mittelwert|(source|note|notes|quelle|footnote)s?\b.*|\*.*|"
    r"last updated.*|data from.*",
    re.IGNORECASE,
)
_LAST_ROWS = 12
_FEWEST_BELOW = 4  # rows below one of units
_SAMPLED = 60


def clean(raw: RawTable, keep_rows: bool = False) -> tuple[RawTable, list[str]]:
    """Return the table without what is no data, and what was left out.

    Raises:
        InputError: nothing is left.
    """
    notes = list(raw.notes)
    frame = raw.frame
    empty = [name for name in frame.columns if re.fullmatch(r"Unnamed: \d+", str(name)) and _blank(frame[name]).all()]
    if empty:
        frame = frame.drop(columns=empty)
        notes.append(f"left out {len(empty)} empty {'column' if len(empty) == 1 else 'columns'} without a name")
    if not len(frame.columns):
        raise InputError("Expected columns with names, found none.")
    if keep_rows:
        return replace(raw, frame=frame), notes
    frame, said = _without_last_rows(frame, raw)
    if units := _units_row(frame, raw):
        said.append(f"left out {raw.row(0)} below the header, which holds units: {units}")
        frame, raw = frame.iloc[1:].reset_index(drop=True), replace(raw, first_row=raw.first_row + 1)
    return replace(raw, frame=frame), [*notes, *said]


def _units_row(frame: pd.DataFrame, raw: RawTable) -> str:
    """Return the units in the first row of a table, "" where it holds none: words over columns of numbers alone."""
    if len(frame) < _FEWEST_BELOW or any(looks_like_number(str(cell)) for cell in frame.iloc[0]):
        return ""
    if not all(is_textual(frame[name]) for name in frame.columns):
        return ""
    first, below = frame.iloc[:1], frame.iloc[1:_SAMPLED]
    numeric = [name for name in frame.columns if _all_numbers(below[name], raw)]
    others = [name for name in frame.columns if name not in numeric]
    if not numeric or any(not as_numbers(first[name], raw).wrong.all() for name in numeric):
        return ""
    if any(re.search(r"\d", str(cell)) or cell in set(below[name]) for name in others for cell in first[name] if cell):
        return ""
    return ", ".join(str(first[name].iloc[0]) for name in numeric[:6])


def _all_numbers(cells: pd.Series, raw: RawTable) -> bool:
    numbers = as_numbers(cells, raw)
    return not numbers.wrong.any() and bool(np.isfinite(numbers.values).any())


def _without_last_rows(frame: pd.DataFrame, raw: RawTable) -> tuple[pd.DataFrame, list[str]]:
    """Return the frame without empty rows and rows of totals at its end."""
    last = len(frame)
    notes = []
    while last > 0 and len(frame) - last < _LAST_ROWS:
        cells = frame.iloc[last - 1]
        filled = [cell for cell in cells if not _is_blank(cell)]
        if filled and not any(isinstance(cell, str) and _TOTAL.fullmatch(cell.strip()) for cell in filled[:2]):
            break
        if filled:
            notes.append(f"left out {raw.row(last - 1)} at the end, which begins with {shown(filled[0])}")
        last -= 1
    if last == 0:
        return frame, []
    return frame.iloc[:last], notes


def _blank(cells: pd.Series) -> np.ndarray:
    blank = cells.isna()
    return (blank | cells.eq("") if is_textual(cells) else blank).to_numpy(bool)


def _is_blank(cell: object) -> bool:
    missing = pd.api.types.is_scalar(cell) and bool(pd.isna(cell))  # type: ignore[call-overload]
    return missing or (isinstance(cell, str) and not cell)
