"""Files of the UCR and UEA archives besides .ts: .arff, and text without a header, the class first in each line.

    @attribute att0 numeric                     1.0    0.13    0.27    0.41
    @attribute target {1, 2}                    2.0    0.11    0.08    0.02
    @data
    0.13,0.27,0.41,1

Of an .arff file with several channels, each line begins with all of them in quotes, separated by a written \\n. Both
kinds write series of unequal lengths with missing values at their ends: a series ends with its last value.
"""

import re
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from tracetune.base.errors import InputError, argument, shown
from tracetune.base.plain_numbers import plain_number
from tracetune.data.ts_files import LabelledFile, series_of, series_of_cells

_LEAST_CELLS = 5  # of a line that is a class and a series
_QUOTED = re.compile(r"""(['"])(?P<body>.*)\1\s*,(?P<label>[^,]*)""")
_MISSING = ("", "?", "nan")
_SHOWN = 10  # classes in a message


def read_arff(path: str | Path, *, labelled: bool = True) -> LabelledFile:
    """Read an .arff file of labelled series, whose last attribute is the class.

    Args:
        path: where it is.
        labelled: False passes over the classes, which may be missing then, and gives no labels.

    Raises:
        InputError: the file is missing, its last attribute is no class, it has no data, or a line is no series, has
            another number of values than there are attributes, or a class that the header does not list.
    """
    lines = [line.strip() for line in _lines(path)]
    header = [line.split(maxsplit=2) for line in lines if line.lower().startswith("@attribute")]
    start = next((number for number, line in enumerate(lines, 1) if line.lower() == "@data"), None)
    if start is None or not header or not header[-1][-1].rstrip().endswith("}"):
        raise InputError(
            f"Expected an .arff file of labelled series in {path}: attributes, the last of them a class such as "
            "{1, 2}, and a line @data."
        )
    listed = [_unquoted(name) for name in header[-1][-1].partition("{")[2].rstrip().rstrip("}").split(",")]
    values, labels = [], []
    for number, line in enumerate(lines[start:], start + 1):
        if line and not line.startswith("%"):
            where = f"line {number:,} of {path}"
            quoted = _QUOTED.fullmatch(line)
            body, _, label = (quoted["body"], "", quoted["label"]) if quoted else line.rpartition(",")
            if not body or (labelled and label.strip() in ("", "?")):
                raise InputError(f"Expected values and a class at the end of {where}. Fill it in, or leave it out.")
            series = series_of(body.split("\\n") if quoted else [body], where)
            if not quoted and series.shape[1] != len(header) - 1:
                raise InputError(
                    f"Expected {len(header) - 1} values and a class in {where}, as its header has attributes, found "
                    f"{series.shape[1]}. Correct the line or the header."
                )
            if labelled:
                labels.append(_listed_class(_unquoted(label), listed, where))
            values.append(until_last_value(series))
    if not values:
        raise InputError(f"Expected series after @data in {path}, found none.")
    return LabelledFile(values, labels)


def _listed_class(label: str, listed: Sequence[str], where: str) -> str:
    if label not in listed:
        raise InputError(
            f"Expected one of the classes {', '.join(listed[:_SHOWN])}{', ...' if len(listed) > _SHOWN else ''} in "
            f"{where}, as its header lists them, found {shown(label)}. Correct it, or list it in the header."
        )
    return label


def until_last_value(series: np.ndarray) -> np.ndarray:
    """Return a series [C, L] up to the last step at which some channel has a value."""
    return series[:, : int(np.flatnonzero(~np.isnan(series).all(axis=0))[-1]) + 1]


def without_header(path: str | Path) -> bool:
    """Return whether a text file begins with a line of numbers alone, as a table of classes and series does."""
    if not Path(path).is_file():
        return False
    with open(path, encoding="utf-8-sig", errors="replace") as file:
        line = file.readline()
    cells = _cells(line, _separator(line))
    numbers = [cell for cell in cells if cell.lower() not in _MISSING]
    return len(cells) >= _LEAST_CELLS and all(plain_number(cell) is not None for cell in numbers)


def read_without_header(path: str | Path) -> LabelledFile:
    """Read lines of a class and the steps of one series, separated by tabs, commas or blanks as the first line is.

    Empty cells between tabs or commas are missing values.

    Raises:
        InputError: a line is no such thing, or begins with a fraction, which is no class.
    """
    values, labels = [], []
    lines = [(number, line) for number, line in enumerate(_lines(path), 1) if line.strip()]
    separator = _separator(lines[0][1])
    for number, line in lines:
        label, *cells = _cells(line, separator)
        where = f"line {number:,} of {path}"
        values.append(until_last_value(series_of_cells([[cell or "?" for cell in cells]], where)))
        labels.append(_class_in_front(label, where))
    return LabelledFile(values, labels)


def _class_in_front(label: str, where: str) -> str:
    whole = plain_number(label)
    if whole is not None and whole.is_integer():
        return str(int(whole))
    raise InputError(
        f"Expected the class, a whole number, at the beginning of {where}, as in files of the UCR archive without a "
        f"header, found {shown(label)}. Where it stands elsewhere, give the file a header, and name the column of the "
        f"classes with {argument('label_column')}."
    )


def _lines(path: str | Path) -> list[str]:
    if not Path(path).is_file():
        raise InputError(f"Expected a file at {path}; it does not exist.")
    return Path(path).read_text(encoding="utf-8-sig", errors="replace").splitlines()


def _separator(line: str) -> str | None:
    """Return what stands between the cells of a line; None for blanks."""
    return next((mark for mark in ("\t", ",") if mark in line.strip()), None)


def _cells(line: str, separator: str | None) -> list[str]:
    return [cell.strip() for cell in line.split(separator)]


def _unquoted(name: str) -> str:
    return name.strip().strip("'\"")
