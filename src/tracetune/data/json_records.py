"""Rows of a table as JSON objects, with all digits of their numbers.

``DataFrame.to_json`` rounds to ten decimals, fifteen at most: 1.23e-14 would lose digits.
"""

import json
from collections.abc import Iterator

import numpy as np
import pandas as pd


def json_records(frame: pd.DataFrame) -> Iterator[str]:
    """Yield a JSON object for each row; moments are ISO 8601 with their zone, what is missing or infinite is null."""
    names = list(map(str, frame.columns))
    for cells in zip(*(_plain(column) for _, column in frame.items()), strict=True):
        yield json.dumps(dict(zip(names, cells, strict=True)), ensure_ascii=False, default=_as_json)


def _plain(column: pd.Series) -> list[object]:
    if pd.api.types.is_float_dtype(column.dtype):
        column = column.mask(~np.isfinite(column.to_numpy(dtype=np.float64, na_value=np.nan)))
    cells = column.astype(object)
    return cells.where(column.notna(), None).tolist()


def _as_json(cell: object) -> object:
    if isinstance(cell, pd.Timestamp):
        return cell.isoformat()
    return cell.tolist() if isinstance(cell, (np.generic, np.ndarray)) else str(cell)
