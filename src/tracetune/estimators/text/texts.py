"""Labelled texts as classifiers take them: from lists or tables, single texts or pairs, with classes by name.

Shapes: S samples.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd

from tracetune.base.errors import InputError, argument, shown
from tracetune.data.reading.frames import raw_of_frame
from tracetune.data.reading.raw import listed
from tracetune.data.reading.sources import Frame
from tracetune.data.text_files import FIRST_ROW
from tracetune.estimators.labelled import Label

LABEL_NAMES = ("label", "labels", "class", "target", "category", "label_coarse", "quality", "sentiment", "y")
TEXT_NAMES = ("text", "sentence", "content", "review", "document", "question", "title", "tweet", "message")
PAIR_NAMES = (
    ("sentence1", "sentence2"),
    ("text1", "text2"),
    ("text_a", "text_b"),
    ("premise", "hypothesis"),
    ("question1", "question2"),
    ("question", "answer"),
    ("#1 string", "#2 string"),
)
_WORDS = 1.5  # words a cell on average, from which on a column is taken for texts
_MOST_CLASSES = 0.5  # of the rows: a column with more different values is no label


Text = str | Sequence[str]
"""A text, or a pair of them."""

TextData = Iterable[Text] | Frame
"""Texts, pairs of texts, or a table that has them in columns."""

ColumnNames = str | Sequence[str] | None


@dataclass(frozen=True)
class Texts:
    """Texts, or pairs of them.

    Attributes:
        first: [S] texts.
        second: [S] second texts of pairs; None for single texts.
    """

    first: list[str]
    second: list[str] | None = None

    def __len__(self) -> int:
        return len(self.first)


@dataclass(frozen=True)
class TextColumns:
    """The columns of a table that hold texts and labels.

    Attributes:
        texts: one column, or two for pairs.
        label: the column of the labels; None where none are wanted.
        said: how they were found, in a sentence; empty where they were named.
    """

    texts: tuple[str, ...]
    label: str | None
    said: str = ""


def checked_texts(values: Iterable[Text], pairs: bool | None = None, first_row: int = 0) -> Texts:
    """Return texts, or pairs of texts, of a list.

    Args:
        values: texts, or pairs (first, second).
        pairs: whether they must be pairs; None takes what the first one is.
        first_row: number of the first one in messages.

    Raises:
        InputError: no texts, something else than texts, an empty text, or pairs among single texts.
    """
    if isinstance(values, str):
        raise InputError("Expected a list of texts, found one text: put it into a list.")
    rows = list(values)
    if not rows:
        raise InputError("Expected at least one text, found none.")
    found = not isinstance(rows[0], str) and isinstance(rows[0], (tuple, list))
    if pairs is not None and found != pairs:
        expected, got = ("pairs of texts", "single texts") if pairs else ("single texts", "pairs of texts")
        raise InputError(f"Expected {expected}, as in training, found {got}.")
    columns: list[list[str]] = [[], []] if found else [[]]
    for index, row in enumerate(rows, first_row):
        parts = row if found and isinstance(row, (tuple, list)) else (row,)
        if len(parts) != len(columns):
            raise InputError(f"Expected {'two texts' if found else 'one text'} in row {index}, found {shown(row)}.")
        for column, part in zip(columns, parts, strict=True):
            column.append(_text(part, index))
    return Texts(columns[0], columns[1] if found else None)


def find_columns(frame: pd.DataFrame, texts: ColumnNames, label: str | None, *, labelled: bool) -> TextColumns:
    """Find the columns of texts and labels of a table, unless they are named.

    Args:
        frame: a table.
        texts: names of one or two columns of texts; None looks for them.
        label: name of the column of labels; None looks for it.
        labelled: whether labels are wanted.

    Raises:
        InputError: a column that is not there, or more than one that could be meant.
    """
    names = list(map(str, frame.columns))
    chosen = (texts,) if isinstance(texts, str) else None if texts is None else tuple(texts)
    for name in (*(chosen or ()), *([label] if label is not None and labelled else ())):
        if name not in names:
            raise InputError(f"Expected a column {name!r}, found {listed('column', names)}.")
    if chosen is not None and not 1 <= len(chosen) <= 2:
        raise InputError(f"Expected one column of texts, or two for pairs, found {len(chosen)}.")
    said = []
    if labelled and label is None:
        label = _label_column(frame, chosen or ())
        said.append(f"labels in column {label!r}")
    if chosen is None:
        chosen = _text_columns(frame, label)
        said.insert(0, f"texts in column {' and '.join(map(repr, chosen))}")
    return TextColumns(chosen, label if labelled else None, f"Found {' and '.join(said)}." if said else "")


def texts_of_frame(
    frame: pd.DataFrame, columns: TextColumns, pairs: bool | None = None
) -> tuple[Texts, list[Label] | None]:
    """Return the texts of a table, checked, and its labels where it has a column of them.

    Raises:
        InputError: an empty text or label, or something else than a text.
    """
    rows = frame[columns.texts[0]].tolist()
    if len(columns.texts) == 2:
        rows = list(zip(*(frame[name].tolist() for name in columns.texts), strict=True))
    first_row = frame.attrs.get(FIRST_ROW, 0)
    texts = checked_texts(rows, pairs, first_row)
    if columns.label is None:
        return texts, None
    labels = frame[columns.label].tolist()
    for row, label in enumerate(labels, first_row):
        if _is_nested(label):
            raise InputError(f"Expected a text or a number as the label in row {row}, found {shown(label)}.")
    empty = [row for row, label in enumerate(labels, first_row) if pd.isna(label) or not str(label).strip()]
    if empty:
        raise InputError(f"Expected a label in row {empty[0]} of column {columns.label!r}, found an empty one.")
    return texts, labels


def table_of(frame: object) -> pd.DataFrame | None:
    """Return a table of pandas, polars or pyarrow as one of pandas; None for anything else."""
    if isinstance(frame, (str, bytes, list, tuple, pd.Series)) or not hasattr(frame, "columns"):
        return None
    table = raw_of_frame(frame).frame
    table.attrs.update(getattr(frame, "attrs", {}))
    return table


def _label_column(frame: pd.DataFrame, texts: Sequence[str]) -> str:
    names = [str(name) for name in frame.columns if str(name) not in texts]
    for known in LABEL_NAMES:
        if (found := [name for name in names if name.lower() == known]) and len(found) == 1:
            return found[0]
    flat = [name for name in names if not frame[name].map(_is_nested).any()]
    few = [name for name in flat if not _is_text(frame[name]) and 2 <= frame[name].nunique() <= _limit(frame)]
    if len(few) == 1:
        return few[0]
    raise InputError(
        f"Expected a column of labels, named {', '.join(LABEL_NAMES[:3])} or alone with few different values, found "
        f"{listed('column', few or names)}. Name it with {argument('label_column')}."
    )


def _text_columns(frame: pd.DataFrame, label: str | None) -> tuple[str, ...]:
    names = {str(name).lower(): str(name) for name in frame.columns if str(name) != label}
    texts = [str(name) for name in frame.columns if str(name) != label and _is_text(frame[name])]
    for first, second in PAIR_NAMES:
        if first in names and second in names:
            return names[first], names[second]
    known = [names[name] for name in TEXT_NAMES if name in names]
    for candidates in (texts, [name for name in texts if name in known], known):
        if len(candidates) == 1:
            return (candidates[0],)
    raise InputError(
        f"Expected one column of texts, or two of pairs, found {listed('column', texts or list(names.values()))}. Name "
        f"it with {argument('text_column')}; for pairs, name both."
    )


def _is_text(column: pd.Series) -> bool:
    cells = column.head(200).tolist()
    if not cells or not all(isinstance(cell, str) for cell in cells):
        return False
    return sum(len(cell.split()) for cell in cells) / len(cells) >= _WORDS


def _is_nested(cell: object) -> bool:
    return isinstance(cell, (list, tuple, dict, np.ndarray))


def _limit(frame: pd.DataFrame) -> float:
    return max(2.0, _MOST_CLASSES * len(frame))


def _text(value: object, index: int) -> str:
    if not isinstance(value, str):
        raise InputError(f"Expected a text in row {index}, found {shown(value)}. Leave the row out.")
    if not value.strip():
        raise InputError(f"Expected a text in row {index}, found an empty one. Leave the row out.")
    return value
