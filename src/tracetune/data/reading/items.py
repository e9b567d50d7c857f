"""Find the columns that name the items: with them no time repeats, and each item has a regular grid."""

import re
from collections.abc import Sequence
from itertools import combinations

import numpy as np
import pandas as pd

from tracetune.base.errors import InputError, any_of, argument
from tracetune.data.frequency import Offset
from tracetune.data.reading.columns import ITEM_NAMES, Items, TimeColumn, is_named
from tracetune.data.reading.missing import is_missing, is_textual
from tracetune.data.reading.numbers import as_numbers
from tracetune.data.reading.options import ReadingOptions
from tracetune.data.reading.raw import Decision, RawTable, listed, shown
from tracetune.data.reading.times.grid import assess

_HINT = re.compile(
    r"(^|_| "
    r")(id|ids|key|code|name|nr|no|store|shop|item|product|sku|brand|dept|department|category|cat|family|station|site|city|"
    r"country|region|state|province|county|district|location|loc|zone|area|symbol|ticker|sensor|device|meter|machine|line|"
    r"route|channel|customer|"
    r"client|user|account|warehouse|series|group|type|segment|entity|country_code|iso_code|geo)(_| |$)",
    re.IGNORECASE,
)
_MOST_COLUMNS = 3
_MOST_CANDIDATES = 14
_ENOUGH_ROWS = 4  # an item with fewer is hardly a series


def find_items(raw: RawTable, time: TimeColumn, freq: Offset | None, options: ReadingOptions) -> Items:
    """Return the items of a table with one step a row.

    Raises:
        InputError: columns that do not exist or hold no names, or several that could be the items' names.
    """
    frame = raw.frame
    if options.id_column:
        return _items(raw, options.id_column, "it was given")
    if options.layout in ("wide", "rows") and not _usual(frame):
        return single_item(len(frame), f"{argument('layout', options.layout)} was given")
    usual = _usual(frame)
    if usual is not None:
        return _items(raw, (usual,), "it has the usual name")
    cells = pd.factorize(time.cells)[0]
    candidates = _candidates(raw, time, options)
    if not pd.Series(cells).duplicated().any():
        return _without_repeats(raw, candidates)
    repeated = _unique_sets(frame, cells, candidates)
    good = [(columns, fill) for columns in repeated if (fill := _fill(raw, time, columns, freq)) >= 0.5]
    if not good:
        if options.duplicates is not None or options.resample is not None:
            return single_item(len(frame), "no column tells rows of the same time apart")
        return _no_items(raw, repeated)
    chosen = _likeliest(raw, [columns for columns, _ in good])
    best = tuple(str(name) for name in frame.columns if name in chosen)
    return _items(
        raw, best, f"with {'it' if len(best) == 1 else 'them'} no time repeats and each item has regular steps"
    )


def single_item(rows: int, reason: str) -> Items:
    """Return that all rows are one series."""
    decision = Decision("items", "one series", reason)
    return Items((), np.zeros(rows, np.int64), ["series"], [()], decision)


def _usual(frame: pd.DataFrame) -> str | None:
    return next((str(name) for usual in ITEM_NAMES for name in frame.columns if is_named(name, (usual,))), None)


def _items(raw: RawTable, columns: tuple[str, ...], reason: str) -> Items:
    """Return items by their columns.

    Raises:
        InputError: no such column, or cells that name no item.
    """
    frame = raw.frame
    absent = [name for name in columns if name not in frame.columns]
    if absent:
        raise InputError(f"Expected {listed('column', absent)}; found {listed('column', frame.columns)}.")
    notes = []
    typed = [_named_cells(raw, name, required=len(columns) == 1) for name in columns]
    for name, cells in zip(columns, typed, strict=True):
        if (blank := int((cells == "").sum())) and is_textual(cells):
            notes.append(f"{blank:,} rows have no {shown(name)}: that is a name of its own")
    if len(columns) == 1:
        codes: np.ndarray
        found, distinct = pd.factorize(typed[0])
        codes = found.astype(np.int64)
        keys: list[tuple[object, ...]] = [(_python(key),) for key in distinct]
        names = [str(key[0]) for key in keys]
    else:
        table = pd.concat(typed, axis=1)
        codes = table.groupby(list(table.columns), sort=False, dropna=False).ngroup().to_numpy().astype(np.int64)
        first = np.unique(codes, return_index=True)[1]
        keys = [tuple(_python(cell) for cell in row) for row in table.iloc[first].itertuples(index=False, name=None)]
        names = ["/".join(map(str, key)) for key in keys]
    if len(set(names)) < len(names):
        names = [repr(key) for key in keys]
    value = columns[0] if len(columns) == 1 else columns
    decision = Decision("items", f"{len(names):,} ({', '.join(columns)})", reason, "id_column", value)
    return Items(tuple(columns), codes, names, keys, decision, tuple(notes))


def _python(key: object) -> object:
    return key.item() if isinstance(key, np.generic) else key


def _named_cells(raw: RawTable, name: str, required: bool) -> pd.Series:
    """Return cells that name items: whole numbers where all are, else text as it is written."""
    cells = raw.frame[name]
    missing = cells.isna() | (cells.eq("") if is_textual(cells) else False)
    if required and missing.any():
        raise InputError(
            f"Column {shown(name)} names the items, but {missing.sum():,} rows have none (first: "
            f"{raw.row(missing.to_numpy().argmax())}). Fill them in or drop these rows."
        )
    if pd.api.types.is_integer_dtype(cells.dtype) and not missing.any():
        return cells.astype(np.int64)
    if pd.api.types.is_float_dtype(cells.dtype) and not missing.any() and (cells == cells.round()).all():
        return cells.astype(np.int64)
    text = cells.astype(object).where(~missing, "").astype(str)
    if not missing.any() and name not in raw.text_ids and text.str.fullmatch(r"0|-?[1-9][0-9]{0,17}").all():
        return text.astype(np.int64)
    return text


def _candidates(raw: RawTable, time: TimeColumn, options: ReadingOptions) -> list[str]:
    """Return columns that could name items: text or whole numbers that come again; likely names first."""
    found = []
    for name in raw.frame.columns:
        cells = raw.frame[name]
        if name in time.columns or name in options.target or is_named(name, ("target", "y")):
            continue
        distinct = _distinct(cells)
        if distinct is None or not 2 <= distinct <= max(len(cells) // 2, 2) or (is_missing(cells).all()):
            continue
        if not is_textual(cells) and not pd.api.types.is_integer_dtype(cells.dtype):
            continue
        numeric = not as_numbers(cells.drop_duplicates().head(200), raw).wrong.any()
        if numeric and (as_numbers(cells.head(500), raw).values % 1 != 0).any():
            continue
        if numeric and pd.api.types.is_bool_dtype(cells.dtype):
            continue
        found.append((not _HINT.search(str(name)), numeric, distinct, str(name)))
    return [name for *_, name in sorted(found)][:_MOST_CANDIDATES]


def _distinct(cells: pd.Series) -> int | None:
    try:
        return int(cells.nunique())
    except TypeError:
        return None


def _unique_sets(frame: pd.DataFrame, time_codes: np.ndarray, candidates: Sequence[str]) -> list[tuple[str, ...]]:
    """Return the smallest sets of candidates with which no time repeats."""
    codes = {name: pd.factorize(frame[name].astype(str))[0].astype(np.int64) for name in candidates}
    for size in range(1, _MOST_COLUMNS + 1):
        found = []
        for columns in combinations(candidates, size):
            key = time_codes.astype(np.int64)
            for name in columns:
                key = pd.factorize(key * (codes[name].max() + 1) + codes[name])[0]
            if key.max() + 1 == len(key):
                found.append(columns)
        if found:
            return found
    return []


def _fill(raw: RawTable, time: TimeColumn, columns: tuple[str, ...], freq: Offset | None) -> float:
    """Return how full the grids of these items are at best, over all readings of the time; 0 if they have few rows."""
    codes = raw.frame[list(columns)].astype(str).groupby(list(columns), sort=False).ngroup().to_numpy()
    counts = np.bincount(codes)
    if np.median(counts) < _ENOUGH_ROWS:
        return 0.0
    return max(assess(each.times, codes, freq).fill for each in time.readings)


def _likeliest(raw: RawTable, sets: list[tuple[str, ...]]) -> tuple[str, ...]:
    """Return one of several sets of columns; of those that name the same items, the first counts.

    Raises:
        InputError: sets that name different items, of which no one has likely names.
    """
    frame = raw.frame

    def groups(columns: tuple[str, ...]) -> np.ndarray:
        return frame[list(columns)].astype(str).groupby(list(columns), sort=False).ngroup().to_numpy()

    distinct: list[tuple[tuple[str, ...], np.ndarray]] = []
    for columns in sets:
        codes = groups(columns)
        if not any(np.array_equal(codes, other) for _, other in distinct):
            distinct.append((columns, codes))
    if len(distinct) > 1:
        fewest = min(codes.max() for _, codes in distinct)
        distinct = [pair for pair in distinct if pair[1].max() == fewest]
    for likely in (_all_hinted, lambda columns: all(not _numeric(raw, name) for name in columns)):
        chosen = [pair for pair in distinct if likely(pair[0])]
        if chosen:
            distinct = chosen
    if len(distinct) > 1:
        raise InputError(
            "Several columns could name the items: "
            f"{'; '.join(listed('column', columns) for columns, _ in distinct[:4])}. "
            f"Say which: {any_of('id_column', [c[0] if len(c) == 1 else c for c, _ in distinct])}."
        )
    return distinct[0][0]


def _all_hinted(columns: tuple[str, ...]) -> bool:
    return all(_HINT.search(name) for name in columns)


def _numeric(raw: RawTable, name: str) -> bool:
    return not as_numbers(raw.frame[name].drop_duplicates().head(200), raw).wrong.any()


def _without_repeats(raw: RawTable, candidates: Sequence[str]) -> Items:
    """Return whether rows whose times do not repeat are one series, or items one below the other.

    Raises:
        InputError: a column of text changes once, as the name of items would, but need not be one.
    """
    for name in candidates:
        if _numeric(raw, name):
            continue
        codes = pd.factorize(raw.frame[name])[0]
        runs = int((np.diff(codes) != 0).sum()) + 1
        if runs == codes.max() + 1 and np.bincount(codes).min() >= _ENOUGH_ROWS:
            if _HINT.search(name):
                return _items(raw, (name,), "its rows stand together and its name is one of items")
            raise InputError(
                f"Column {shown(name)} changes {runs - 1} times, so that it may name {runs} items one below the "
                f"other, or parts of one series. Say which: {argument('id_column', name)} or "
                f"{argument('layout', 'wide')}."
            )
    return single_item(len(raw.frame), "no time repeats")


def _no_items(raw: RawTable, unique: Sequence[tuple[str, ...]]) -> Items:
    """Return one series whose times repeat, unless some columns would make them unique; repeats are checked later."""
    if unique:
        first = [columns[0] if len(columns) == 1 else columns for columns in unique]
        raise InputError(
            f"Times repeat, and would be unique with {listed('column', unique[0])} as the items' name, though most "
            f"steps of these items would be missing. Say so with {any_of('id_column', first)}, or what becomes of "
            f"repeated times with {argument('duplicates', 'mean')}."
        )
    return single_item(len(raw.frame), "no column tells rows of the same time apart")
