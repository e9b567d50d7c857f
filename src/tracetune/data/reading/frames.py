"""Frames of pandas, polars and pyarrow as a `RawTable`: items and times that stand in the index become columns."""

from typing import Any

import narwhals as nw
import numpy as np
import pandas as pd
import pyarrow as pa

from tracetune.base.errors import InputError
from tracetune.data.reading.columns import TIME_NAMES, is_named
from tracetune.data.reading.raw import RawTable, refuse_duplicate_names

_WHOLE_NUMBERS = {
    pa.int8(): pd.Int8Dtype(), pa.int16(): pd.Int16Dtype(), pa.int32(): pd.Int32Dtype(), pa.int64(): pd.Int64Dtype(),
    pa.uint8(): pd.UInt8Dtype(), pa.uint16(): pd.UInt16Dtype(), pa.uint32(): pd.UInt32Dtype(),
    pa.uint64(): pd.UInt64Dtype(),
}  # fmt: skip


def raw_of_frame(frame: Any) -> RawTable:
    """Return any eager frame as a raw table.

    Raises:
        InputError: no frame, or columns of the same name.
    """
    if isinstance(frame, pa.Table):
        return RawTable(frame_of(frame), kind="pyarrow")
    if isinstance(frame, pd.Series):
        frame = frame.to_frame(frame.name if frame.name is not None else "target")
    if not isinstance(frame, pd.DataFrame):
        try:
            narrow = nw.from_native(frame)
            narrow = narrow.collect() if isinstance(narrow, nw.LazyFrame) else narrow
            pandas = _with_whole_numbers(narrow.to_pandas(), _whole_columns(narrow).to_arrow())
            return RawTable(raw_of_frame(pandas).frame, kind=kind_of(frame))
        except (TypeError, AttributeError) as error:
            raise InputError(
                f"Expected a table (pandas, polars or pyarrow) or a path, found {type(frame).__name__}. Give arrays "
                "names: pandas.DataFrame({'timestamp': ..., 'target': ...}); a Forecaster also takes them as they "
                "are, by predict_arrays."
            ) from error
    frame = _index_as_columns(frame)
    names = [_flat(name) for name in frame.columns]
    refuse_duplicate_names(names)
    return RawTable(frame.set_axis(names, axis=1).reset_index(drop=True))


def kind_of(frame: Any) -> str:
    """Return the kind of a frame: ``pandas``, ``polars`` or ``pyarrow``."""
    if isinstance(frame, pa.Table):
        return "pyarrow"
    kind = "pandas" if isinstance(frame, (pd.DataFrame, pd.Series)) else str(nw.from_native(frame).implementation.value)
    return kind if kind in ("polars", "pyarrow") else "pandas"


def frame_of(table: pa.Table) -> pd.DataFrame:
    """Return an Arrow table as a frame with items and times in columns.

    Damaged metadata of pandas, which only names the index, is left out.
    """
    refuse_duplicate_names(table.column_names)
    try:
        frame = table.to_pandas()
    except (ValueError, TypeError, KeyError, AttributeError, IndexError):
        frame = table.to_pandas(ignore_metadata=True)
    frame = _index_as_columns(_with_whole_numbers(frame, table))
    return frame.set_axis([_flat(name) for name in frame.columns], axis=1).reset_index(drop=True)


def _whole_columns(frame: nw.DataFrame[Any]) -> nw.DataFrame[Any]:
    return frame.select([name for name, kind in frame.schema.items() if kind.is_integer()])


def _with_whole_numbers(frame: pd.DataFrame, table: pa.Table) -> pd.DataFrame:
    """Return a frame whose columns of whole numbers are those of the table where cells are missing, not fractions."""
    gappy = [
        field.name
        for field in table.schema
        if pa.types.is_integer(field.type) and table[field.name].null_count and field.name in frame
    ]
    whole = {name: table[name].to_pandas(types_mapper=_WHOLE_NUMBERS.get).array for name in gappy}
    return frame.assign(**whole) if whole else frame


def _flat(name: object) -> str:
    """Return a name of a column; the levels of a name are joined."""
    return "_".join(str(part) for part in name if str(part)) if isinstance(name, tuple) else str(name)


def _index_as_columns(frame: pd.DataFrame) -> pd.DataFrame:
    """Return a frame with its index moved to columns, but for one that only numbers the rows."""
    index = frame.index
    if isinstance(index, pd.MultiIndex):
        taken = {_flat(name) for name in frame.columns}
        levels = [level for level, name in enumerate(index.names) if str(name) not in taken]
        named = index.set_names(
            [name if name is not None else f"level_{level}" for level, name in enumerate(index.names)]
        )
        return _reset(frame.set_axis(named, axis=0), levels)
    dated = isinstance(index, (pd.DatetimeIndex, pd.PeriodIndex)) or _objects_of_dates(index)
    if index.name is None:
        if not dated or any(is_named(name, TIME_NAMES[:6]) for name in frame.columns):
            return frame
        return _reset(frame.rename_axis(index="timestamp"), [0])
    if str(index.name) in {_flat(name) for name in frame.columns}:
        return frame
    numbers = isinstance(index, pd.RangeIndex) and index.step == 1 and index.start == 0
    return frame if numbers and not is_named(index.name, TIME_NAMES) else _reset(frame, [0])


def _reset(frame: pd.DataFrame, levels: list[int]) -> pd.DataFrame:
    return frame.reset_index(level=levels) if levels else frame


def _objects_of_dates(index: pd.Index) -> bool:
    return (
        index.dtype == object
        and len(index) > 0
        and all(hasattr(label, "year") for label in index[: min(20, len(index))])
    )


def refuse_objects(raw: RawTable) -> None:
    """Refuse cells that hold lists, mappings or arrays.

    Raises:
        InputError: names the first one, its row and its column.
    """
    for name in raw.frame.columns:
        cells = raw.frame[name]
        if cells.dtype == object and cells.head(1000).map(_is_collection).any():
            place = int(cells.map(_is_collection).to_numpy().argmax())
            raise InputError(
                f"Column {str(name)!r} holds {type(cells.iloc[place]).__name__} in {raw.row(place)}; expected one "
                "number, text or date a cell. Leave the column out, or spread it over rows or columns."
            )


def _is_collection(cell: object) -> bool:
    return isinstance(cell, (list, dict, set, tuple, np.ndarray))
