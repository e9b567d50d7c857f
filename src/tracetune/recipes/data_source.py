"""The source of the series of a command: a table with options for reading it, or a known data set."""

from __future__ import annotations

from dataclasses import dataclass, field, fields
from pathlib import Path
from typing import TYPE_CHECKING, cast

from tracetune.base.errors import InputError
from tracetune.base.files import require_file
from tracetune.base.processes import is_main_process

if TYPE_CHECKING:  # what follows needs pandas; help and mistyped flags do not
    from collections.abc import Iterator, Sequence

    import numpy as np

    from tracetune.data.datasets import LoadedDataset
    from tracetune.data.panels import Panel
    from tracetune.data.reading.options import ReadingOptions
    from tracetune.data.reading.reading import Reading
    from tracetune.data.reading.sources import ReadingKeywords
    from tracetune.data.splits import PanelSplit


@dataclass(frozen=True)
class TableSource:
    """A table, and how it is read; what the reader's errors advise is here.

    Attributes:
        data: table with the series: CSV and other text, Excel, Parquet, Feather, JSON; also packed (.gz, .zip).
        id_column: columns that name the items, e.g. store or store,item; found by content without it.
        timestamp_column: time column, or its parts, e.g. date,hour or year,month,day; found by content without it.
        target: columns to forecast, and no others.
        freq: pandas frequency of the series, if it cannot be inferred.
        date_format: how dates are written, e.g. "%d.%m.%Y".
        day_first: whether 03/04/2024 is the third of April, where both readings are regular.
        duplicates: what becomes of rows that repeat a time of an item: mean, first or sum.
        resample: bring the series to another step, e.g. h:mean or D:sum.
        sort: sort rows by time instead of refusing disorder.
        layout: long, wide (one series, a column a channel), rows (each row a step, no dates), dates_in_header or
            steps_in_header (one series a row).
        separator: what stands between cells of a text file: ; , | tab or space.
        decimal: decimal mark of numbers.
        thousands: thousands mark of numbers.
        encoding: encoding of a text file, e.g. cp1252.
        sheet: sheet of a workbook, by name or number from 1.
        missing: further marks of missing values, e.g. n.a. or -200.
    """

    data: str | None = field(default=None, metadata={"positional": True})
    id_column: tuple[str, ...] = ()
    timestamp_column: tuple[str, ...] = ()
    target: tuple[str, ...] = ()
    freq: str | None = None
    date_format: str | None = None
    day_first: bool | None = None
    duplicates: str | None = None
    resample: str | None = None
    sort: bool = False
    layout: str | None = None
    separator: str | None = None
    decimal: str | None = None
    thousands: str | None = None
    encoding: str | None = None
    sheet: str | None = None
    missing: tuple[str, ...] = ()

    @property
    def name(self) -> str:
        """Return what the series are called in titles: the table's file without its folder."""
        return Path(str(self.data)).name

    def keywords(self) -> ReadingKeywords:
        """Return what is pinned about the table, by the names of `ReadingOptions`."""
        values = {each.name: getattr(self, each.name) for each in fields(TableSource) if each.name != "data"}
        pinned = {name: v for name, v in values.items() if v not in (None, (), False) or name == "day_first"}
        return cast("ReadingKeywords", pinned)


@dataclass(frozen=True)
class DataSource(TableSource):
    """The series that a command reads.

    Attributes:
        dataset: name of a known data set, instead of a table (see `tracetune datasets`).
    """

    dataset: str | None = None

    def __post_init__(self) -> None:
        if (self.data is None) == (self.dataset is None):
            found = "both" if self.data else "neither"
            raise InputError(f"Expected either a table, such as sales.csv, or --dataset NAME, found {found}.")
        if self.data is not None:
            require_file(self.data)

    @property
    def name(self) -> str:
        """Return what the series are called in titles: the data set, or the table's file without its folder."""
        return self.dataset or super().name

    def options(self) -> ReadingOptions:
        """Return what is pinned about the table.

        Raises:
            InputError: a value that is none.
        """
        from tracetune.data.reading.read import keyword_options

        return keyword_options(self.keywords())

    def reading(
        self,
        remembered: ReadingOptions | None = None,
        data: str | None = None,
        *,
        label_column: str | None = None,
        labels: str | None = None,
        left_out: Sequence[str] = (),
        every_channel: bool = False,
    ) -> Reading:
        """Read the table (or ``data``, a table like it) and say what was understood of it.

        Args:
            remembered: what a model remembers of the table it was trained on; flags come first.
            data: another table to read with the same flags.
            label_column: as for `read_table`.
            labels: as for `read_table`.
            left_out: as for `read_table`.
            every_channel: as for `read_table`.
        """
        from tracetune.data.reading.read import read_table

        path = data or self.data
        assert path is not None, "a data set is read by known()"
        reading = read_table(
            path,
            self.options(),
            remembered=remembered,
            label_column=label_column,
            labels=labels,
            left_out=left_out,
            every_channel=every_channel,
        )
        print_reading(path, reading)
        return reading

    def known(self) -> LoadedDataset:
        """Load the known data set."""
        from tracetune.data.datasets import load_dataset

        assert self.dataset is not None, "a table is read by reading()"
        return load_dataset(self.dataset)

    def known_split(self) -> tuple[Panel, PanelSplit]:
        """Load the known data set with its standard parts."""
        from tracetune.data.splits import split_panel

        known = self.known()
        return known.panel, split_panel(known.panel, known.borders)

    def panel(self, remembered: ReadingOptions | None = None, *, every_channel: bool = False) -> Panel:
        """Return all series, of the table or of the data set; see `reading`."""
        return self.known().panel if self.dataset else self.reading(remembered, every_channel=every_channel).panel

    def labelled(
        self,
        label_column: str,
        labels: str | None = None,
        remembered: ReadingOptions | None = None,
        left_out: Sequence[str] = (),
    ) -> tuple[Panel, Sequence[np.ndarray] | None]:
        """Return all series, and the labels of their steps where there are any; see `reading`."""
        if self.dataset and labels is not None:
            raise InputError("--labels goes with a table, not with --dataset. Give the file of the data set.")
        if self.dataset:
            return self.known().panel, None
        reading = self.reading(remembered, label_column=label_column, labels=labels, left_out=left_out)
        return reading.panel, reading.labels

    def panels(self, chunk_rows: int, remembered: ReadingOptions | None = None) -> Iterator[Panel]:
        """Read the table in chunks of about ``chunk_rows`` rows; see `read_panels`."""
        from tracetune.data.reading.chunks import read_panels

        assert self.data is not None, "a data set fits into memory"
        return read_panels(self.data, chunk_rows, self.options(), remembered=remembered)


def print_reading(path: str, reading: Reading) -> None:
    """Say what was understood of a table."""
    from rich.console import Console

    console = Console(highlight=False, soft_wrap=True, quiet=not is_main_process())
    console.print(f"{Path(path).name}: {reading.line}", markup=False)
    for note in reading.notes:
        console.print(f"  {note.for_command_line()}", markup=False, style="dim")
    for warning in reading.warnings:
        console.print(f"  Warning: {warning.for_command_line()}", markup=False, style="yellow")
