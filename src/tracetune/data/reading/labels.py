"""Labels of steps: a column that says which are anomalous, in numbers or words; it is neither channel nor item."""

from collections.abc import Iterable
from dataclasses import replace

import numpy as np
import pandas as pd

from tracetune.base.errors import InputError, argument
from tracetune.data.reading.missing import is_missing
from tracetune.data.reading.numbers import as_numbers
from tracetune.data.reading.options import ReadingOptions
from tracetune.data.reading.raw import RawTable, shown, such_cells

LABEL_COLUMN = "label"
"""The column of labels where none is named."""

_NORMAL = ("false", "f", "no", "n", "normal", "inlier")
_ANOMALOUS = ("true", "t", "yes", "y", "anomaly", "anomalous", "abnormal", "outlier", "attack", "fault")
_MEANING = dict.fromkeys(_NORMAL, 0.0) | dict.fromkeys(_ANOMALOUS, 1.0)
_MOST_TOLD = 6


def label_name(column: str, columns: Iterable[object]) -> str:
    """Return the name under which a table has its column of labels: the usual name may be in capitals, as TSB-AD's."""
    names = [str(each) for each in columns]
    alike = [name for name in names if name.casefold() == column]
    return alike[0] if column == LABEL_COLUMN and column not in names and len(alike) == 1 else column


def without_column(raw: RawTable, options: ReadingOptions, column: str) -> tuple[RawTable, ReadingOptions]:
    """Return a table and its options without one column, which no longer has a part in what is decided.

    Raises:
        InputError: the column is the only target, or the time or item column.
    """
    for name in ("id_column", "timestamp_column"):
        if column in getattr(options, name):
            raise InputError(
                f"{argument(name, column)} and {argument('label_column', column)} name the same column. It is either."
            )
    target = tuple(name for name in options.target if name != column)
    if options.target and not target:
        raise InputError(
            f"{argument('target', column)} names only the column of labels, which is no channel. Name the channels, or "
            f"another {argument('label_column')}."
        )
    return replace(raw, frame=raw.frame.drop(columns=column)), replace(options, target=target)


def step_labels(cells: pd.Series, raw: RawTable, marks: tuple[str, ...] = ()) -> tuple[np.ndarray, list[str]]:
    """Return labels [rows], 1 where anomalous, 0 where normal and NaN where missing, and how words were read.

    Read are 0 and 1, however they are written, and words with one meaning: false and true, no and yes, normal and
    anomaly, and others like them.

    Args:
        cells: the column.
        raw: the table it is from.
        marks: further marks of missing values.

    Raises:
        InputError: a cell that says neither; names its row.
    """
    found = as_numbers(cells, raw, marks)
    words = cells.astype(str).str.strip().str.casefold().map(_MEANING).to_numpy(float)
    labels = np.where(found.wrong, words, found.values)
    missing = is_missing(cells, marks) | (~found.wrong & np.isnan(found.values))
    unknown = ~np.isin(labels, (0, 1)) & ~missing
    if unknown.any():
        place = int(unknown.argmax())
        seen = set(np.unique(labels[~missing]).tolist())
        hint = "1 means normal to some and anomalous to others. " if -1.0 in seen else ""
        raise InputError(
            f"Column {shown(cells.name)} must say which steps are anomalous: 0 or 1, false or true, no or yes, normal "
            f"or anomaly; found {shown(cells.iloc[place])} in {raw.row(place)} ({such_cells(unknown.sum())}). {hint}"
            f"Write 1 where a step is anomalous and 0 elsewhere, or name another column with "
            f"{argument('label_column')}."
        )
    return labels, _told(cells[found.wrong], labels[found.wrong])


def _told(cells: pd.Series, labels: np.ndarray) -> list[str]:
    """Return one sentence on what words were taken for; none where there are only numbers."""
    if not len(cells):
        return []
    counts = pd.Series(labels).groupby(cells.astype(str).to_numpy()).agg(["first", "size"]).astype(int)
    told = [
        f"{shown(word)} is {'an anomaly' if label else 'normal'} ({rows:,} row{'s' if rows > 1 else ''})"
        for word, label, rows in counts.iloc[:_MOST_TOLD].itertuples()
    ]
    return [f"labels in {shown(cells.name)}: {', '.join(told)}{', ...' if len(counts) > _MOST_TOLD else ''}"]
