"""Tables of texts: which columns hold texts and labels, and what is in them.

Shapes: S samples.
"""

import logging
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import cast

import numpy as np
import pandas as pd

from tracetune.base.errors import InputError, argument, shown
from tracetune.data.reading.frames import raw_of_frame
from tracetune.data.reading.raw import listed
from tracetune.data.reading.sources import Frame
from tracetune.data.text_files import FIRST_ROW
from tracetune.estimators.labelled import Label, Labels, require_labels
from tracetune.estimators.text.texts import Text, TextData, Texts, checked_texts, left_out

logger = logging.getLogger(__name__)

LABEL_NAMES = (
    "label", "labels", "class", "target", "category", "label_coarse", "quality", "sentiment", "stars", "rating", "y",
)  # fmt: skip
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
_FIRST = 200  # cells that are looked at
_MOST_CLASSES = 0.5  # of the rows: a column with more different values is no label

ColumnNames = str | Sequence[str] | None


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


def labelled_texts(
    data: TextData,
    labels: Labels | None,
    text_column: ColumnNames,
    label_column: str | None,
    pairs: bool | None = None,
) -> tuple[Texts, Labels, TextColumns | None]:
    """Return texts and their labels, of a list or a table, and of a table its columns.

    Args:
        data: texts, or a table.
        labels: [S] of a list; a table has them in a column.
        text_column: of a table: the column of the texts, two for pairs; None looks for it, and says what it found.
        label_column: of a table: the column of the labels; likewise.
        pairs: whether the texts must be pairs; None takes what the first one is.

    Raises:
        InputError: no labels, labels or columns where they do not belong, or texts that cannot be used.
    """
    frame = table_of(data)
    require_labels(labels, "text", in_table=frame is not None)
    if frame is not None:
        columns = logged_columns(frame, text_column, label_column, labelled=True)
        texts, found = texts_of_frame(frame, columns, pairs)
        assert found is not None, "labels were looked for"
        return texts, found, columns
    refuse_columns(text_column, label_column)
    assert labels is not None, "as required above"
    return checked_texts(cast(Iterable[Text], data), pairs), labels, None  # what is no table


def refuse_columns(text_column: ColumnNames, label_column: str | None = None) -> None:
    """Refuse names of columns beside a list of texts.

    Raises:
        InputError: there are some.
    """
    if text_column is not None or label_column is not None:
        raise InputError(f"A list has no columns: leave out {argument('text_column')} and {argument('label_column')}.")


def logged_columns(frame: pd.DataFrame, texts: ColumnNames, label: str | None, *, labelled: bool) -> TextColumns:
    """Return the columns of `find_columns`, and log how they were found."""
    columns = find_columns(frame, texts, label, labelled=labelled)
    if columns.said:
        logger.warning("%s", columns.said)
    return columns


def columns_as_in_fit(
    frame: pd.DataFrame,
    texts: ColumnNames,
    label: str | None,
    known_texts: Sequence[str],
    known_label: str | None,
    *,
    labelled: bool,
    said: bool,
) -> TextColumns:
    """Return the columns as named, as in the fit where the table has them, or as found.

    Args:
        frame: a table.
        texts: as for `find_columns`.
        label: likewise.
        known_texts: columns of the texts in the fit; none where it was on lists.
        known_label: column of the labels in the fit.
        labelled: whether labels are wanted.
        said: whether to log what was found.

    Raises:
        InputError: as `find_columns`, and no labels where the fit had them.
    """
    if texts is None and known_texts and set(known_texts) <= set(frame.columns):
        texts = known_texts
    if label is None and known_label in frame.columns:
        label = known_label
    try:
        return (logged_columns if said else find_columns)(frame, texts, label, labelled=labelled)
    except InputError as error:
        if label is not None or known_label is None or not labelled:
            raise
        raise InputError(
            f"Expected labels in a column {known_label!r}, as in training, found {listed('column', frame.columns)}. "
            f"Name it with {argument('label_column')}."
        ) from error


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
    if labelled and label is not None and label in (chosen or ()):
        raise InputError(f"Expected the labels in another column than the texts, found {label!r} named for both.")
    said = []
    if labelled and label is None:
        label = _label_column(frame, chosen or ())
        said.append(f"labels in column {label!r}")
    if chosen is None:
        chosen = _text_columns(frame, label)
        said.insert(0, f"texts in column{'s' if len(chosen) > 1 else ''} {' and '.join(map(repr, chosen))}")
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
        where = f"row {empty[0]} of column {columns.label!r}"
        raise InputError(f"Expected a label in {where}, found an empty one. {left_out(len(empty))}")
    return texts, labels


def table_of(frame: object) -> pd.DataFrame | None:
    """Return a table of pandas, polars or pyarrow as one of pandas; None for anything else."""
    if isinstance(frame, (str, bytes, list, tuple, pd.Series)) or not hasattr(frame, "columns"):
        return None
    table = raw_of_frame(frame).frame
    table.attrs.update(getattr(frame, "attrs", {}))
    return table


def required_table(df: Frame) -> pd.DataFrame:
    """Return a table as one of pandas.

    Raises:
        InputError: it is no table.
    """
    frame = table_of(df)
    if frame is None:
        raise InputError(f"Expected a table, found {type(df).__name__}. Lists of texts are classified by predict.")
    return frame


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
    words = [name for name in names.values() if _is_text(frame[name], fewest_words=0) and _are_words(frame[name])]
    for candidates in (texts, [name for name in texts if name in known], known, words):
        if len(candidates) == 1:
            return (candidates[0],)
    raise InputError(
        f"Expected one column of texts, or two of pairs, found {listed('column', texts or list(names.values()))}. Name "
        f"it with {argument('text_column')}; for pairs, name both."
    )


def _is_text(column: pd.Series, fewest_words: float = _WORDS) -> bool:
    cells = column.head(_FIRST).dropna().tolist()  # missing ones are refused by their row
    if not cells or not all(isinstance(cell, str) for cell in cells):
        return False
    return sum(len(cell.split()) for cell in cells) / len(cells) >= fewest_words


def _are_words(column: pd.Series) -> bool:
    """Return whether most cells have letters, as no number has, and few come again, as names of groups do."""
    cells = column.head(_FIRST).dropna()
    return cells.nunique() > len(cells) / 2 and cells.str.contains(r"[^\W\d_]").mean() > 0.5


def _is_nested(cell: object) -> bool:
    return isinstance(cell, (list, tuple, dict, np.ndarray))


def _limit(frame: pd.DataFrame) -> float:
    return max(2.0, _MOST_CLASSES * len(frame))
