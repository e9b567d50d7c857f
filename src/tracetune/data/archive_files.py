"""Files of the UCR and UEA archives besides .ts: .arff, and text without a header, the class first in each line.

    @attribute att0 numeric                     1.0    0.13    0.27    0.41
    @attribute target {1, 2}                    2.0    0.11    0.08    0.02
    @data
    0.13,0.27,0.41,1

Of an .arff file with several channels, each line begins with all of them in quotes, separated by a written \\n.
"""

import re
from pathlib import Path

from tracetune.base.errors import InputError
from tracetune.base.plain_numbers import plain_number
from tracetune.data.ts_files import LabelledFile, series_of

_LEAST_CELLS = 5  # of a line that is a class and a series
_QUOTED = re.compile(r"""(['"])(?P<body>.*)\1\s*,(?P<label>[^,]*)""")
_MISSING = ("?", "nan")


def read_arff(path: str | Path) -> LabelledFile:
    """Read an .arff file of labelled series, whose last attribute is the class.

    Raises:
        InputError: the file is missing, its last attribute is no class, it has no data, or a line is no series.
    """
    lines = _lines(path)
    header = [line.split(maxsplit=2) for line in lines if line.lower().startswith("@attribute")]
    start = next((number for number, line in enumerate(lines, 1) if line.lower() == "@data"), None)
    if start is None or not header or not header[-1][-1].rstrip().endswith("}"):
        raise InputError(
            f"Expected an .arff file of labelled series in {path}: attributes, the last of them a class such as "
            "{1, 2}, and a line @data."
        )
    values, labels = [], []
    for number, line in enumerate(lines[start:], start + 1):
        if line and not line.startswith("%"):
            where = f"line {number:,} of {path}"
            quoted = _QUOTED.fullmatch(line)
            body, _, label = (quoted["body"], "", quoted["label"]) if quoted else line.rpartition(",")
            if not body or label.strip() in ("", "?"):
                raise InputError(f"Expected values and a class at the end of {where}. Fill it in, or leave it out.")
            values.append(series_of(body.split("\\n") if quoted else [body], where))
            labels.append(label.strip().strip("'\""))
    if not values:
        raise InputError(f"Expected series after @data in {path}, found none.")
    return LabelledFile(values, labels)


def without_header(path: str | Path) -> bool:
    """Return whether a text file begins with a line of numbers alone, as a table of classes and series does."""
    if not Path(path).is_file():
        return False
    with open(path, encoding="utf-8-sig", errors="replace") as file:
        cells = _cells(file.readline())
    numbers = [cell for cell in cells if cell.lower() not in _MISSING]
    return len(cells) >= _LEAST_CELLS and all(plain_number(cell) is not None for cell in numbers)


def read_without_header(path: str | Path) -> LabelledFile:
    """Read lines of a class and the steps of one series, separated by blanks, tabs or commas.

    Raises:
        InputError: a line is no such thing.
    """
    values, labels = [], []
    for number, line in enumerate(_lines(path), 1):
        if line:
            label, *cells = _cells(line)
            where = f"line {number:,} of {path}"
            values.append(series_of([",".join(cells)], where))
            labels.append(label if (whole := plain_number(label)) is None else f"{whole:g}")
    return LabelledFile(values, labels)


def _lines(path: str | Path) -> list[str]:
    if not Path(path).is_file():
        raise InputError(f"Expected a file at {path}; it does not exist.")
    return [line.strip() for line in Path(path).read_text(encoding="utf-8-sig", errors="replace").splitlines()]


def _cells(line: str) -> list[str]:
    return line.replace(",", " ").split()
