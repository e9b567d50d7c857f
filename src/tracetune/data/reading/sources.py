"""Types of everything that can be read as a table, and of the keywords for reading it."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, TypedDict

import pandas as pd
from narwhals.typing import IntoFrame

from tracetune.data.frequency import Offset
from tracetune.data.panels import Panel

Frame = IntoFrame
"""A frame of pandas, polars or pyarrow."""

FrameOfKind = Any
"""A frame of the kind of one that was given, whose methods its user calls."""

FrameSource = Frame | pd.Series | str | Path
"""A frame, or the path of a file."""

Table = FrameSource | Panel
"""A frame, the path of a file, or series that were read already."""

TimesByName = str | Path | Mapping[str, Sequence[Any]]
"""From names of tables or items to windows [start, end] and single times, or the path of a JSON file with that."""

Names = str | Sequence[str] | None


class ReadingKeywords(TypedDict, total=False):
    """How a table is read: the fields of `ReadingOptions` as keywords; None is as good as none."""

    separator: str | None
    decimal: str | None
    thousands: str | None
    encoding: str | None
    sheet: str | None
    missing: Names
    id_column: Names
    timestamp_column: Names
    target: Names
    date_format: str | None
    day_first: bool | None
    freq: str | Offset | None
    duplicates: str | None
    resample: str | None
    sort: bool | None
    layout: str | None
