"""Long tables in pieces: files larger than memory come in as panels of whole items.

What a piece cannot tell by itself is settled by the first one: columns, frequency, how dates are written. A later piece
that does not fit it is refused, so that the result is that of the whole table, whatever the size of the pieces.
"""

import warnings
from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow as pa
from pandas.tseries.api import guess_datetime_format
from pyarrow import parquet

from tracetune.base.errors import InputError
from tracetune.data.columns import (
    ITEM_NAMES,
    Layout,
    find_layout,
    index_as_columns,
    is_usual,
    item_codes,
    parse_timestamps,
    refuse_duplicate_columns,
)
from tracetune.data.frames import Panel, is_m4, observed_channels, panel_from_frame, refuse_unobserved
from tracetune.data.grid import refuse_mixed_steps, usual_step
from tracetune.data.table_files import csv_types, damage_explained, readable_kind

_BUFFER_BYTES = 1 << 20
_UNGUESSED = "another format"


def read_panels(
    path: str | Path,
    chunk_rows: int,
    *,
    id_column: str | None = None,
    timestamp_column: str | None = None,
    target: str | Sequence[str] | None = None,
    freq: str | None = None,
    sort: bool = False,
) -> Iterator[Panel]:
    """Read a table from ``.csv``, ``.csv.gz`` or ``.parquet`` in panels of about ``chunk_rows`` rows.

    A panel holds whole items, so the rows of an item must stand together; of the items that were read, 8 bytes each
    are kept. The other arguments are those of ``panel_from_frame``, and together the panels have the series that it
    would find in the whole table.

    Raises:
        InputError: at once, an unusable path or ``chunk_rows`` below 1; while reading, a table without items (wide),
            an item that comes back, pieces that do not fit together, and whatever ``panel_from_frame`` refuses.
    """
    source = Path(path)
    kind = readable_kind(source)
    if chunk_rows < 1:
        raise InputError(f"Expected chunk_rows of at least 1, found {chunk_rows}.")
    blocks = _parquet_blocks(source, chunk_rows) if kind == "parquet" else _csv_blocks(source, chunk_rows, id_column)
    pieces = _Pieces(id_column, timestamp_column, target, freq, sort, text_items=kind != "parquet")
    return _panels(source, kind, blocks, pieces, chunk_rows)


def _panels(
    source: Path, kind: str, blocks: Iterator[pd.DataFrame], pieces: "_Pieces", chunk_rows: int
) -> Iterator[Panel]:
    start = 0
    with damage_explained(source, kind):
        for frame in _whole_items(map(pieces.prepare, blocks), pieces, chunk_rows):
            rows = len(frame)
            try:
                panel = pieces.panel(frame)
            except InputError as error:
                where = f"{source}, data rows {start:,} to {start + rows - 1:,}, counted from the first of these"
                raise InputError(f"{where}: {error}") from error
            start += rows
            del frame  # only the panel is needed while it is worked on
            yield panel
            del panel
    pieces.finish(source)


def _csv_blocks(source: Path, rows: int, id_column: str | None) -> Iterator[pd.DataFrame]:
    # Numbers or text is a question to a whole column: items are read as text until the first piece has answered it.
    header = pd.read_csv(source, nrows=0)
    items = header.columns[0] if is_m4(header) and id_column is None else id_column
    types = csv_types(source) | ({} if items is None else {items: str})
    with pd.read_csv(source, dtype=types, chunksize=rows) as blocks:
        yield from blocks


def _parquet_blocks(source: Path, rows: int) -> Iterator[pd.DataFrame]:
    with parquet.ParquetFile(source, buffer_size=_BUFFER_BYTES) as file:
        yield from map(_frame_of, file.iter_batches(batch_size=rows))


def _frame_of(batch: pa.RecordBatch) -> pd.DataFrame:
    return pa.Table.from_batches([batch]).to_pandas()


def _whole_items(blocks: Iterator[pd.DataFrame], pieces: "_Pieces", chunk_rows: int) -> Iterator[pd.DataFrame]:
    """Pieces of about ``chunk_rows`` rows, cut where the item changes."""
    held: list[pd.DataFrame] = []
    wanted = chunk_rows
    for block in blocks:
        if len(block):
            held.append(block)
        del block
        if sum(map(len, held)) < wanted:
            continue
        held = _cut_at_last_item(pd.concat(held), pieces)
        wanted = max(chunk_rows, 2 * len(held[-1]))  # an item of many blocks is not put together again at each
        if len(held) > 1:
            yield held.pop(0)  # so that it is not kept here while it is worked on
    if held:
        held = [pd.concat(held)]
        yield held.pop()


def _cut_at_last_item(frame: pd.DataFrame, pieces: "_Pieces") -> list[pd.DataFrame]:
    """What stands before the last item, if anything, and the rows of the last item, which may go on."""
    begin = int(np.flatnonzero(pieces.begins(frame))[-1])
    return [frame.iloc[:begin], frame.iloc[begin:].copy()] if begin else [frame]


class _Pieces:
    """Makes panels of pieces of one table, each held to what the first one settled."""

    def __init__(
        self,
        id_column: str | None,
        timestamp_column: str | None,
        target: str | Sequence[str] | None,
        freq: str | None,
        sort: bool,
        text_items: bool,
    ) -> None:
        self._named = (id_column, timestamp_column, target)
        self._given_freq = freq
        self._sort = sort
        self._text_items = text_items
        self._integer_items = False
        self._layout: Layout | None = None  # None for M4
        self._items = ""
        self._first: Panel | None = None
        self._observed = np.zeros(0, dtype=bool)
        self._seen = _SeenItems()
        self._date_format: str | None = None
        self._dates = False
        self._step: int | None = None

    def prepare(self, block: pd.DataFrame) -> pd.DataFrame:
        """A block as it was read, with items and times in columns; the first one settles which these are."""
        block = index_as_columns(block, self._named[:2])
        if not self._items and len(block):
            self._settle_columns(block)
        return block

    def begins(self, frame: pd.DataFrame) -> np.ndarray:
        """Whether each row [rows] has another item than the one before; the first has."""
        return np.diff(pd.factorize(frame[self._items])[0], prepend=-2) != 0

    def panel(self, frame: pd.DataFrame) -> Panel:
        """The panel of a piece.

        Raises:
            InputError: it cannot be used, has an item that was there before, or does not fit the first piece.
        """
        frame = frame.copy(deep=False)
        if self._text_items:
            frame[self._items] = self._typed_items(frame[self._items])
        codes, items = item_codes(frame, self._items)
        self._refuse_returning(codes, items)
        if self._layout is None:
            panel = panel_from_frame(frame, freq=self._given_freq, partial=True)
        else:
            panel = self._long_panel(frame, self._layout)
            if self._given_freq is None:
                self._refuse_other_steps(codes, items, frame[self._layout.timestamp].to_numpy())
        if self._first is None:
            self._first = replace(panel, series=())
            self._observed = np.zeros(len(panel.channels), dtype=bool)
        self._observed |= observed_channels(panel)
        return panel

    def finish(self, source: Path) -> None:
        """Raise InputError if there was no piece, or a channel without values in all of them."""
        if self._first is None:
            raise InputError(f"Expected a table with rows in {source}, found none.")
        refuse_unobserved(self._first.channels, self._observed)

    def _settle_columns(self, frame: pd.DataFrame) -> None:
        refuse_duplicate_columns(frame.columns)
        if is_m4(frame) and not any(self._named):
            self._items = frame.columns[0]
            return
        layout = find_layout(frame, *self._named)
        if layout.item is None:
            raise InputError(
                "chunk_rows reads long tables, one row a step of an item; found no item column (item_id or unique_id) "
                f"among {', '.join(map(repr, frame.columns))}. Name it with id_column, or, if the table is wide or "
                "one series, leave chunk_rows out."
            )
        self._layout, self._items = layout, layout.item
        self._text_items &= not is_usual(layout.item, ITEM_NAMES)  # under these names CSV files hold text

    def _long_panel(self, frame: pd.DataFrame, layout: Layout) -> Panel:
        frame[layout.timestamp] = self._times(frame[layout.timestamp])
        settled = None if self._first is None else self._first.freq
        return panel_from_frame(
            frame,
            id_column=layout.item,
            timestamp_column=layout.timestamp,
            target=layout.channels,
            freq=self._given_freq or settled,
            sort=self._sort,
            partial=True,
        )

    def _typed_items(self, items: pd.Series) -> pd.Series:
        """Item names that were read as text, as integers if those of the first piece all are."""
        numbers = pd.to_numeric(items, errors="coerce")
        integers = pd.api.types.is_integer_dtype(numbers)
        if self._first is None:
            self._integer_items = integers
        if not self._integer_items:
            return items
        if not integers:
            odd = items[numbers.isna() | (numbers % 1 != 0)]
            raise InputError(
                f"Column {items.name!r} names the items by whole numbers at first, then by {odd.iloc[0]!r}. Write all "
                "of them alike, or leave chunk_rows out."
            )
        return numbers

    def _times(self, column: pd.Series) -> np.ndarray:
        """Timestamps [rows] as ``parse_timestamps`` would read them in the whole column."""
        written = _text_date_format(column)
        if self._first is not None and (written is None) != (self._date_format is None):
            raise InputError(
                f"Column {column.name!r} has dates of two forms: {column.iloc[0]!r} does not look like those of the "
                "first rows. Write all of them in one form, best as 2024-01-31 13:00."
            )
        if self._first is None:
            self._date_format = written
        elif self._date_format not in (None, _UNGUESSED):  # 01/02 means what it means in the first piece
            column = self._dates_as_settled(column, self._date_format)
        times = parse_timestamps(column)
        dates = np.issubdtype(times.dtype, np.datetime64)
        if self._first is not None and dates != self._dates:
            kinds = ("dates", "integers") if self._dates else ("integers", "dates")
            raise InputError(
                f"Column {column.name!r} has {kinds[0]} at first, then {kinds[1]} ({column.iloc[0]!r}). Write all of "
                "them in one form."
            )
        self._dates = dates
        return times

    def _dates_as_settled(self, column: pd.Series, date_format: str) -> pd.Series:
        dates = pd.to_datetime(column, format=date_format, utc=True, errors="coerce")
        if (wrong := dates.isna() & column.notna()).any():
            raise InputError(
                f"Column {column.name!r} has dates written as {date_format} at first, then {column[wrong].iloc[0]!r}. "
                "Write all of them in one form, best as 2024-01-31 13:00."
            )
        return dates

    def _refuse_other_steps(self, codes: np.ndarray, items: list[str], times: np.ndarray) -> None:
        """Raise InputError if items of this piece have another step than the first piece has."""
        order = np.lexsort((times, codes))
        times, codes = times[order], codes[order]
        bounds = np.flatnonzero(np.diff(codes, prepend=-1, append=len(items)))
        step = usual_step(times, bounds)
        if self._step is None:
            self._step = step
        if self._dates:
            refuse_mixed_steps(times, bounds, items, self._step)
        elif step not in (None, self._step):  # integers have no freq that could be given to the panel
            raise InputError(
                f"Expected timestamps with a usual step of {self._step} as in the first rows, found {step} in items "
                f"{items[0]!r} to {items[-1]!r}. Use larger pieces (chunk_rows), or a table for each step."
            )

    def _refuse_returning(self, codes: np.ndarray, items: list[str]) -> None:
        runs = codes[np.diff(codes, prepend=-1) != 0]
        name = self._seen.add(items)
        if name is None and len(runs) > len(items):
            name = items[int(runs[pd.Series(runs).duplicated()][0])]
        if name is not None:
            raise InputError(
                f"Item {name!r} comes back after other items: in pieces the rows of an item must stand together. Sort "
                f"the file by item (column {self._items!r}), or leave chunk_rows out."
            )


class _SeenItems:
    """Which item names there were: a hash of 8 bytes each, in sorted arrays of which each is longer than the next.

    Of ten million names, two share a hash with a probability of 3 in a million.
    """

    def __init__(self) -> None:
        self._sorted: list[np.ndarray] = []

    def add(self, names: Sequence[str]) -> str | None:
        """Take in distinct names; returns one that was there already, if any."""
        hashes = pd.util.hash_array(np.array(names, dtype=object))
        known = np.zeros(len(hashes), dtype=bool)
        for array in self._sorted:
            known |= array[np.searchsorted(array, hashes).clip(max=len(array) - 1)] == hashes
        if known.any():
            return names[int(known.argmax())]
        merged = np.sort(hashes)
        while self._sorted and len(self._sorted[-1]) <= len(merged):
            merged = np.sort(np.concatenate([self._sorted.pop(), merged]), kind="stable")
        self._sorted.append(merged)
        return None


def _text_date_format(column: pd.Series) -> str | None:
    """How dates are written, by the first of them; None if they are no text, or ISO 8601."""
    first = column.iloc[0]
    if not isinstance(first, str):
        return None
    try:
        pd.to_datetime(first, format="ISO8601")
    except (ValueError, TypeError):
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", UserWarning)  # pandas tells that it takes 13/02 as day and month
            return guess_datetime_format(first) or _UNGUESSED
    return None
