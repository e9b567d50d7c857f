"""The dialect of a text table: encoding, separator, header row, decimal and thousands marks.

Each decision is a function of a sample of the text, and says why.
"""

import csv
import io
import re
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

from tracetune.base.errors import InputError, argument
from tracetune.data.reading.missing import MISSING_MARKS
from tracetune.data.reading.numbers import looks_like_number, plain_sign
from tracetune.data.reading.options import ReadingOptions
from tracetune.data.reading.raw import Decision, shown

_SEPARATORS = (",", ";", "\t", "|", " ")
_NAMES = {",": "commas", ";": "semicolons", "\t": "tabs", "|": "bars", " ": "blanks"}
_SAMPLE_LINES = 400
_COMMENT = re.compile(r"\s*(#|//|%)")
_SEPARATOR_LINE = re.compile(r'"?sep=.?"?', re.IGNORECASE)
_FRACTION = re.compile(r"\s*[-+]?(\d+\.\d*(e[-+]?\d+)?|\d+e[-+]?\d+)\s*", re.IGNORECASE)
_DATE_LIKE = re.compile(r"\d{1,4}[-/.]\d{1,2}([-/.]\d{1,4})?([ T].*)?|\d{8}|[A-Za-z]{3}-\d\d")


@dataclass(frozen=True)
class Dialect:
    """Dialect of a text table.

    Attributes:
        encoding: name of its encoding.
        separator: what stands between cells.
        skipped: lines before the header (or the first row) that are no part of the table.
        names: names of the columns as written, or invented where there is no header.
        has_header: whether the first line of the table names the columns.
        comments: whether lines that begin with # are comments.
        decimal: decimal mark.
        thousands: thousands mark, "" for none.
        decisions: what was decided and why.
        notes: what a user should know.
    """

    encoding: str
    separator: str
    skipped: int
    names: tuple[str, ...]
    has_header: bool
    comments: bool
    decimal: str
    thousands: str
    decisions: tuple[Decision, ...]
    notes: tuple[str, ...]


def find_dialect(text: str, whole: bool, encoding: Decision, options: ReadingOptions) -> Dialect:
    """Return the dialect of the table that begins with ``text``; ``whole`` says that nothing follows.

    Raises:
        InputError: no columns, or a separator or a decimal mark that can be two.
    """
    lines = text.splitlines(keepends=True)[:_SAMPLE_LINES]
    if not whole and len(lines) > 1 and len(lines) < _SAMPLE_LINES:
        lines = lines[:-1]  # it may be cut
    comments = any(line.lstrip().startswith("#") for line in lines)
    kept = [(number, line) for number, line in enumerate(lines) if line.strip() and not _COMMENT.match(line)]
    named = _SEPARATOR_LINE.fullmatch(kept[0][1].strip()) if kept else None  # Excel's first line
    kept = kept[1:] if named else kept
    if not kept:
        raise InputError("Expected a table, found no columns: no line has a name or a cell.")
    separator = _find_separator([line for _, line in kept], options)
    rows = _cells([line for _, line in kept], separator.value)
    width = _usual_width(rows)
    first = next((place for place, row in enumerate(rows) if _may_be_header(row, width)), 0)
    notes = []
    if encoding.found not in ("utf-8", "utf-8-sig"):
        notes.append(f"read in encoding {encoding.found}: {encoding.reason}")
    if first:
        lines_left = f"{first} line{'s' if first > 1 else ''}"
        notes.append(f"left out {lines_left} before the header (first: {shown(kept[0][1].strip())})")
    has_header = not _is_data_row(rows[first]) or not _same_kinds(rows[first : first + 2])
    names, shifted = _column_names(rows, first, has_header)
    if not has_header:
        notes.append(
            "the file has no header: columns are called " + ", ".join(names[:3]) + (", ..." if len(names) > 3 else "")
        )
    if shifted:
        notes.append("rows have one cell more than the header, which is taken as row names in front")
    body = rows[first + has_header :]
    marks = find_marks(body, separator.value, options)
    decisions = [encoding, separator, *marks]
    found = {mark.subject: mark.value for mark in marks}
    return Dialect(
        encoding.found, separator.value, kept[first][0], names, has_header, comments,
        found["decimal mark"], found.get("thousands mark", "") or "", tuple(decisions), tuple(notes),
    )  # fmt: skip


def _find_separator(lines: Sequence[str], options: ReadingOptions) -> Decision:
    """Return the separator that cuts most lines into the same number of cells, several cells each."""
    given = options.separator
    if given is not None and any(given in line for line in lines[:5]):
        return Decision("separator", _NAMES[given], "it was given", "separator", given)
    best: tuple[float, int, int] = (0.0, 0, 0)
    chosen = ","
    for place, separator in enumerate(_SEPARATORS):
        widths = [_width(row, separator) for row in _cells(lines, separator)]
        if not widths or (separator == " " and chosen != ","):
            continue
        width, agreeing = Counter(widths).most_common(1)[0]
        share = agreeing / len(widths)
        header = 0.5 if widths[0] == width else 0.4 if widths[0] == width - 1 else 0.0
        score = (round(share + header, 2), width, -place)
        if width > 1 and score > best and not (separator == " " and best[0] > 1):
            best, chosen = score, separator
    reason = f"it cuts the lines into {max(best[1], 1)} cells"
    return Decision("separator", _NAMES[chosen], reason, "separator", chosen)


def _width(row: Sequence[str], separator: str) -> int:
    return len([cell for cell in row if cell]) if separator == " " else len(row)


def _cells(lines: Sequence[str], separator: str) -> list[list[str]]:
    reader = csv.reader(io.StringIO("".join(lines)), delimiter=separator, skipinitialspace=True)
    try:
        return [[cell.strip() for cell in row] for row in reader if row]
    except csv.Error as error:
        raise InputError(
            f"The text cannot be cut into cells: {error}. Correct it, or restore it from its source."
        ) from error


def _usual_width(rows: Sequence[Sequence[str]]) -> int:
    return Counter(map(len, rows)).most_common(1)[0][0]


def _may_be_header(row: Sequence[str], width: int) -> bool:
    """Return whether a row has as many cells as most rows, or one less where it lacks a name for row names."""
    wide = len(row) >= width or (width > 2 and len(row) == width - 1)
    return wide and 2 * _filled(row) >= min(len(row), width)


def _filled(row: Sequence[str]) -> int:
    return sum(bool(cell) for cell in row)


def _is_data_row(row: Sequence[str]) -> bool:
    """Return whether a row holds numbers with a point or an exponent only, or numbers after a date.

    Whole numbers alone may be names of columns, or years.
    """
    filled = [cell for cell in row if cell]
    if filled and all(_FRACTION.fullmatch(cell) for cell in filled):
        return True
    numbers = sum(looks_like_number(cell) for cell in filled)
    dates = sum(bool(_DATE_LIKE.fullmatch(cell)) for cell in filled if not looks_like_number(cell))
    return numbers >= 1 and dates >= 1 and numbers + dates == len(filled) and bool(_DATE_LIKE.fullmatch(row[0]))


def _same_kinds(rows: Sequence[Sequence[str]]) -> bool:
    if len(rows) < 2 or len(rows[0]) != len(rows[1]):
        return len(rows) < 2
    pairs = zip(*rows, strict=True)
    return all(looks_like_number(a) == looks_like_number(b) or b in MISSING_MARKS for a, b in pairs)


def _column_names(rows: Sequence[Sequence[str]], first: int, has_header: bool) -> tuple[tuple[str, ...], bool]:
    """Return names of the columns, and whether the header lacks one for row names in front."""
    body = rows[first + has_header :]
    if not has_header:
        return tuple(f"column_{number + 1}" for number in range(_usual_width(rows))), False
    header = [name.strip() for name in rows[first]]
    width = _usual_width(body) if body else len(header)
    if body and width == len(header) + 1 and all(row[-1] for row in body if len(row) == width):
        return ("row_name", *header), True
    return tuple(header), False


_COMMA_DECIMAL = re.compile(r"[-+]?\d+,\d+(e[-+]?\d+)?", re.IGNORECASE)
_GROUPED = {mark: re.compile(rf"[-+]?\d{{1,3}}({re.escape(mark)}\d{{3}})+") for mark in (",", ".", "'")}
_BOTH = re.compile(r"[-+]?\d{1,3}([.,' \u00a0\u202f])\d{3}(\1\d{3})*([.,])\d+")
_SPACED = re.compile(r"[-+]?\d{1,3}([ \u00a0\u202f]\d{3})+([.,]\d+)?")


def find_marks(rows: Sequence[Sequence[str]], separator: str, options: ReadingOptions) -> list[Decision]:
    """Return the decimal and, where there is one, the thousands mark of a sample of cells.

    Raises:
        InputError: cells such as 1,234 may be either, and nothing else tells.
    """
    columns = [
        [plain_sign(cell).replace("’", "'") for cell in column if cell] for column in zip(*_even(rows), strict=True)
    ]
    columns = [column for column in columns if sum(map(_numeric_shape, column)) * 2 > len(column)]
    cells = [cell for column in columns for cell in column if _numeric_shape(cell)]
    if options.decimal is not None or options.thousands is not None:
        decimal = options.decimal or ("," if options.thousands == "." else ".")
        thousands = _grouping(cells, decimal) if options.thousands is None else options.thousands
        return _marks(decimal, thousands, "it was given")
    for cell in cells:
        if (both := _BOTH.fullmatch(cell)) and both[1] != both[3]:
            thousands = both[1] if both[1] in ",.'" else " "
            return _marks(both[3], thousands, f"of {shown(cell)}")
    spaced = " " if any(map(_SPACED.fullmatch, cells)) else ""
    with_comma = [cell for cell in cells if "," in cell]
    with_point = [cell for cell in cells if "." in cell]
    if any(cell.count(".") > 1 for cell in with_point if _GROUPED["."].fullmatch(cell)):
        return _marks(",", ".", f"of {shown(next(cell for cell in with_point if cell.count('.') > 1))}")
    quoted = next((cell for cell in cells if _GROUPED["'"].fullmatch(cell)), None)
    if with_comma:
        return _comma(cells, with_comma, with_point, separator)
    if any(not _GROUPED["."].fullmatch(cell) or re.match(r"[-+]?0", cell) for cell in with_point):
        return _marks(
            ".", "'" if quoted else spaced, "cells have other than three digits after a point, or begin with 0"
        )
    doubtful = next((column for column in columns if _points_may_group(column, separator)), None)
    if doubtful is not None:
        raise _undecided(".", next(cell for cell in doubtful if "." in cell))
    return _marks(".", "'" if quoted else spaced, "no cell speaks for a comma")


def _grouping(cells: Sequence[str], decimal: str) -> str:
    """Return the thousands mark of cells whose decimal mark is known, "" where there is none."""
    other = "." if decimal == "," else ","
    whole = (re.split(re.escape(decimal), cell)[0] for cell in cells)
    return other if any(map(_GROUPED[other].fullmatch, whole)) else ""


def _comma(cells: Sequence[str], commas: Sequence[str], points: Sequence[str], separator: str) -> list[Decision]:
    certain = next(
        (cell for cell in commas if _COMMA_DECIMAL.fullmatch(cell) and not _GROUPED[","].fullmatch(cell)), None
    )
    certain = certain or next((cell for cell in commas if re.match(r"[-+]?0,", cell)), None)
    several = next((cell for cell in commas if cell.count(",") > 1), None)
    long = next((cell for cell in cells if re.fullmatch(r"[-+]?[1-9]\d{3,}(\.\d+)?", cell)), None)
    if certain and not several and not points:
        return _marks(",", "", f"of {shown(certain)}")
    if several and not certain:
        return _marks(".", ",", f"of {shown(several)}")
    if certain and (several or points):
        other = several or points[0]
        raise InputError(
            f"Expected one decimal mark, found {shown(certain)} and {shown(other)}. Write numbers alike, or give "
            f"{argument('decimal', ',')} or {argument('decimal', '.')}."
        )
    if points and separator == ",":  # quoted 1,234 beside 0.5: points are decimals there
        return _marks(".", ",", f"of {shown(points[0])} beside {shown(commas[0])}")
    if long and not points:
        return _marks(",", "", f"of {shown(long)} beside {shown(commas[0])}")
    raise _undecided(",", commas[0])


def _undecided(mark: str, cell: str) -> InputError:
    whole, fraction = cell.replace(mark, ""), cell.replace(mark, ".")
    return InputError(
        f"Cell {shown(cell)} may be {whole} (give {argument('thousands', mark)}) or {fraction} (give "
        f"{argument('decimal', mark)}); no other cell tells which."
    )


def _points_may_group(column: Sequence[str], separator: str) -> bool:
    """Return whether points in a column may be thousands marks: three digits after each, small numbers without any."""
    numbers = [cell for cell in column if _numeric_shape(cell)]
    pointed = [cell for cell in numbers if "." in cell]
    if len(pointed) < 3 or not all(
        _GROUPED["."].fullmatch(cell) and not cell.lstrip("-+").startswith("0") for cell in pointed
    ):
        return False
    plain = [cell for cell in numbers if "." not in cell]
    small = bool(plain) and all(len(cell.lstrip("-+")) <= 3 for cell in plain)
    return small or (separator == ";" and not plain)


def _numeric_shape(cell: str) -> bool:
    return bool(
        re.fullmatch(r"[-+]?[\d.,' \u00a0\u202f]*\d[\d.,' \u00a0\u202f]*(e[-+]?\d+)?", cell, re.IGNORECASE)
    ) and not (_DATE_LIKE.fullmatch(cell) and not re.fullmatch(r"[-+]?\d+[.,]?\d*", cell))


def _even(rows: Sequence[Sequence[str]]) -> list[list[str]]:
    width = max(map(len, rows), default=0)
    return [[*row, *[""] * (width - len(row))] for row in rows]


def _marks(decimal: str, thousands: str, reason: str) -> list[Decision]:
    found = [Decision("decimal mark", repr(decimal), reason, "decimal", decimal)]
    if thousands:
        found.append(Decision("thousands mark", repr(thousands), reason, "thousands", thousands))
    return found
