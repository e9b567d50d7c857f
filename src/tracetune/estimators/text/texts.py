"""Texts as classifiers take them: single texts or pairs, from lists or tables; those of lists are checked.

Shapes: S samples.
"""

from collections.abc import Iterable, Mapping, Sequence, Set
from dataclasses import dataclass

from tracetune.base.errors import InputError, shown
from tracetune.data.reading.sources import Frame

Text = str | Sequence[str]
"""A text, or a pair of them."""

TextData = Iterable[Text] | Frame
"""Texts, pairs of texts, or a table that has them in columns."""


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

    def row(self, index: int) -> tuple[str, ...]:
        """Return a text, or both of a pair."""
        return (self.first[index],) if self.second is None else (self.first[index], self.second[index])


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
    rows = _rows_of(values)
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
            column.append(part)
    for column in columns:
        _require_texts(column, first_row)
    return Texts(columns[0], columns[1] if found else None)


def _rows_of(values: Iterable[Text]) -> list[Text]:
    """Return the texts as a list: arrays of pyarrow as what they hold, an array [S, 2] as pairs."""
    if isinstance(values, (Set, Mapping)) or not hasattr(values, "__iter__"):
        raise InputError(f"Expected a list of texts in the order of their labels, found {type(values).__name__}.")
    for name in ("to_pylist", "tolist"):
        if not isinstance(values, list) and hasattr(values, name):
            found: list[Text] = getattr(values, name)()
            return found
    return list(values)


def _require_texts(values: Sequence[object], first_row: int) -> None:
    unusable = [row for row, value in enumerate(values) if not isinstance(value, str) or not value.strip()]
    if unusable:
        value = values[unusable[0]]
        found = "an empty one" if isinstance(value, str) else shown(value)
        raise InputError(f"Expected a text in row {first_row + unusable[0]}, found {found}. {left_out(len(unusable))}")


def left_out(rows: int) -> str:
    """Return what to do about rows that cannot be used, of which one was named."""
    return "Leave the row out." if rows == 1 else f"Leave the row out, and {rows - 1:,} more like it."
