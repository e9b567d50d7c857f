"""Where the series of a command come from: a table with what is known of its columns, or a known data set."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from tracetune.base.errors import InputError, nearest_names

if TYPE_CHECKING:  # what follows needs pandas; help and mistyped flags do not
    import pandas as pd

    from tracetune.data.datasets import LoadedDataset
    from tracetune.data.frames import Panel
    from tracetune.data.splits import PanelSplit


@dataclass(frozen=True)
class DataSource:
    """The series that a command reads.

    Attributes:
        data: table with the series: CSV, CSV.gz or Parquet.
        dataset: name of a known data set, instead of a table (see `tracetune datasets`).
        id_column: name of the item column, if not item_id or unique_id.
        timestamp_column: name of the time column, if not timestamp, ds or date.
        target: name of the column to forecast, if not target or y.
        freq: pandas frequency of the series, if it cannot be inferred.
        sort: sort rows by time instead of refusing disorder.
    """

    data: str | None = field(default=None, metadata={"positional": True})
    dataset: str | None = None
    id_column: str | None = None
    timestamp_column: str | None = None
    target: str | None = None
    freq: str | None = None
    sort: bool = False

    def __post_init__(self) -> None:
        if (self.data is None) == (self.dataset is None):
            found = "both" if self.data else "neither"
            raise InputError(f"Expected either a table, such as sales.csv, or --dataset NAME, found {found}.")
        if self.data is not None:
            require_file(self.data)

    def columns(self) -> dict[str, Any]:
        """Return what is known of the columns, as forecasters take it."""
        names = ("id_column", "timestamp_column", "target", "freq", "sort")
        return {name: getattr(self, name) for name in names}

    def words(self) -> list[str]:
        """Return the words of a command line that name this source."""
        words = ["--dataset", self.dataset] if self.dataset else [str(self.data)]
        for name, value in self.columns().items():
            flag = f"--{name.replace('_', '-')}"
            if value is True:
                words.append(flag)
            elif value:
                words += [flag, str(value)]
        return words

    def frame(self) -> pd.DataFrame:
        """Read the table."""
        from tracetune.data.table_files import read_frame

        assert self.data is not None, "a data set is read by known()"
        return read_frame(self.data)

    def known(self) -> LoadedDataset:
        """Load the known data set."""
        from tracetune.data.datasets import load_dataset

        assert self.dataset is not None, "a table is read by frame()"
        return load_dataset(self.dataset)

    def known_split(self) -> tuple[Panel, PanelSplit]:
        """Load the known data set with its standard parts."""
        from tracetune.data.splits import split_panel

        known = self.known()
        return known.panel, split_panel(known.panel, known.borders)

    def panel(self) -> Panel:
        """Return all series, of the table or of the data set."""
        from tracetune.data.frames import panel_from_frame

        return self.known().panel if self.dataset else panel_from_frame(self.frame(), **self.columns())


def require_file(path: str) -> None:
    """Refuse a file that is not there before anything is loaded, and name those that are called alike.

    Raises:
        InputError: there is no such file.
    """
    source = Path(path)
    try:
        if source.exists():
            return
        beside = [each.name for each in source.absolute().parent.iterdir() if each.is_file()]
    except (OSError, ValueError):  # a name that no file system holds, a folder that cannot be read
        beside = []
    alike = nearest_names(source.name, beside)
    hint = f" Did you mean {' or '.join(str(source.with_name(name)) for name in alike)}?" if alike else ""
    raise InputError(f"Expected a table at {path[:200]}: there is no such file.{hint}")
