"""Long tables in chunks: files larger than memory are read as panels of whole items.

Columns, dates, marks and frequency are decided on the first rows, as by `read_table`. Later chunks are read with the
same decisions, or refused.
"""

from collections.abc import Iterator, Sequence
from dataclasses import replace
from itertools import chain
from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow as pa
from pyarrow import parquet

from tracetune.base.errors import InputError, argument
from tracetune.data.frequency import as_offset, offset_text
from tracetune.data.panels import Panel
from tracetune.data.reading.files import (
    damage_explained,
    file_kind,
    text_dialect,
    text_frames,
    text_table,
)
from tracetune.data.reading.frames import frame_of
from tracetune.data.reading.options import ReadingOptions
from tracetune.data.reading.raw import RawTable, shown_path
from tracetune.data.reading.read import read_cells
from tracetune.data.reading.reading import Reading

_BUFFER_BYTES = 1 << 20
_SAMPLE_ROWS = 50_000  # at least so many rows decide what the table is


def read_panels(
    path: str | Path,
    chunk_rows: int,
    options: ReadingOptions | None = None,
    *,
    remembered: ReadingOptions | None = None,
) -> Iterator[Panel]:
    """Read a text table or a Parquet file in panels of about ``chunk_rows`` rows.

    A panel holds whole items, so the rows of an item must stand together; of the items that were read, 8 bytes each
    are kept. Together the panels have the series that `read_table` would find in the whole table.

    Args:
        path: the file.
        chunk_rows: about how many rows a chunk has.
        options: what is pinned; everything else is decided by the first rows.
        remembered: what a model remembers of the table it was trained on; ``options`` come first.

    Raises:
        InputError: at once, an unusable path or ``chunk_rows`` below 1; while reading, a table without items, an item
            that comes back, chunks that do not fit the decisions of the first rows, and whatever `read_table` refuses.
    """
    source = Path(path)
    kind = file_kind(source)
    given = options or ReadingOptions()
    if chunk_rows < 1:
        raise InputError(f"Expected {argument('chunk_rows')} of at least 1, found {chunk_rows}.")
    if kind not in ("text", "parquet"):
        raise InputError(
            f"Tables of kind {kind} are read whole: leave {argument('chunk_rows')} out, or write {shown_path(source)} "
            "as Parquet."
        )
    return _panels(source, kind, chunk_rows, given, remembered)


def _panels(
    source: Path, kind: str, chunk_rows: int, given: ReadingOptions, remembered: ReadingOptions | None
) -> Iterator[Panel]:
    options = given if remembered is None else given.over(remembered)
    with damage_explained(source, kind):
        blocks = _text_blocks(source, chunk_rows, options) if kind == "text" else _parquet_blocks(source, chunk_rows)
        begin, rows = [], 0
        for block in blocks:
            begin.append(block)
            rows += len(block.frame)
            if rows >= max(_SAMPLE_ROWS, chunk_rows):
                break
        if not rows:
            raise InputError(f"Expected a table with rows in {shown_path(source)}, found none.")
        if remembered is not None:
            options = given.over(remembered.fitting(begin[0].frame.columns))
        reading = _sample_reading(begin, options)
        chunks = _Chunks(reading, options)
        for chunk in _whole_items(chain(_release(begin), blocks), chunks, chunk_rows):
            yield chunks.panel(chunk, source)
            del chunk
    chunks.finish()


def _release(blocks: list[RawTable]) -> Iterator[RawTable]:
    while blocks:
        yield blocks.pop(0)


def _text_blocks(source: Path, rows: int, options: ReadingOptions) -> Iterator[RawTable]:
    dialect = text_dialect(source, options)
    before = 0
    for frame in text_frames(source, dialect, rows):
        yield text_table(frame, dialect, before)
        before += len(frame)


def _parquet_blocks(source: Path, rows: int) -> Iterator[RawTable]:
    before = 0
    with parquet.ParquetFile(source, buffer_size=_BUFFER_BYTES) as file:
        for batch in file.iter_batches(batch_size=rows):
            frame = frame_of(pa.Table.from_batches([batch]))
            yield RawTable(frame, before)
            before += len(frame)


def _sample_reading(blocks: Sequence[RawTable], options: ReadingOptions) -> Reading:
    """Return what the first rows are.

    Raises:
        InputError: they are no long table, or `read_table` refuses them.
    """
    raw = replace(blocks[0], frame=pd.concat([block.frame for block in blocks], ignore_index=True))
    # Disorder and repeats are checked chunk by chunk, where an item that comes back is recognised.
    reading = read_cells(raw, replace(options, sort=True, duplicates=options.duplicates or "first"), partial=True)
    pinned = {decision.name for decision in reading.understood.decisions}
    if "id_column" not in pinned and "layout" not in pinned:
        raise InputError(
            f"{argument('chunk_rows')} reads long tables, one row a step of an item; found no item column among "
            f"{', '.join(map(repr, map(str, raw.frame.columns[:12])))}. Name it with {argument('id_column')}, or, if "
            f"the table is wide or one series, leave {argument('chunk_rows')} out."
        )
    return reading


def _whole_items(blocks: Iterator[RawTable], chunks: "_Chunks", chunk_rows: int) -> Iterator[RawTable]:
    """Yield chunks of about ``chunk_rows`` rows, cut where the item changes."""
    held: list[RawTable] = []
    wanted = chunk_rows
    for block in blocks:
        if len(block.frame):
            held.append(block)
        del block
        if sum(len(each.frame) for each in held) < wanted:
            continue
        held = _cut_at_last_item(_joined(held), chunks)
        wanted = max(chunk_rows, 2 * len(held[-1].frame))  # an item of many blocks is not put together again at each
        if len(held) > 1:
            yield held.pop(0)  # so that it is not kept here while it is worked on
    if held:
        held = [_joined(held)]
        yield held.pop()


def _joined(held: Sequence[RawTable]) -> RawTable:
    return (
        held[0]
        if len(held) == 1
        else replace(held[0], frame=pd.concat([each.frame for each in held], ignore_index=True))
    )


def _cut_at_last_item(raw: RawTable, chunks: "_Chunks") -> list[RawTable]:
    """Return what stands before the last item, if anything, and the rows of the last item, which may go on."""
    begin = int(np.flatnonzero(chunks.begins(raw.frame))[-1])
    if not begin:
        return [raw]
    rest = RawTable(
        raw.frame.iloc[begin:].reset_index(drop=True),
        raw.first_row + begin,
        decimal=raw.decimal,
        thousands=raw.thousands,
    )
    return [replace(raw, frame=raw.frame.iloc[:begin]), rest]


class _Chunks:
    """Panels of the chunks of one table, each read with the decisions of the first rows."""

    def __init__(self, sample: Reading, options: ReadingOptions) -> None:
        pins = {decision.name: decision.value for decision in sample.understood.decisions if decision.name}
        panel = sample.panel
        self._sample = sample
        self._ids = panel.origin.id_columns
        self._text_ids = tuple(
            name for name, cell in zip(self._ids, panel.series[0].key, strict=True) if isinstance(cell, str)
        )
        self._form = _date_form(sample)
        self._whole_ids = tuple(isinstance(cell, int) for cell in panel.series[0].key)
        freq = None if panel.offset is None else offset_text(as_offset(panel.offset))
        self._options = replace(
            options,
            id_column=self._ids,
            timestamp_column=() if "layout" in pins else pins.get("timestamp_column", options.timestamp_column),
            target=() if "layout" in pins else panel.channels,
            date_format=pins.get("date_format", options.date_format),
            freq=None if options.resample else freq,
            layout=pins.get("layout", options.layout),
        )
        self._free_freq = options.freq is None
        self._observed = np.zeros(len(panel.channels), dtype=bool)
        self._seen = _SeenItems()

    def begins(self, frame: pd.DataFrame) -> np.ndarray:
        """Return whether each row [rows] has another item than the one before; the first has."""
        changed = np.zeros(len(frame), dtype=bool)
        changed[0] = True
        for name in self._ids:
            changed |= np.diff(pd.factorize(frame[name].astype(str))[0], prepend=-2) != 0
        return changed

    def panel(self, raw: RawTable, source: Path) -> Panel:
        """Return the panel of a chunk.

        Raises:
            InputError: it cannot be read as the first rows were, or has an item that was there before.
        """
        last = raw.first_row + len(raw.frame) - 1
        try:
            self._refuse_returning(raw)
            reading = read_cells(raw, self._options, partial=True, text_ids=self._text_ids)
            self._refuse_other(reading)
        except InputError as error:
            raise InputError(f"{shown_path(source)}, rows {raw.first_row:,} to {last:,}: {error.args[0]}") from error
        for series in reading.panel:
            self._observed |= (~np.isnan(series.values)).any(axis=1)
        return reading.panel

    def finish(self) -> None:
        """Raise InputError if a channel has no value in any chunk."""
        if not self._observed.all():
            name = self._sample.panel.channels[int(self._observed.argmin())]
            raise InputError(f"Column {name!r} has no value at all. Leave it out of {argument('target')}.")

    def _refuse_other(self, reading: Reading) -> None:
        """Raise InputError where a chunk has another kind of names, dates or steps than the first rows."""
        panel, sample = reading.panel, self._sample.panel
        whole = tuple(isinstance(cell, int) for cell in panel.series[0].key)
        if whole != self._whole_ids:
            odd = panel.series[0].item_id
            kinds = ("by whole numbers", "by text") if any(self._whole_ids) else ("by text", "by whole numbers")
            raise InputError(
                f"Column {self._ids[0]!r} names the items {kinds[0]} at first, then {kinds[1]} (near {odd!r}). Write "
                f"all of them alike, or leave {argument('chunk_rows')} out."
            )
        if _date_form(reading) != self._form:
            raise InputError(
                f"Its dates are written as {_date_form(reading)}, those of the first rows as {self._form}. Write all "
                "of them in one form, best as 2024-01-31 13:00."
            )
        if (panel.offset is None, panel.origin.zone is None) != (sample.offset is None, sample.origin.zone is None):
            raise InputError(
                "Its times are of another kind than those of the first rows. Write all of them in one form."
            )
        if sample.offset is None:
            step, found = _usual_step(sample), _usual_step(panel)
            if found is not None and step is not None and found != step:
                raise InputError(
                    f"Expected timestamps with a usual step of {step} as in the first rows, found {found}. Use larger "
                    f"chunks ({argument('chunk_rows')}), or a table for each step."
                )
        elif self._free_freq:
            _refuse_sparse(panel)

    def _refuse_returning(self, raw: RawTable) -> None:
        begin = raw.frame[self.begins(raw.frame)]
        names = begin[list(self._ids)].astype(str).agg("\x1f".join, axis=1)
        distinct = list(dict.fromkeys(names))
        name = self._seen.add(distinct)
        if name is None and len(names) > len(distinct):
            name = names[names.duplicated()].iloc[0]
        if name is not None:
            raise InputError(
                f"Item {name.replace(chr(31), '/')!r} comes back after other items: in chunks the rows of an item must "
                f"stand together. Sort the file by item (column {', '.join(map(repr, self._ids))}), or leave "
                f"{argument('chunk_rows')} out."
            )


def _date_form(reading: Reading) -> str:
    return next((each.found for each in reading.understood.decisions if each.subject == "dates"), "steps")


def _usual_step(panel: Panel) -> int | None:
    steps = [int(series.timestamps[1] - series.timestamps[0]) for series in panel if len(series) > 1]
    return min(steps) if steps else None


def _refuse_sparse(panel: Panel) -> None:
    """Raise InputError at an item that has a value in every second step at most, evenly: it has another frequency."""
    for series in panel:
        seen = np.flatnonzero((~np.isnan(series.values)).any(axis=0))
        steps = np.diff(seen)
        if len(seen) >= 8 and steps.min() > 1 and (steps == steps[0]).all():
            raise InputError(
                f"Expected one frequency in a table, found two: that of the first rows is {panel.freq!r}, item "
                f"{series.item_id!r} has a value each {steps[0]} of its steps. Use a table for each frequency, or give "
                f"{argument('freq')}."
            )


class _SeenItems:
    """The names of items seen so far: a hash of 8 bytes each, in sorted arrays of falling length.

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
