"""Tables with a series in each row, its values in a list: GluonTS (start, target), Hugging Face (timestamp, target).

They become tables with a row a step, which are read as any other.
"""

import re
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import numpy as np
import pandas as pd

from tracetune.base.errors import InputError, argument
from tracetune.data.frequency import Offset, as_offset
from tracetune.data.reading.columns import ITEM_NAMES, TIME_NAMES, is_named
from tracetune.data.reading.options import ReadingOptions
from tracetune.data.reading.raw import RawTable, listed, shown
from tracetune.data.reading.start_times import times_from

_VALUES = ("target", "y", "value", "values")
_STARTS = ("start", "start_time", "start_date", "start_timestamp")
_FREQS = ("freq", "frequency")
_TIME = "timestamp"
_OLD_ALIASES = {"H": "h", "T": "min", "S": "s", "M": "MS", "Q": "QS", "A": "YS", "Y": "YS", "W": "W"}  # of Periods


def unnested(raw: RawTable, options: ReadingOptions, label_column: str | None = None) -> RawTable:
    """Return a table with a series in each row as one with a row a step; any other as it is.

    What is as long as the series is a column of steps, what is no list is repeated, and other lists are left out.

    Args:
        raw: the cells.
        options: their ``target`` and ``freq``.
        label_column: with the class of each series, which does not name it, even where each has another.

    Raises:
        InputError: nothing says how long a step is, a list of values is empty, or a target is not as long as another.
    """
    frame, lists = _series_as_arrays(raw.frame), list_columns(raw.frame)
    values = _values_column(frame, lists, options)
    if values is None:
        return raw
    channels = _channels(frame[values], str(values))
    counts = np.array([len(row) for row in channels.iloc[:, 0]])
    others = [name for name in lists if name != values]
    steps = [name for name in others if _has_lengths(frame[name], counts)]
    _require_lengths(raw, counts, frame[[name for name in options.target if name in others]], str(values))
    plain = [name for name in frame.columns if name not in lists and not is_named(name, (*_STARTS, *_FREQS))]
    if any(is_named(name, ITEM_NAMES) and not frame[name].is_unique for name in plain):
        return raw  # several rows of an item: rows are steps, and a list is no number
    table: dict[str, Any] = (
        {}
        if any(is_named(name, ITEM_NAMES) for name in plain)
        else _numbers(frame, [name for name in plain if name != label_column], counts)
    )
    table |= {str(name): np.repeat(frame[name].to_numpy(), counts) for name in plain}
    if not any(is_named(name, TIME_NAMES) for name in steps):
        table[_TIME] = _times(raw, counts, options)
    for name in (name for name in frame.columns if name == values or name in steps):
        table |= {str(each): _joined(cells) for each, cells in (channels if name == values else frame[[name]]).items()}
    left_out = [name for name in others if name not in steps]
    notes = (f"left out {listed('column', left_out)}: not as long as the series",) if left_out else ()
    return replace(raw, frame=pd.DataFrame(table), notes=(*raw.notes, *notes))


def list_columns(frame: pd.DataFrame) -> list[str]:
    """Return the columns of which each filled cell is a list, an array or a Series."""
    return [name for name in frame.columns if _holds_lists(frame[name])]


def _holds_lists(cells: pd.Series) -> bool:
    if cells.dtype != object:
        return False
    filled = (cell for cell in cells if not _is_empty(cell))
    kinds = (list, np.ndarray, pd.Series)
    return isinstance(next(filled, None), kinds) and all(isinstance(cell, kinds) for cell in filled)


def _series_as_arrays(frame: pd.DataFrame) -> pd.DataFrame:
    """Return a frame whose cells hold arrays in place of Series, whose index says nothing here."""
    nested = [name for name in list_columns(frame) if any(isinstance(cell, pd.Series) for cell in frame[name])]
    cells = {
        name: [np.asarray(cell) if isinstance(cell, pd.Series) else cell for cell in frame[name]] for name in nested
    }
    return frame.assign(**{name: pd.Series(found, dtype=object, index=frame.index) for name, found in cells.items()})


def _is_empty(cell: object) -> bool:
    return cell is None or (isinstance(cell, float) and np.isnan(cell))


def _values_column(frame: pd.DataFrame, lists: Sequence[str], options: ReadingOptions) -> str | None:
    """Return the first target where all targets are lists, else a full column of lists with a usual name, or None."""
    if options.target and set(options.target) <= set(lists):
        return options.target[0]
    usual = [name for name in lists if is_named(name, _VALUES)]
    return usual[0] if usual and not frame[usual[0]].map(_is_empty).any() else None


def _channels(cells: pd.Series, name: str) -> pd.DataFrame:
    """Return the lists of each channel: of lists of lists [C, L] one column a channel."""
    if not all(len(cell) and isinstance(cell[0], (list, np.ndarray)) for cell in cells):
        return cells.to_frame(name)
    number = max(len(cell) for cell in cells)
    if any(len(cell) != number or len(set(map(len, cell))) > 1 for cell in cells):
        raise InputError(f"Expected {shown(name)} to have {number} channels of one length in each row. Correct it.")
    return pd.DataFrame({f"{name}_{channel}": [cell[channel] for cell in cells] for channel in range(number)})


def _require_lengths(raw: RawTable, counts: np.ndarray, targets: pd.DataFrame, values: str) -> None:
    """Refuse series without steps, and targets that have not as many steps as the values."""
    if not counts.all():
        place = int((counts == 0).argmax())
        raise InputError(f"The list of {shown(values)} in {raw.row(place)} is empty. Leave the row out.")
    for name, cells in targets.items():
        lengths = np.array([0 if _is_empty(cell) else len(cell) for cell in cells])
        if (differ := lengths != counts).any():
            place = int(differ.argmax())
            raise InputError(
                f"Expected lists of one length in {raw.row(place)}, found {counts[place]:,} steps of "
                f"{shown(values)} and {lengths[place]:,} of {shown(str(name))}. Correct them, or name other columns "
                f"with {argument('target')}."
            )


def _has_lengths(cells: pd.Series, counts: np.ndarray) -> bool:
    """Return whether each row has as many entries, none of them a list, as the series has steps."""
    return all(
        not _is_empty(cell) and len(cell) == count and not (count and isinstance(cell[0], (list, np.ndarray)))
        for cell, count in zip(cells, counts, strict=True)
    )


def _numbers(frame: pd.DataFrame, plain: Sequence[str], counts: np.ndarray) -> dict[str, np.ndarray]:
    """Return a column that numbers the series where nothing names them."""
    names = [name for name in plain if not pd.api.types.is_float_dtype(frame[name])]  # no fractions
    named = any(frame[name].notna().all() and frame[name].is_unique for name in names)
    return {} if named else {ITEM_NAMES[0]: np.repeat(np.arange(1, len(frame) + 1), counts)}


def _joined(cells: pd.Series) -> np.ndarray:
    """Return the entries of all lists one after the other."""
    return pd.Series([entry for cell in cells for entry in cell], dtype=object).infer_objects().to_numpy()


def _times(raw: RawTable, counts: np.ndarray, options: ReadingOptions) -> np.ndarray | pd.Index:
    """Return the times of all series one after the other: from the start of each, or numbers where none has one.

    Raises:
        InputError: a start that is no date, or nothing that says how long a step is.
    """
    starts = next((name for name in raw.frame.columns if is_named(name, _STARTS)), None)
    if starts is None:
        return np.concatenate([np.arange(count) for count in counts])
    steps = _steps(raw, str(starts), options)
    parts = []
    for place, (start, step, count) in enumerate(zip(raw.frame[starts], steps, counts, strict=True)):
        try:
            parts.append(times_from(pd.Timestamp(str(start)), step, count))
        except (ValueError, OverflowError) as error:
            raise InputError(
                f"Expected a date in column {shown(str(starts))}, found {shown(start)} in {raw.row(place)}."
            ) from error
    return parts[0].append(parts[1:])


def _steps(raw: RawTable, starts: str, options: ReadingOptions) -> list[Offset]:
    """Return how long a step of each series is: as was given, else as a column says."""
    if options.freq is not None:
        return [as_offset(options.freq)] * len(raw.frame)
    column = next((name for name in raw.frame.columns if is_named(name, _FREQS)), None)
    if column is None:
        raise InputError(
            f"Column {shown(starts)} says when series begin, but nothing how long a step is. Give it, e.g. as "
            f"{argument('freq', 'MS')}, {argument('freq', 'D')} or {argument('freq', 'h')}."
        )
    known = {text: as_offset(_alias(text)) for text in raw.frame[column].astype(str).unique()}
    return [known[text] for text in raw.frame[column].astype(str)]


def _alias(text: str) -> str:
    """Return a frequency as pandas writes it now: "H" was "h", "A-DEC" "YS"."""
    parts = re.fullmatch(r"(\d*)([A-Z])(-[A-Z]+)?", text)
    if parts is None or parts[2] not in _OLD_ALIASES:
        return text
    anchor = (parts[3] or "") if parts[2] == "W" else ""
    return f"{parts[1]}{_OLD_ALIASES[parts[2]]}{anchor}"
