"""Options that pin how a table is read, and decisions made about it."""

import json
from collections.abc import Iterable, Mapping, Set
from dataclasses import asdict, dataclass, fields, replace
from typing import Any, cast

import numpy as np
from pandas.api.types import is_list_like

from tracetune.base.errors import InputError, argument, shown, unknown_name
from tracetune.base.json_types import JsonObject
from tracetune.data.frequency import Offset, as_offset, offset_text

LAYOUTS = ("long", "wide", "rows", "dates_in_header", "steps_in_header")
DUPLICATES = ("mean", "first", "sum")
_AGGREGATES = ("mean", "sum", "first", "last", "min", "max", "median")
_SPELLED_SEPARATORS = {"tab": "\t", "\\t": "\t", "space": " "}
_TUPLES = ("id_column", "timestamp_column", "target", "missing")


@dataclass(frozen=True)
class ReadingOptions:
    """Options that pin how a table is read; None and () leave it to be inferred.

    Attributes:
        separator: what stands between cells of a text file: ";", ",", "|", " " or "\\t" (also "tab").
        decimal: decimal mark of numbers: "." or ",".
        thousands: thousands mark of numbers: ",", ".", " " or "'".
        encoding: encoding of a text file, e.g. "utf-8", "cp1252".
        sheet: sheet of a workbook, by name or number from 1; the first if not given.
        missing: further marks of missing values, e.g. "n.a." or "-200".
        id_column: columns that name the items, together.
        timestamp_column: time column, or the columns of its parts (date and hour; year, month, day, hour).
        target: columns to forecast, and no others.
        date_format: how dates are written, e.g. "%d.%m.%Y".
        day_first: whether 03/04/2024 is the third of April.
        freq: pandas frequency of the series, e.g. "h", "MS".
        duplicates: what becomes of rows that repeat a time of an item: mean, first or sum.
        resample: bring the series to another step, e.g. "h:mean" (mean, sum, first, last, min, max or median).
        sort: order rows by time instead of refusing disorder.
        layout: long, wide (one series, a column a channel), rows (each row one step, without dates), dates_in_header
            or steps_in_header (one series a row).
    """

    separator: str | None = None
    decimal: str | None = None
    thousands: str | None = None
    encoding: str | None = None
    sheet: str | None = None
    missing: tuple[str, ...] = ()
    id_column: tuple[str, ...] = ()
    timestamp_column: tuple[str, ...] = ()
    target: tuple[str, ...] = ()
    date_format: str | None = None
    day_first: bool | None = None
    freq: str | Offset | None = None
    duplicates: str | None = None
    resample: str | None = None
    sort: bool = False
    layout: str | None = None

    def __post_init__(self) -> None:
        for name in _TUPLES:
            object.__setattr__(self, name, _several(name, getattr(self, name)))
        if self.separator in _SPELLED_SEPARATORS:
            object.__setattr__(self, "separator", _SPELLED_SEPARATORS[self.separator])
        _require(self, "separator", (None, ";", ",", "\t", "|", " "))
        _require(self, "decimal", (None, ".", ","))
        _require(self, "thousands", (None, ",", ".", " ", "'"))
        _require(self, "duplicates", (None, *DUPLICATES))
        _require(self, "layout", (None, *LAYOUTS))
        if self.decimal is not None and self.decimal == self.thousands:
            raise InputError(f"Expected different marks for decimal and thousands, found {self.decimal!r} for both.")
        if self.freq is not None:
            as_offset(self.freq)
        if self.resample is not None:
            self.resampling()

    def resampling(self) -> tuple[Offset, str]:
        """Return the step and the aggregate of ``resample``.

        Raises:
            InputError: it is not written as step:aggregate.
        """
        step, _, how = str(self.resample).partition(":")
        if how not in _AGGREGATES:
            raise InputError(
                f"Expected {argument('resample')} as step:aggregate, e.g. h:mean, with one of "
                f"{', '.join(_AGGREGATES)}; found {self.resample!r}."
            )
        return as_offset(step), how

    def to_json(self) -> JsonObject:
        """Return what is pinned, in types that JSON has; what is not pinned is left out."""
        freq = offset_text(as_offset(self.freq)) if self.freq is not None else None
        values = asdict(replace(self, freq=freq))
        return {name: list(v) if isinstance(v, tuple) else v for name, v in values.items() if _is_pinned(name, v)}

    @classmethod
    def from_json(cls, values: JsonObject | str) -> "ReadingOptions":
        """Return the options that `to_json` wrote, from a mapping or its text.

        Raises:
            InputError: unknown names, or values of another type.
        """
        try:
            content: JsonObject = json.loads(values) if isinstance(values, str) else values
        except json.JSONDecodeError as error:
            raise InputError(f"Expected reading options as JSON, found {str(values)[:80]!r}.") from error
        if not isinstance(content, Mapping):
            raise InputError(f"Expected reading options as a mapping, found {type(content).__name__}.")
        known = {field.name for field in fields(cls)}
        for name, value in content.items():
            if name not in known:
                raise unknown_name("reading option", str(name), known)
            kind = list if name in _TUPLES else bool if name in ("sort", "day_first") else str
            if not isinstance(value, (list, tuple) if kind is list else kind):
                raise InputError(f"Expected {name} as {kind.__name__}, found {value!r}.")
        typed: dict[str, Any] = {n: tuple(map(str, v)) if n in _TUPLES else v for n, v in content.items()}
        return cls(**typed)

    def fitting(self, columns: Iterable[str]) -> "ReadingOptions":
        """Return these options, remembered of another table, without names that a table with ``columns`` lacks.

        A target that the table lacks stays, unless a column has a usual name: targets are not guessed.
        """
        present = set(columns)
        lacking = [n for n in ("id_column", "timestamp_column") if not present.issuperset(getattr(self, n))]
        if not present.issuperset(self.target) and {"target", "y"} & {name.casefold() for name in present}:
            lacking.append("target")
        forgotten: dict[str, Any] = dict.fromkeys(lacking, ())
        return replace(self, **forgotten)

    def over(self, remembered: "ReadingOptions") -> "ReadingOptions":
        """Return these options, with those of ``remembered`` where nothing is pinned here."""
        given = {field.name: getattr(self, field.name) for field in fields(self)}
        return replace(remembered, **{name: v for name, v in given.items() if _is_pinned(name, v)})


def _is_pinned(name: str, value: object) -> bool:
    """Return whether a value says something: to have no day first does, not to sort is what is done anyway."""
    return value is not None and value != () and (name == "day_first" or value is not False)


def _several(name: str, value: object) -> tuple[object, ...]:
    if value is None:
        return ()
    if isinstance(value, (Mapping, Set)):
        raise InputError(f"Expected {argument(name)} as one name or a list of them, found {shown(value)}.")
    values = cast("Iterable[object]", value) if is_list_like(value) else (value,)
    return tuple(each.item() if isinstance(each, np.generic) else each for each in values)


def _require(options: ReadingOptions, name: str, known: tuple[object, ...]) -> None:
    if (found := getattr(options, name)) not in known:
        listed = ", ".join(repr(each) for each in known if each is not None)
        raise InputError(f"Expected {argument(name)} as one of {listed}, found {str(found)[:60]!r}.")
