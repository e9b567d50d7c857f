"""The form in which a column of times is written, so that further times can be written alike."""

import itertools
import re
from collections.abc import Iterator

import numpy as np
import pandas as pd

from tracetune.data.reading.columns import DateReading
from tracetune.data.time_text import FIELD, WORKBOOK_DAYS, clock_text

AS_USUAL = ""
_TRIED = 200  # cells on which a form is tried
_ISO = re.compile(
    r"(?P<Y>\d{4})-(?P<m>\d{2})(?:-(?P<d>\d{2})"
    r"(?:[T ](?P<H>\d{2})(?::?(?P<M>\d{2})(?::?(?P<S>\d{2})(?:[.,](?P<f>\d+))?)?)?)?)?.*"
)
_WEEK = re.compile(r"(?P<G>\d{4})(?:[- ]?W)?(?P<V>\d{1,2})(?:-?(?P<u>[1-7]))?")
_QUARTER = re.compile(r"(?P<Y>\d{4})[-/ ]?[Qq](?P<q>[1-4])|[Qq](?P<q2>[1-4])[-/ ]?(?:(?P<Y2>\d{4})|(?P<y2>\d\d))")
_MIDNIGHT_24 = re.compile(r"(?<!\d)24(?:[.:]00|$)")
_ZONES = (("",), ("%:z", "%z", "Z", " %:z", " %z", " UTC", "UTC", " Z", " GMT", "GMT"))


def written_form(cells: pd.Series, reading: DateReading) -> str | None:
    """Return the form of a column (see `time_text`), "" where its times are no text, None where none is known.

    A form counts where it gives back the cells: each of up to 200 of them, evenly spread.
    """
    if not reading.is_dates or reading.form in ("dates", "dates with a zone"):
        return AS_USUAL
    rows = np.unique(np.linspace(0, len(cells) - 1, min(len(cells), _TRIED)).astype(int))
    text = cells.iloc[rows].map(_text_of).to_numpy(dtype=object)
    usual = ~np.array([_MIDNIGHT_24.search(each) is not None for each in text])
    rows, text = (rows[usual], text[usual]) if usual.any() else (rows, text)
    clock = pd.DatetimeIndex(reading.times[rows])
    ahead = None if reading.offsets is None else reading.offsets[rows]
    for form in _forms(reading, str(text[0])):
        if np.array_equal(clock_text(clock, ahead, form), text):
            return form
    return AS_USUAL if reading.form == "ISO 8601" else None  # with or without clock times by the row, such as pandas'


def _text_of(cell: object) -> str:
    if isinstance(cell, (int, float, np.integer, np.floating)):
        return str(int(cell))
    return str(cell).strip()


def _forms(reading: DateReading, first: str) -> Iterator[str]:
    """Yield the ways in which a reading can be written, the most usual ones first."""
    for base in _bases(reading, first):
        digits = re.search(r"[.,](\d{3}|\d{6}|\d{9})(?!\d)[^.,]*$", first)
        base = base.replace("%f", f"%{len(digits[1])}f") if digits else base
        fields = [found.group() for found in FIELD.finditer(base)]
        short = [field for field in ("%d", "%m", "%H", "%I", "%V") if field in fields]
        words = [word for word in ("%b", "%B", "%a", "%A") if word in fields]
        for bare in sorted(itertools.product((False, True), repeat=len(short)), key=lambda each: len(set(each))):
            form = base
            for field, shortened in zip(short, bare, strict=True):
                form = form.replace(field, f"%-{field[1]}") if shortened else form
            for capitals, morning in itertools.product((False, True), repeat=2):
                if (capitals and not words) or (morning and "%p" not in form):
                    continue
                changed = form.replace("%p", "%P") if morning else form
                for word in words if capitals else ():
                    changed = changed.replace(word, f"%^{word[1]}")
                for zone in _ZONES[reading.offsets is not None]:
                    yield changed + zone


def _bases(reading: DateReading, first: str) -> list[str]:
    if "%" in reading.form:
        return [reading.form]
    epochs = {"seconds": "%s", "milliseconds": "%3s", "microseconds": "%6s", "nanoseconds": "%9s"}
    if reading.form.startswith("epoch "):
        return [epochs[reading.form.removeprefix("epoch ")]]
    if reading.form == WORKBOOK_DAYS:
        return ["%D"]
    pattern = {"ISO 8601": _ISO, "ISO weeks": _WEEK, "quarters": _QUARTER}.get(reading.form)
    found = None if pattern is None else pattern.fullmatch(first)
    return [] if found is None else [_template(found)]


def _template(found: re.Match[str]) -> str:
    """Return the text of a match up to its last part, with each part as its field."""
    form, end = "", 0
    parts = sorted((found.start(name), found.end(name), name[0]) for name, value in found.groupdict().items() if value)
    for start, stop, name in parts:
        form += found.string[end:start] + f"%{name}"
        end = stop
    return form
