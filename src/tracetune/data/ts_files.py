"""Files of the UCR and UEA archives (.ts): labelled series, a line each.

    @classLabel true Standing Running
    @data
    0.1,0.2,0.3:1.0,?,1.2:Standing

Channels are separated by colons, missing values are question marks or NaN, the last part is the class. Lines that begin
with # are comments, wherever they stand. Values with time stamps (@timeStamps true) are read as in `ts_time_stamps`.
What contradicts the header is refused or said, see `ts_header`. Regression targets are refused.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from tracetune.base.errors import InputError, shown
from tracetune.base.plain_numbers import plain_number
from tracetune.data.ts_header import DATA, TsHeader
from tracetune.data.ts_time_stamps import StampedSeries, places_on_one_grid, stamped_parts, stamped_series


@dataclass(frozen=True, eq=False)
class LabelledFile:
    """Content of a .ts file.

    Attributes:
        values: one array [C, L] a series, NaN where missing.
        labels: class of each series; none where the file has none.
    """

    values: list[np.ndarray]
    labels: list[str]


def read_ts(path: str | Path, *, labelled: bool = True) -> LabelledFile:
    """Read a .ts file.

    Args:
        path: where it is.
        labelled: False takes files without classes too, and gives no labels then.

    Raises:
        InputError: the file is missing, has no data or no classes, times that are not evenly spaced, or a line that is
            no series, lacks its class or all values, has another number of channels than the first or than the header
            says, or a class that the header does not list.
    """
    source = Path(path)
    if not source.is_file():
        raise InputError(f"Expected a .ts file at {source}; it does not exist.")
    lines = source.read_text(encoding="utf-8-sig", errors="replace").splitlines()  # with or without a mark in front
    header = _header(source, lines, labelled)
    has_classes, stamped = header.says("@classlabel"), header.says("@timestamps")
    start = next(number for number, line in enumerate(lines) if line.strip().lower() == DATA) + 1
    found: list[tuple[list[str], str]] = []
    labels = []
    for number, line in enumerate(lines[start:], start + 1):
        if line.strip() and not line.lstrip().startswith("#"):
            text, where = line.strip(), f"line {number:,} of {source}"
            channels = stamped_parts(text) if stamped else text.split(":")
            if has_classes:
                labels.append(_label(channels.pop().strip(), header, where) if labelled else channels.pop().strip())
            if not channels:
                raise InputError(f"Expected values and a class, separated by a colon, in {where}.")
            found.append((channels, where))
            _require_channels(len(channels), len(found[0][0]), header, where)
    if not found:
        raise InputError(f"Expected series after @data in {source}, found none.")
    values = _on_grid([stamped_series(*each) for each in found]) if stamped else [series_of(*each) for each in found]
    header.say_contradictions(values)
    return LabelledFile(values, labels)


def _header(source: Path, lines: Sequence[str], labelled: bool) -> TsHeader:
    """Return the header of a file; refuse one without data, with targets of a regression, or without classes."""
    header = TsHeader.of(source, lines)
    if header.entries.get(DATA) != "":
        raise InputError(f"Expected a line @data in {source}, found none: this is no .ts file.")
    if not labelled and header.says("@targetlabel"):
        raise InputError(
            f"{source} says '@targetLabel true': its series end with numbers, not classes. Take them out, or set it to "
            "false."
        )
    if labelled and header.says("@targetlabel"):
        raise InputError(f"{source} says '@targetLabel true': its series end with numbers to predict, not classes.")
    if labelled and not header.says("@classlabel"):
        raise InputError(f"Expected '@classLabel true ...' in {source}: only files with classes are read.")
    return header


def _label(label: str, header: TsHeader, where: str) -> str:
    """Return the class at the end of a line; refuse one that is empty or that the header does not list."""
    if not label:
        raise InputError(f"Expected a class at the end of {where}, found none. Fill it in, or leave it out.")
    header.require_class(label, where)
    return label


def _require_channels(channels: int, of_first: int, header: TsHeader, where: str) -> None:
    """Refuse another number of channels than the first series has, or than the header says."""
    if channels != of_first:
        raise InputError(
            f"Expected {of_first} channel{'s' if of_first > 1 else ''} in {where}, as in the first series, found "
            f"{channels}. Correct it; a file that ends there may be cut short."
        )
    header.require_channels(channels, where)


def _on_grid(series: list[StampedSeries]) -> list[np.ndarray]:
    """Return the arrays [C, L] of series with time stamps, NaN at steps that are left out."""
    values = []
    for each, (length, places) in zip(series, places_on_one_grid(series), strict=True):
        array = np.full((len(places), length), np.nan)
        for row, steps, cells in zip(array, places, each.values, strict=True):
            row[steps] = [_value(cell, each.where) for cell in cells]
        _require_value(array, each.where)
        values.append(array)
    return values


def series_of(channels: Sequence[str], where: str) -> np.ndarray:
    """Return the array [C, L] of one line, cells separated by commas; channels of unequal lengths end with NaN."""
    return series_of_cells([channel.split(",") for channel in channels], where)


def series_of_cells(channels: Sequence[Sequence[str]], where: str) -> np.ndarray:
    """Return the array [C, L] of one line that was cut into cells, see `series_of`."""
    rows = [[_value(cell.strip(), where) for cell in channel] for channel in channels]
    found = np.full((len(rows), max(map(len, rows))), np.nan)
    for row, cells in zip(found, rows, strict=True):
        row[: len(cells)] = cells
    _require_value(found, where)
    return found


def _require_value(series: np.ndarray, where: str) -> None:
    if np.isnan(series).all():
        raise InputError(f"The series in {where} has no value at all. Leave it out.")


def _value(cell: str, where: str) -> float:
    if cell == "?" or cell.lower() == "nan":
        return np.nan
    number = plain_number(cell)
    if number is None:
        raise InputError(f"Expected numbers in {where}, and ? where one is missing, found {shown(cell)}.")
    return number
