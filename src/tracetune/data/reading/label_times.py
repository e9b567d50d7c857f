"""Labels of steps by times that stand beside the table: windows and points, by the name of the file, as NAB has them.

The Numenta anomaly benchmark (Lavin and Ahmad, 2015) has two such files: ``combined_windows.json``, from the name of a
table to its windows [start, end], ends included, and ``combined_labels.json``, from the name to single times. Of a
table with several items the names are those of the items.

Shapes: R rows of the table.
"""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime
from pathlib import Path, PurePath
from typing import Any

import numpy as np
import pandas as pd

from tracetune.base.errors import InputError, argument, nearest_names
from tracetune.base.files import require_file
from tracetune.data.forecast_frame import shown_times
from tracetune.data.panels import Panel
from tracetune.data.reading.raw import listed, shown, shown_path
from tracetune.data.reading.rows import Rows
from tracetune.data.reading.sources import TimesByName
from tracetune.data.time_text import show_moment

_DATE_ALONE = len("2024-01-31")
_DAY = np.timedelta64(86_400 * 10**9 - 1, "ns")  # to its last moment
_FORM = 'Write {"table.csv": [["2014-04-10 07:15:00", "2014-04-11 16:45:00"]]}.'
_PACKED = (".gz", ".zip", ".bz2", ".xz", ".zst")


@dataclass(frozen=True)
class LabelTimes:
    """Times of anomalies, by the name of a table's file or by items.

    Attributes:
        entries: from a name to a list of windows (pairs of times) and points (times).
        where: they were read from, for messages.
        table: file of the table; None where it has none.
    """

    entries: Mapping[str, Sequence[Any]]
    where: str
    table: str | Path | None

    @classmethod
    def of(cls, labels: TimesByName, table: object) -> "LabelTimes":
        """Return those of a mapping or of a JSON file that holds one, for a table.

        Raises:
            InputError: a file that cannot be read, or that holds something else.
        """
        where = argument("labels") if isinstance(labels, Mapping) else shown_path(Path(labels))
        entries = labels if isinstance(labels, Mapping) else _read(Path(labels), where)
        odd = [name for name, entry in entries.items() if not isinstance(entry, (list, tuple))]
        if odd:
            raise InputError(
                f"Expected a list of windows [start, end] or of times under {shown(odd[0])} in {where}, found "
                f"{shown(entries[odd[0]])}."
            )
        return cls(entries, where, table if isinstance(table, (str, Path)) else None)

    def label(self, panel: Panel, rows: Rows) -> tuple[np.ndarray, "TimedLabels"]:
        """Return labels [R] of the rows that a panel was made of, 1 where anomalous, and what steps between them need.

        Times may be those of a longer table with dates, of which this is a piece: what lies outside of it is left out.

        Raises:
            InputError: the table is not named; a time that is none or lies between rows; all times outside of the
                table, or one outside of its steps, which have no dates; or a window that ends before it begins.
        """
        moments = shown_times(panel, rows.times)
        labels = np.zeros(len(moments))
        spans: dict[str, list[_Span]] = {}
        outside: list[tuple[_Span, np.ndarray]] = []
        cut = 0
        for code, (item, (name, entry)) in enumerate(zip(rows.items, self._entries_of(rows.items), strict=True)):
            places = np.flatnonzero(rows.codes == code)
            of_item, where = moments[places], f"{shown(name)} in {self.where}"
            given = [_span(each, moments.dtype, panel.origin.zone, where) for each in entry]
            spans[item] = [each for each in given if each.meets(of_item)]
            outside += [(each, of_item) for each in given if not each.meets(of_item)]
            for span in spans[item]:
                labels[places[span.rows(of_item)]] = 1
                cut += not span.lies_in(of_item)
        if outside and not any(spans.values()):
            raise _outside_of_table(*outside[0])
        return labels, TimedLabels(self.where, spans, len(outside), cut)

    def _entries_of(self, item_ids: Sequence[str]) -> list[tuple[str, Sequence[Any]]]:
        """Return the name and the entry of each item."""
        if len(item_ids) > 1 or item_ids[0] in self.entries:
            unknown = [name for name in self.entries if name not in item_ids]
            if unknown:
                raise InputError(
                    f"Expected the items of the table ({listed('item', item_ids)}) as names in {self.where}, found "
                    f"{shown(unknown[0])}, which is none."
                )
            return [(name, self.entries.get(name, ())) for name in item_ids]
        if self.table is None and len(self.entries) == 1:
            return list(self.entries.items())
        if self.table is None:
            raise InputError(
                f"Expected the times of one series in {self.where}, found {len(self.entries):,} names, and a table "
                "without a file's name to choose by. Give those of this series alone, or the path of the table."
            )
        name = self._name_of(PurePath(self.table))
        return [(name, self.entries[name])]

    def _name_of(self, table: PurePath) -> str:
        """Return the name that means a file: that of which most last parts agree."""
        agree = {name: _last_parts_alike(PurePath(name), table) for name in self.entries}
        most = max(agree.values(), default=0)
        best = [name for name, count in agree.items() if count == most]
        if most and len(best) == 1:
            return best[0]
        if most:
            raise InputError(
                f"Expected one name in {self.where} for {shown(table.name)}, found {listed('name', best)}. Give the "
                "path of the table with its folder."
            )
        near = nearest_names(table.name, self.entries) or list(self.entries)[:3]
        has = f"such as {', '.join(map(shown, near))}" if near else "none at all"
        raise InputError(
            f"{shown(table.name)} is not named in {self.where}, which has {len(self.entries):,} names, {has}. Add it, "
            "with [] where it holds no anomaly, or give the table under its own name."
        )


@dataclass(frozen=True)
class TimedLabels:
    """Spans of the anomalies of each item, for steps that no row stands for.

    Attributes:
        where: they were read from.
        spans: by item.
        outside: how many others lie outside of the table, and are left out.
        cut: how many reach beyond the table, and count as far as it goes.
    """

    where: str
    spans: Mapping[str, Sequence["_Span"]]
    outside: int = 0
    cut: int = 0

    def with_gaps(self, panel: Panel, labels: Sequence[np.ndarray]) -> tuple[np.ndarray, ...]:
        """Return labels [L] of each series, in which missing steps inside a window are anomalous too."""
        found = []
        for series, marked in zip(panel, labels, strict=True):
            moments = shown_times(panel, series.timestamps)
            inside = [span.inside(moments) for span in self.spans[series.item_id] if span.window]
            found.append(np.logical_or.reduce([marked > 0, *inside]).astype(int))
        return tuple(found)

    def note(self, labels: Sequence[np.ndarray]) -> str:
        """Return in words what was read, and how many steps it makes anomalous."""
        every = [span for spans in self.spans.values() for span in spans]
        windows = sum(span.window for span in every)
        counts = f"{_counted(windows, 'window')} and {_counted(len(every) - windows, 'single time')}"
        steps, marked = sum(map(len, labels)), sum(int(each.sum()) for each in labels)
        return f"labels by {self.where}: {counts}, which hold {marked:,} of {steps:,} steps"

    def doubts(self) -> list[str]:
        """Return in words what was not read as it stands: the table may be a piece, or the times of another one."""
        given = self.outside + sum(map(len, self.spans.values()))
        parts = [
            f"{self.outside:,} of {given:,} lie outside of the table's times and are left out" if self.outside else "",
            f"{self.cut:,} of {given:,} reach beyond them and count as far as the table goes" if self.cut else "",
        ]
        said = "; ".join(filter(None, parts))
        return [f"labels by {self.where}: {said}"] if said else []


@dataclass(frozen=True)
class _Span:
    """A window or a single time, ends included.

    Attributes:
        first: moment that it begins with, a date or a whole number.
        last: moment that it ends with.
        within: the moments that have to lie in the table; the other ends of days that stand for ``first`` and ``last``.
        window: whether it is one.
        said: it in messages.
    """

    first: Any
    last: Any
    within: tuple[Any, Any]
    window: bool
    said: str

    def inside(self, moments: np.ndarray) -> np.ndarray:
        """Return which of moments [R] lie in it."""
        return (moments >= self.first) & (moments <= self.last)

    def meets(self, moments: np.ndarray) -> bool:
        """Return whether it has some time in common with a series, of its moments [R]; without dates it has to."""
        return moments.dtype.kind != "M" or bool(self.first <= moments.max() and self.last >= moments.min())

    def lies_in(self, moments: np.ndarray) -> bool:
        """Return whether it begins and ends within a series."""
        return bool(self.within[0] >= moments.min() and self.within[1] <= moments.max())

    def rows(self, moments: np.ndarray) -> np.ndarray:
        """Return which of the rows of a series lie in it, of their moments [R].

        Raises:
            InputError: it lies between two; or outside of steps without dates, which a piece would count anew.
        """
        if moments.dtype.kind != "M" and not self.lies_in(moments):
            raise _outside_of_table(self, moments)
        inside = self.inside(moments)
        if not inside.any():
            before, after = moments[moments < self.first].max(), moments[moments > self.last].min()
            gap = f"between {show_moment(before)} and {show_moment(after)}"
            raise InputError(
                f"Expected a row of the table in {self.said}; found none {gap}. Write the time as it stands in the "
                "table."
            )
        return inside


def _outside_of_table(span: _Span, moments: np.ndarray) -> InputError:
    table = f"{show_moment(moments.min())} to {show_moment(moments.max())}"
    return InputError(
        f"Expected times within the table, which goes from {table}; found {span.said}. Give the whole table, or leave "
        f"{argument('labels')} out where this piece of it holds no anomaly."
    )


def _span(written: Any, dtype: np.dtype, zone: str | None, where: str) -> _Span:
    """Return a window [start, end] or a single time, as moments of a table.

    Raises:
        InputError: it is neither, or ends before it begins.
    """
    window = isinstance(written, (list, tuple))
    said = f"{shown(list(written) if window else written)} of {where}"
    ends = list(written) if window else [written, written]
    if len(ends) != 2:
        raise InputError(f"Expected windows as [start, end], found {said}.")
    begin, end = (_moments(each, dtype, zone, said) for each in ends)
    if end[1] < begin[0]:
        raise InputError(f"Expected windows as [start, end] that end after they begin, found {said}. Turn it round.")
    return _Span(begin[0], end[1], (begin[1], end[0]), window, said)


def _moments(written: Any, dtype: np.dtype, zone: str | None, said: str) -> tuple[Any, Any]:
    """Return the first and the last moment that a written time stands for: a date alone is a whole day."""
    if dtype.kind != "M":
        if not isinstance(written, (int, np.integer)) or isinstance(written, bool):
            raise InputError(f"Expected whole numbers, as the table has no dates but counts its steps; found {said}.")
        return int(written), int(written)
    try:
        parsed = datetime.fromisoformat(written.strip()) if isinstance(written, str) else written
        if not isinstance(parsed, (date, np.datetime64)) or pd.isna(parsed):
            raise ValueError
        moment = pd.Timestamp(parsed)
    except ValueError as error:
        raise InputError(f"Expected times as 2014-04-10 07:15:00, as the table has dates; found {said}.") from error
    if moment.tz is not None:
        if zone is None:
            raise InputError(f"Expected times without a zone, as the table has none; found {said}.")
        moment = moment.tz_convert(zone).tz_localize(None)
    whole_day = len(written.strip()) <= _DATE_ALONE if isinstance(written, str) else type(parsed) is date
    first = moment.to_datetime64()
    return first, first + (_DAY if whole_day else np.timedelta64(0))


def _last_parts_alike(name: PurePath, table: PurePath) -> int:
    """Return how many of the last parts of two paths are the same; endings, such as .csv.gz, do not count."""
    parts = [[*path.parts[:-1], _stem(path)] for path in (name, table)]
    alike = 0
    for one, other in zip(*map(reversed, parts), strict=False):
        if one != other:
            break
        alike += 1
    return alike


def _stem(path: PurePath) -> str:
    """Return the name of a file without what says that it is packed, and without its ending."""
    return PurePath(path.stem).stem if path.suffix.lower() in _PACKED else path.stem


def _read(path: Path, where: str) -> dict[str, Any]:
    """Return what a JSON file holds by name."""
    require_file(str(path), "a file of labels")
    try:
        content = json.loads(path.read_text("utf-8-sig"))
    except (OSError, ValueError, RecursionError) as error:
        raise InputError(f"{where} cannot be read as JSON: {error}. {_FORM}") from error
    if not isinstance(content, dict):
        raise InputError(f"Expected names with their times in {where}, found {shown(content)}. {_FORM}")
    return content


def _counted(count: int, noun: str) -> str:
    return f"{count:,} {noun}{'' if count == 1 else 's'}"
