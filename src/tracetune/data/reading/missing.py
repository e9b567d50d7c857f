"""Cells without a value: empty ones, and those with a mark that stands for one."""

from collections.abc import Sequence

import numpy as np
import pandas as pd

MISSING_MARKS = frozenset(
    ("", "?", "-", "--", ".", "..", ":", "…", "NA", "n.a.", "N/A", "n/a", "na", "#N/A", "NaN", "nan", "NAN",
     "null", "NULL", "Null", "None", "none",
     "NaT", "<NA>", "missing", "#NV", "#DIV/0!", "#VALUE!")
)  # fmt: skip


def is_missing(cells: pd.Series, marks: Sequence[str] = ()) -> np.ndarray:
    """Return which cells [rows] hold no value: empty ones and those with a mark of missing values."""
    missing = cells.isna().to_numpy(bool)
    if is_textual(cells):
        missing = missing | cells.isin(MISSING_MARKS | set(marks)).to_numpy(bool)
    return missing


def is_textual(cells: pd.Series) -> bool:
    """Return whether cells may hold text."""
    return pd.api.types.is_object_dtype(cells.dtype) or isinstance(cells.dtype, (pd.StringDtype, pd.CategoricalDtype))
