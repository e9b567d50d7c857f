"""Tables with one series a row: dates or step numbers in the header, values below them."""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import combinations

import numpy as np
import pandas as pd

from tracetune.base.errors import InputError, argument
from tracetune.data.reading.columns import DateReading
from tracetune.data.reading.missing import is_missing, is_textual
from tracetune.data.reading.numbers import as_numbers, counts_steps, required_numbers
from tracetune.data.reading.options import ReadingOptions
from tracetune.data.reading.raw import Decision, RawTable, listed, shown
from tracetune.data.reading.times.dates import in_workbook_range, looks_like_dates, readings
from tracetune.data.time_text import WORKBOOK_DAYS

_STEP = re.compile(r"(?P<stem>.*?)(?P<number>\d+)$")
_FEWEST_DATES = 3
_FEWEST_STEPS = 5
_TIME = re.compile(r"time|stamp|step|^t$|^ds$", re.IGNORECASE)
_CHANNELS = re.compile(r"(feature|feat|channel|chan|ch|sensor|dim|dimension|var|variable|signal)[ _.-]*", re.IGNORECASE)


@dataclass(frozen=True, eq=False)
class HeaderTimes:
    """A table whose header holds the times.

    Attributes:
        kind: ``dates_in_header`` or ``steps_in_header``.
        columns: the columns whose names are times.
        readings: every way to read these names; [columns] times each.
        decision: why this layout.
        notes: what a user should know.
    """

    kind: str
    columns: tuple[str, ...]
    readings: list[DateReading]
    decision: Decision
    notes: tuple[str, ...] = ()


def find_header_times(raw: RawTable, options: ReadingOptions, *, labelled: bool = False) -> HeaderTimes | None:
    """Return the times in the header, None where the table has a row a step.

    ``labelled``: each row has a label that says whether it is an anomaly, so that numbered columns are channels.

    Raises:
        InputError: the layout was given, but the header holds no such times.
    """
    if options.layout in ("long", "wide", "rows") or (options.layout is None and options.timestamp_column):
        return None
    names = list(map(str, raw.frame.columns))
    found = None
    if options.layout in (None, "dates_in_header"):
        found = _dates(names, raw, options)
    if found is None and (options.layout == "steps_in_header" or (options.layout is None and not labelled)):
        found = _steps(names, raw, options)
    if found is None and options.layout is not None:
        raise InputError(
            f"Expected times in the header for {argument('layout', options.layout)}, found {listed('column', names)}."
        )
    return found


def _dates(names: Sequence[str], raw: RawTable, options: ReadingOptions) -> HeaderTimes | None:
    """Return columns named by dates: most of the header, and values that are numbers."""
    dated = [name for name in names if re.search(r"\d", name) and _is_date(name, options)]
    if len(dated) < _FEWEST_DATES or not _hold_numbers(raw, dated[:20]):
        return None
    cells = pd.Series(dated, dtype=object, name="header")
    found = [each for each in readings(cells, options) if each.is_dates]
    if not found:
        return None
    reason = f"{len(dated)} of {len(names)} columns are named by dates"
    return HeaderTimes("dates_in_header", tuple(dated), found, _decision("dates_in_header", reason))


def _is_date(name: str, options: ReadingOptions) -> bool:
    return bool(re.fullmatch(r"[Xx]?[\d\sA-Za-z:/.\-]+", name)) and looks_like_dates(
        pd.Series([name], dtype=object), options
    )


def _steps(names: Sequence[str], raw: RawTable, options: ReadingOptions) -> HeaderTimes | None:
    """Return columns with one stem and consecutive numbers (d_1, d_2, ...); of several groups the longest."""
    groups: dict[str, list[tuple[int, str]]] = {}
    for name in names:
        match = _STEP.fullmatch(re.sub(r"^(\d{4}) \[YR\1\]$", r"\1", name))  # as the World Bank writes years
        if match and (options.layout is not None or not _CHANNELS.fullmatch(match["stem"])):
            groups.setdefault(match["stem"], []).append((int(match["number"]), name))
    runs = {stem: members for stem, members in groups.items() if _is_run([number for number, _ in members])}
    m4 = len(names) > 1 and set(groups) == {"V"} and groups["V"][0][0] == 1
    if m4:
        runs = {"V": groups["V"][1:]}
    fewest = 1 if m4 else _FEWEST_STEPS
    runs = {
        stem: members
        for stem, members in runs.items()
        if len(members) >= fewest and _hold_numbers(raw, [n for _, n in members[:20]])
    }
    if not runs or (not m4 and options.layout is None and _has_time(names, runs, raw, options)):
        return None
    stem = max(runs, key=lambda each: len(runs[each]))
    numbers = np.array([number for number, _ in runs[stem]], dtype=np.int64)
    if m4:
        numbers = numbers - 2
    columns = tuple(name for _, name in runs[stem])
    notes = []
    if others := [f"{each or 'numbers'}... ({len(members)} columns)" for each, members in runs.items() if each != stem]:
        notes.append(f"left out {', '.join(others[:3])}, which number steps as well")
    if not stem and in_workbook_range(numbers):
        notes.append(
            f"the numbers in the header count steps; if they are {WORKBOOK_DAYS} (45292: 2024-01-01), write dates there"
        )
    reason = f"columns {shown(columns[0])} to {shown(columns[-1])} number the steps"
    reading = DateReading("integers", numbers)
    return HeaderTimes("steps_in_header", columns, [reading], _decision("steps_in_header", reason), tuple(notes))


def _decision(kind: str, reason: str) -> Decision:
    return Decision("layout", f"one series a row, {kind.replace('_', ' ')}", reason, "layout", kind)


def _is_run(numbers: Sequence[int]) -> bool:
    return bool(len(numbers) > 1 and (np.diff(numbers) == 1).all())


def _has_time(
    names: Sequence[str], runs: dict[str, list[tuple[int, str]]], raw: RawTable, options: ReadingOptions
) -> bool:
    """Return whether a column outside the numbered ones holds the time of each row, so that those are channels."""
    numbered = {name for members in runs.values() for _, name in members}
    return any(
        looks_like_dates(raw.frame[name], options) or (_TIME.search(name) and counts_steps(raw.frame[name], raw))
        for name in names
        if name not in numbered and not pd.api.types.is_bool_dtype(raw.frame[name].dtype)
    )


def _hold_numbers(raw: RawTable, names: Sequence[str]) -> bool:
    """Return whether most of the filled cells of columns are numbers."""
    filled, wrong = 0, 0
    for name in names:
        cells = raw.frame[name].head(200)
        if not is_textual(cells) and not pd.api.types.is_numeric_dtype(cells.dtype):
            return False
        numbers = as_numbers(cells, raw)
        filled += int((~is_missing(cells)).sum())
        wrong += int(numbers.wrong.sum())
    return 2 * wrong <= filled and filled > 0


@dataclass(frozen=True, eq=False)
class RowSeries:
    """The series of a table with one series in each row.

    Attributes:
        id_columns: columns that name them; none where nothing does, and rows are numbered.
        keys: what each series' cells hold in these columns.
        values: [series, steps].
        decision: why these columns.
        ignored: (column, why) of columns that are left out.
    """

    id_columns: tuple[str, ...]
    keys: list[tuple[object, ...]]
    values: np.ndarray
    decision: Decision
    ignored: tuple[tuple[str, str], ...]


def row_series(raw: RawTable, header: HeaderTimes, options: ReadingOptions) -> RowSeries:
    """Return the series of a table with one series in each row.

    Raises:
        InputError: two rows of the same name, cells that are no numbers, or rows that may be steps as well.
    """
    frame = raw.frame
    numbered = (
        {name for name in map(str, frame.columns) if _STEP.fullmatch(name)}
        if header.kind == "steps_in_header"
        else set()
    )
    others = [str(name) for name in frame.columns if name not in header.columns]
    columns, reason = _id_columns(raw, [n for n in others if n not in numbered or n == frame.columns[0]], options)
    if not columns and options.layout is None:
        _refuse_rows_that_may_be_steps(header, len(frame))
    values = np.stack([required_numbers(frame[name], raw, options.missing) for name in header.columns], axis=1)
    if columns:
        keys = [tuple(row) for row in _key_table(raw, columns).itertuples(index=False, name=None)]
        _refuse_repeats(raw, columns, keys)
    else:
        keys = [(number,) for number in range(1, len(frame) + 1)]
    value = columns[0] if len(columns) == 1 else columns
    decision = Decision(
        "items",
        f"{len(keys):,} ({', '.join(columns) or 'rows, numbered'})",
        reason,
        *(("id_column", value) if columns else ()),
    )
    ignored = tuple((name, "no time in its name") for name in others if name not in columns)
    return RowSeries(columns or ("item_id",), keys, values, decision, ignored)


def _refuse_rows_that_may_be_steps(header: HeaderTimes, rows: int) -> None:
    """Raise InputError where numbered columns may as well be channels: nothing names the rows, which are many."""
    count = len(header.columns)
    if header.kind == "steps_in_header" and rows > count:
        raise InputError(
            f"Columns {shown(header.columns[0])} to {shown(header.columns[-1])} may number steps or channels, as no "
            f"column names the {rows:,} rows. Give {argument('layout', 'rows')} if each row is one step of {count:,} "
            f"channels, or {argument('layout', 'steps_in_header')} if it is a series of {count:,} steps."
        )


def _key_table(raw: RawTable, columns: Sequence[str]) -> pd.DataFrame:
    """Return cells that name rows: whole numbers where all are, else text."""
    table = {}
    for name in columns:
        text = raw.frame[name].astype(object).where(raw.frame[name].notna(), "").astype(str)
        whole = name not in raw.text_ids and text.str.fullmatch(r"0|-?[1-9][0-9]{0,17}").all()
        table[name] = [int(cell) for cell in text] if whole else text.tolist()
    return pd.DataFrame(table, dtype=object)


def _id_columns(raw: RawTable, others: Sequence[str], options: ReadingOptions) -> tuple[tuple[str, ...], str]:
    """Return the columns that name rows: given, else the fewest of text that are distinct in each row."""
    if options.id_column:
        absent = [name for name in options.id_column if name not in raw.frame.columns]
        if absent:
            raise InputError(f"Expected {listed('column', absent)}; found {listed('column', raw.frame.columns)}.")
        return options.id_column, "it was given"
    possible = [name for name in others if not _fractions(raw, name)]
    words = [name for name in possible if as_numbers(raw.frame[name].head(200), raw).wrong.any()]
    only = len(possible) == 1 and others[0] == str(raw.frame.columns[0])
    if only and (words or not raw.frame[possible[0]].duplicated().any()):
        return (possible[0],), "it is the only column that is no step"
    for size in (1, 2, 3):
        for columns in combinations((words or possible)[:12], size):
            if not raw.frame[list(columns)].astype(str).duplicated().any():
                return columns, f"{'it is' if size == 1 else 'together they are'} distinct in each row"
    if words:
        return (words[0],), "it is the first column of text"
    return (), "no column tells them apart"


def _fractions(raw: RawTable, name: str) -> bool:
    values = as_numbers(raw.frame[name], raw)
    seen = values.values[np.isfinite(values.values)]
    return not values.wrong.any() and bool((seen != np.round(seen)).any())


def _refuse_repeats(raw: RawTable, columns: Sequence[str], keys: Sequence[tuple[object, ...]]) -> None:
    repeated = pd.Series(["\0".join(map(str, key)) for key in keys]).duplicated()
    if repeated.any():
        place = int(repeated.to_numpy().argmax())
        raise InputError(
            f"Expected one row a series, found {shown(keys[place][0])} in {listed('column', columns)} again in "
            f"{raw.row(place)}. Name further columns with {argument('id_column')}; if each row is a step, name the "
            f"column of its time with {argument('timestamp_column')}."
        )
