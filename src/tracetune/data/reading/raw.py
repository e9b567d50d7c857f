"""A table as it stands in its source, before anything but the dialect is decided."""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd

from tracetune.base.errors import InputError, Remark, argument
from tracetune.data.text_marks import TextMarks

_SHOWN_CELL = 60


@dataclass(frozen=True)
class Decision:
    """One thing that was decided about a table.

    Attributes:
        subject: what it is about, e.g. "time column".
        found: what was decided.
        reason: why.
        name: the option that pins it, "" where there is none.
        value: the value that pins it so.
    """

    subject: str
    found: str
    reason: str
    name: str = ""
    value: Any = None

    @property
    def pin(self) -> Remark:
        """Return the option as the user would write it, "" where there is none."""
        return Remark(argument(self.name, self.value) if self.name else "")

    @property
    def said(self) -> Remark:
        """Return the decision, its reason and the option that pins it."""
        pin = f" [{argument(self.name, self.value)}]" if self.name else ""
        return Remark(f"{self.subject}: {self.found}, because {self.reason}{pin}")


@dataclass(frozen=True, eq=False)
class RawTable:
    """Cells and how to name their rows.

    Attributes:
        frame: the cells; text as it was written where the source is text, else of the source's types.
        first_row: what the source calls the first of them: files count from 1, with the header; frames from 0.
        decisions: what was decided about the dialect.
        notes: what a user should know of it.
        decimal: decimal mark of numbers that are text.
        thousands: thousands mark of numbers that are text, "" for none.
        kind: kind of table: ``pandas``, ``polars`` or ``pyarrow``.
        separator: what stands between cells that are text.
        text_ids: item columns whose cells are text, even where all of them look like numbers.
    """

    frame: pd.DataFrame
    first_row: int = 0
    decisions: tuple[Decision, ...] = ()
    notes: tuple[str, ...] = ()
    decimal: str = "."
    thousands: str = ""
    kind: str = "pandas"
    separator: str = ","
    text_ids: tuple[str, ...] = ()

    def types_of(self, columns: Iterable[str]) -> tuple[object, ...]:
        """Return pandas' type of each column; None of one that is not there."""
        return tuple(self.frame[name].dtype if name in self.frame else None for name in columns)

    @property
    def marks(self) -> TextMarks:
        """Return the marks of the text that the cells are, with which tables made of it are written."""
        return TextMarks(self.separator, self.decimal)

    def row(self, position: int | np.integer) -> str:
        """Return the name of the row at ``position`` in its source."""
        return f"row {self.first_row + int(position):,}"


def shown(cell: Any) -> str:
    """Return a cell for a message: short, whatever it holds."""
    if cell is None or (pd.api.types.is_scalar(cell) and pd.isna(cell)) or cell == "":
        return "an empty cell"
    plain = cell.item() if isinstance(cell, np.generic) else cell
    text = repr(str(plain)) if isinstance(plain, (str, pd.Timestamp)) else repr(plain)
    return text if len(text) <= _SHOWN_CELL else f"{text[: _SHOWN_CELL - 20]}... ({len(text):,} characters)"


def listed(noun: str, names: Iterable[object], most: int = 12) -> str:
    """Return names for a message: ``columns 'a', 'b'``, shortened where they are many or long."""
    every = list(names)
    if not every:
        return f"no {noun}"
    text = ", ".join(shown(str(name)) if str(name) else "''" for name in every[:most])
    more = f", ... ({len(every)} in all)" if len(every) > most else ""
    return f"{noun}{'s' if len(every) > 1 else ''} {text}{more}"


def such_cells(count: int) -> str:
    """Return how many cells a message is about."""
    return f"{count:,} such cell{'' if count == 1 else 's'}"


def refuse_duplicate_names(names: Iterable[object]) -> None:
    """Raise InputError if a column name occurs twice."""
    index = pd.Index(list(map(str, names)), dtype=object)
    if index.has_duplicates:
        repeated = index[index.duplicated()].unique()
        raise InputError(
            f"Expected distinct column names, found {listed('column', repeated)} more than once. Give each column a "
            "name of its own; of a header in several rows, join them into one, such as 'sales north'."
        )


def shown_path(path: object) -> str:
    """Return a path for a message, shortened where it is very long."""
    text = str(path)
    return text if len(text) <= 200 else f"{text[:60]}...{text[-60:]}"
