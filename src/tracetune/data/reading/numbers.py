"""Cells as numbers: decimal and thousands marks, signs and units, numbers that stand for missing."""

import re
import sys
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd

from tracetune.base.errors import InputError, argument
from tracetune.base.plain_numbers import plain_number
from tracetune.data.reading.missing import is_missing, is_textual
from tracetune.data.reading.raw import RawTable, shown, such_cells

_NUMBER = re.compile(r"[-+]?(\d[\d '’]*([.,]\d+)*|[.,]\d+)(e[-+]?\d+)?", re.ASCII | re.IGNORECASE)
_UNITS = re.compile(r"(?<![^-+(\s])[$€£¥]\s*(?=[\d.,(-])|(?<=[\d.)])\s*[%$€£¥](?=[)-]?$)")
_NEGATIVE = re.compile(r"\((?P<inner>[\d.,'’ \u00a0\u202f]*\d[\d.,]*)\)|(?P<before>[\d.,'’ \u00a0\u202f]*\d[\d.,]*)-")
_GROUPING = {" ": "[ \u00a0\u202f]", "'": "['’]"}  # thousands marks that are written in several ways
_SENTINELS = (-200.0, -99.0, -999.0, -9999.0, -99999.0, 9999.0, 99999.0, 999999.0)


def looks_like_number(cell: str) -> bool:
    """Return whether a cell is written like a number, whatever its marks."""
    return bool(_NUMBER.fullmatch(cell))


def plain_sign(cell: str) -> str:
    """Return a cell without percent and currency signs, and a negative number with a minus before it.

    Negative numbers may have a minus of typographers, stand in parentheses as in accounts, or end with a minus.
    """
    cell = _UNITS.sub("", cell.replace("\u2212", "-"))
    found = _NEGATIVE.fullmatch(cell)
    return cell if found is None else f"-{found['inner'] or found['before']}"


@dataclass(frozen=True, eq=False)
class Numbers:
    """A column as numbers.

    Attributes:
        values: [rows] float64, NaN where missing or not a number.
        wrong: [rows], which cells hold something that is no number.
        units: whether a percent or currency sign was taken away, or a minus moved.
    """

    values: np.ndarray
    wrong: np.ndarray
    units: bool = False


def as_numbers(cells: pd.Series, raw: RawTable, marks: Sequence[str] = ()) -> Numbers:
    """Return a column of ``raw`` as numbers, with the cells that are none; ``marks`` are further missing values."""
    if isinstance(cells.dtype, pd.CategoricalDtype):
        cells = cells.astype(object)
    if not is_textual(cells):
        if not pd.api.types.is_numeric_dtype(cells.dtype) or pd.api.types.is_complex_dtype(cells.dtype):
            return Numbers(np.full(len(cells), np.nan), cells.notna().to_numpy(bool))
        return Numbers(_without(cells.to_numpy(np.float64, na_value=np.nan), marks), np.zeros(len(cells), bool))
    missing = is_missing(cells, marks)
    kept = cells.where(~missing)
    units = False
    marked = raw.decimal != "." or bool(raw.thousands)
    numbers = _converted(_plain(kept, raw.decimal, raw.thousands) if marked else kept)
    wrong = (numbers.isna() & kept.notna()).to_numpy(bool)
    if wrong.any():
        signed = kept[wrong].astype(str)
        changed = signed.map({cell: plain_sign(cell) for cell in signed.unique()})
        if units := bool((changed != signed).any()):
            again = _plain(changed, raw.decimal, raw.thousands) if marked else changed
            numbers = numbers.astype(np.float64).where(~wrong, _converted(again).reindex(numbers.index))
            wrong = (numbers.isna() & kept.notna()).to_numpy(bool)
            units = not wrong.all()
    return Numbers(_without(numbers.to_numpy(np.float64, na_value=np.nan), marks), wrong, units)


def _converted(cells: pd.Series) -> pd.Series:
    """Return cells as numbers, NaN for those that are none, whole numbers beyond the largest float among them."""
    try:
        return pd.to_numeric(cells, errors="coerce")
    except OverflowError:
        beyond = cells.map(lambda cell: isinstance(cell, int) and abs(cell) > sys.float_info.max)
        return pd.to_numeric(cells.where(~beyond.astype(bool), "beyond"), errors="coerce")


def required_numbers(cells: pd.Series, raw: RawTable, marks: Sequence[str] = ()) -> np.ndarray:
    """Return a column as numbers [rows].

    Raises:
        InputError: a cell holds text or an infinity; names its row and column.
    """
    found = as_numbers(cells, raw, marks)
    if found.wrong.any():
        place = int(found.wrong.argmax())
        cell = cells.iloc[place]
        hint = f", or give {argument('missing', str(cell))} if it means that" if len(str(cell)) <= 20 else ""
        raise InputError(
            f"Column {shown(cells.name)} must hold numbers, found {shown(cell)} in {raw.row(place)} "
            f"({such_cells(found.wrong.sum())}). Correct them, or leave the cells empty: missing values are "
            f"fine{hint}."
        )
    infinite = np.isinf(found.values)
    if infinite.any():
        raise InputError(
            f"Column {shown(cells.name)} has {infinite.sum():,} infinite values (first: "
            f"{raw.row(infinite.argmax())}). Replace them by numbers, or leave the cells empty: missing values are "
            "fine."
        )
    return found.values


def sentinels(values: np.ndarray) -> list[tuple[float, int]]:
    """Return values that often stand for "missing" (-200, ...), far from all others, and how often they occur."""
    observed = values[np.isfinite(values)]
    found = []
    for sentinel in _SENTINELS:
        count = int((observed == sentinel).sum())
        rest = observed[observed != sentinel]
        if count < 2 or len(rest) < 4:
            continue
        low, high = rest.min(), rest.max()
        spread = max(high - low, 1e-12)
        if sentinel < low - spread / 2 or sentinel > high + 2 * spread or (sentinel < 0 <= low):
            found.append((sentinel, count))
    return found


def _plain(cells: pd.Series, decimal: str, thousands: str) -> pd.Series:
    """Return numbers with a decimal point and without thousands marks; other cells stay what they are."""
    text = cells.astype(object)
    strings = text.map(lambda cell: isinstance(cell, str)).to_numpy(bool)
    written = text[strings]
    if thousands:
        mark = _GROUPING.get(thousands, re.escape(thousands))
        groups = rf"\d{{1,3}}(?:{mark}\d{{3}})+" + (
            rf"|\d{{1,2}}(?:{mark}\d{{2}})+{mark}\d{{3}}" if mark == "," else ""
        )
        grouped = written.str.fullmatch(rf"\D*(?:{groups})(?:{re.escape(decimal)}\d+)?\D*")  # 12,34,567 in India
        written = written.mask(grouped, written.str.replace(mark, "", regex=True))  # 05.01.2023 is no grouped number
    if decimal != ".":
        other = written.str.contains(".", regex=False)  # 1.5 is no number where commas are decimal marks
        written = written.where(other, written.str.replace(decimal, ".", regex=False))
        written = written.mask(other, written + "?")
    return text.mask(strings, written.reindex(text.index))


def _without(values: np.ndarray, marks: Sequence[str]) -> np.ndarray:
    """Return values with NaN for those that ``marks`` name as numbers."""
    for mark in marks:
        number = plain_number(str(mark))
        if number is not None:
            values = np.where(values == number, np.nan, values)
    return values


def counts_steps(cells: pd.Series, raw: RawTable) -> bool:
    """Return whether a column counts from row to row by one step, but where an item ends."""
    numbers = as_numbers(cells, raw)
    steps = np.diff(numbers.values)
    if len(steps) < 2 or numbers.wrong.any() or not np.isfinite(steps).all():
        return False
    found, counts = np.unique(steps, return_counts=True)
    return bool(found[counts.argmax()] != 0 and 2 * counts.max() > len(steps))
