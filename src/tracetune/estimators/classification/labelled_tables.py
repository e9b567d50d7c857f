"""Tables of labelled series: long ones, with a row a step, and such with a series in each row.

Shapes: S series, C channels, L steps.
"""

import warnings
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, TypeGuard, Union, cast

import numpy as np
import pandas as pd

from tracetune.base.errors import InputError, argument
from tracetune.base.json_types import JsonObject
from tracetune.data.archive_files import read_arff, read_without_header, until_last_value, without_header
from tracetune.data.forecast_frame import item_keys
from tracetune.data.reading.columns import ITEM_NAMES, TIME_NAMES, is_named
from tracetune.data.reading.files import TEXT_SUFFIXES, read_raw
from tracetune.data.reading.frames import raw_of_frame
from tracetune.data.reading.missing import is_missing
from tracetune.data.reading.nested import list_columns, unnested
from tracetune.data.reading.numbers import as_numbers, required_numbers
from tracetune.data.reading.options import ReadingOptions
from tracetune.data.reading.raw import RawTable, listed, shown
from tracetune.data.reading.read import keyword_options, read_cells
from tracetune.data.reading.sources import Frame, ReadingKeywords
from tracetune.data.text_marks import COMMAS_AND_POINTS, TextMarks
from tracetune.data.ts_files import read_ts
from tracetune.estimators.classification.step_columns import LEAST_STEPS, is_numbered, step_columns
from tracetune.estimators.labelled import Label, Labels, class_numbers, require_labels

TableSource = Union[Frame, str, Path, "LabelledTable"]
SeriesData = Iterable[np.ndarray] | TableSource
"""An array [S, C, L], arrays [C, L], a table, or the path of one."""

ARCHIVE_SUFFIXES = (".ts", ".arff")  # of files that say which of their values are classes
LABEL = "label"
STEPS_IN_HEADER = "steps_in_header"
_STEP_COLUMNS = "step_columns"
_SHOWN_CLASSES = 8  # in a line; as many channels


@dataclass(frozen=True, eq=False)
class LabelledTable:
    """Labelled series of a table.

    Attributes:
        items: [S] what its item column calls each series, of its type; numbers of rows where there is none.
        series: [S] arrays [C, L].
        labels: [S]; None where they were not asked for.
        item_column: name of the item column.
        columns: how it was read, so that others can be read alike, in JSON's types.
        kind: of frame: pandas, polars or pyarrow.
        note: what else was understood.
        marks: of the text that it was.
    """

    items: Any
    series: list[np.ndarray]
    labels: Sequence[Label] | None
    item_column: str
    columns: JsonObject
    kind: str
    note: str = ""
    marks: TextMarks = COMMAS_AND_POINTS

    @property
    def line(self) -> str:
        """Return what was understood, in one line."""
        lengths = [series.shape[1] for series in self.series]
        steps = f"{min(lengths):,} to {max(lengths):,} steps" if len(set(lengths)) > 1 else f"{lengths[0]:,} steps each"
        missing = sum(int(np.isnan(series).sum()) for series in self.series) / sum(each.size for each in self.series)
        found = [f"{len(lengths):,} series", _channels(len(self.series[0]), self.columns), steps]
        found += [f"{missing:.1%} missing".replace("%", " %")] if missing else []
        if self.labels is not None:
            numbers, classes = class_numbers(self.labels, len(lengths), None)
            counts = np.bincount(numbers).tolist()
            shown_classes = [f"{shown(name)} ({count:,})" for name, count in zip(classes, counts, strict=True)]
            more = f", ... ({len(classes)} in all)" if len(classes) > _SHOWN_CLASSES else ""
            found.append(f"classes {', '.join(shown_classes[:_SHOWN_CLASSES])}{more}")
        return ", ".join(found) + (f"; {self.note}" if self.note else "")


def _channels(count: int, columns: JsonObject) -> str:
    names = columns.get("target") or ()
    return listed("channel", names, _SHOWN_CLASSES) if names else f"{count} channel{'s' if count > 1 else ''}"


def is_table(data: SeriesData) -> TypeGuard[TableSource]:
    """Return whether data are a path or a frame, not arrays."""
    return isinstance(data, (str, Path)) or hasattr(data, "columns")


def read_labelled(
    source: TableSource,
    label_column: str | None = None,
    options: ReadingKeywords | None = None,
    *,
    remembered: JsonObject | None = None,
    labelled: bool = True,
) -> LabelledTable:
    """Read a file of the UCR or UEA archive, a table file or a frame of labelled series.

    Args:
        source: a path, a frame of pandas, polars or pyarrow, or a table that was read already.
        label_column: None takes the remembered one, else "label".
        options: fields of `ReadingOptions`; ``layout="steps_in_header"`` for a series in each row, which is also
            taken where no column names items and all but the label are numbers.
        remembered: ``columns`` of the table that a model was trained on.
        labelled: False passes over the labels.

    Raises:
        InputError: an unusable table, no label column, or more than one label for an item.
    """
    if isinstance(source, LabelledTable):
        return source
    if isinstance(source, (str, Path)) and (file := _archive_file(source, labelled, label_column, options, remembered)):
        return file
    known: JsonObject = dict(remembered or {})
    remembered_label, remembered_steps = known.pop("label_column", LABEL), known.pop(_STEP_COLUMNS, [])
    label = label_column or remembered_label
    given, kept = keyword_options(options or {}), ReadingOptions.from_json(known)
    raw = _with_a_row_a_step(source, given.over(kept), label)
    pinned = given.over(kept.fitting(raw.frame.columns))
    labels = _labels(raw, label) if labelled else None
    cells = replace(raw, frame=raw.frame.drop(columns=label, errors="ignore"))
    pinned = _with_names_of_rows(cells, pinned)
    rows = pinned.layout == STEPS_IN_HEADER or (pinned.layout is None and _has_series_in_rows(cells, pinned))
    if rows:
        table = _from_rows(cells, labels, label, pinned, remembered_steps)
    else:
        table = _from_steps(cells, labels, label, pinned)
    return replace(table, marks=raw.marks)


def labelled_samples(
    data: SeriesData,
    labels: Labels | None,
    label_column: str | None,
    columns: ReadingKeywords,
    remembered: JsonObject | None = None,
) -> tuple[Iterable[np.ndarray], Labels, JsonObject]:
    """Return series, labels and, of a table, how it was read."""
    require_labels(labels, "series", in_table=is_table(data))
    if is_table(data):
        table = read_labelled(data, label_column, columns, remembered=remembered)
        assert table.labels is not None, "labels were looked for"
        return table.series, table.labels, table.columns
    assert labels is not None, "as required above"
    if columns:
        raise InputError(f"Arrays have no columns: leave out {', '.join(columns)}.")
    return cast(Iterable[np.ndarray], data), labels, {}  # what is no table


def _archive_file(
    path: str | Path,
    labelled: bool,
    label_column: str | None,
    options: ReadingKeywords | None,
    remembered: JsonObject | None,
) -> LabelledTable | None:
    """Return the series of a file as the UCR and UEA archives have it; None where it is a table with names."""
    suffix, note = Path(path).suffix.lower(), ""
    if suffix == ".ts":
        found = read_ts(path, labelled=labelled)
    elif suffix == ".arff":
        found = read_arff(path, labelled=labelled)
    elif (
        suffix in ("", *TEXT_SUFFIXES)
        and not (label_column or any((options or {}).values()) or remembered)
        and without_header(path)
    ):
        found, note = read_without_header(path), "no header: the class first, then the steps"
    else:
        return None
    items = list(range(len(found.values)))
    labels = found.labels if labelled else None
    return LabelledTable(items, found.values, labels, ITEM_NAMES[0], {}, "pandas", note)


def _with_a_row_a_step(source: Frame | str | Path, options: ReadingOptions, label: str) -> RawTable:
    """Return the cells of a table; series that lie in one cell each are spread over rows.

    Where no column of lists is called target, as GluonTS and Hugging Face have it, each of them is a channel.

    Raises:
        InputError: no table, a channel without lists, or channels of a series that are not of one length.
    """
    if isinstance(source, (str, Path)):
        raw = read_raw(source, options, label)
    else:
        raw = unnested(raw_of_frame(source), options, label)
    lists = [name for name in list_columns(raw.frame) if name != label and not is_named(name, TIME_NAMES)]
    channels = options.target or tuple(lists)
    if not set(channels) & set(lists):
        return raw
    if missing := [name for name in channels if name not in lists]:
        raise InputError(f"Expected lists in {listed('column', missing)} too, found them in {listed('column', lists)}.")
    return unnested(raw, replace(options, target=channels), label)


def _labels(raw: RawTable, label: str) -> pd.Series:
    if label not in raw.frame.columns:
        found = listed("column", raw.frame.columns)
        raise InputError(
            f"Expected labels in a column {label!r}, found {found}. Name it with {argument('label_column')}."
        )
    labels = raw.frame[label]
    odd = labels.map(lambda cell: isinstance(cell, (list, dict, tuple, np.ndarray))).to_numpy(bool)
    if odd.any():
        place = int(odd.argmax())
        raise InputError(
            f"Expected a text or a number as the label in {raw.row(place)}, found {shown(labels.iloc[place])}. "
            "Correct it, or leave the series out."
        )
    missing = (labels.isna() | labels.astype(str).str.strip().eq("")).to_numpy(bool)
    if missing.any():
        raise InputError(
            f"Expected a label in each row, found none in {raw.row(missing.argmax())} ({missing.sum():,} such rows). "
            "Fill them in, or leave these series out."
        )
    return labels


def _with_names_of_rows(raw: RawTable, options: ReadingOptions) -> ReadingOptions:
    """Return the options with the one column that names rows, all others being numbered steps, as the item column."""
    if options.id_column or options.timestamp_column or options.target or options.layout not in (None, STEPS_IN_HEADER):
        return options
    names = [str(name) for name in raw.frame.columns]
    others = [name for name in names if not is_numbered(name)]
    if len(others) != 1 or len(names) <= LEAST_STEPS or raw.frame[others[0]].duplicated().any():
        return options
    if others[0] not in ITEM_NAMES and (_are_numbers(raw, others) or _are_dates(raw.frame[others[0]])):
        return options  # times, with numbered channels beside them, or a number of each series, such as its age
    return replace(options, id_column=(others[0],))


def _are_dates(cells: pd.Series) -> bool:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # about dates without one form
        return bool(pd.to_datetime(cells.head(20).astype(str), errors="coerce").notna().any())


def _has_series_in_rows(raw: RawTable, options: ReadingOptions) -> bool:
    """Return whether each row is a series: no column names items or times, all others are numbered numbers."""
    names = [str(name) for name in raw.frame.columns]
    if options.timestamp_column or options.target or not set(options.id_column) <= set(names):
        return False
    if options.id_column and raw.frame[list(options.id_column)].duplicated().any():
        return False
    steps = [name for name in names if name not in options.id_column]
    return len(steps) >= LEAST_STEPS and all(map(is_numbered, steps)) and _are_numbers(raw, steps)


def _are_numbers(raw: RawTable, names: list[str]) -> bool:
    try:
        for name in names:
            required_numbers(raw.frame[name].head(20), raw, ())
    except InputError:
        return False
    return True


def _from_rows(
    raw: RawTable, labels: pd.Series | None, label: str, options: ReadingOptions, like: Sequence[str]
) -> LabelledTable:
    """Return a table with a series in each row; one ends with its last value; ``like``: columns of another one."""
    if missing := [name for name in options.id_column if name not in raw.frame.columns]:
        raise InputError(f"Expected {listed('column', missing)}, found {listed('column', raw.frame.columns)}.")
    channels = step_columns(raw, options, like)
    cells = np.stack([_row_cells(raw, steps, options) for steps in channels], axis=1)  # [S, C, L]
    if (empty := np.isnan(cells).all(axis=(1, 2))).any():
        raise InputError(f"The series in {raw.row(empty.argmax())} has no value at all. Leave it out.")
    values = [until_last_value(series) for series in cells]
    items = raw.frame[options.id_column[0]].array if options.id_column else list(range(len(values)))
    steps = [name for columns in channels for name in columns]
    columns = {**options.to_json(), "label_column": label, "layout": STEPS_IN_HEADER, _STEP_COLUMNS: steps}
    name = options.id_column[0] if options.id_column else ITEM_NAMES[0]
    return LabelledTable(items, values, None if labels is None else list(labels), name, columns, raw.kind)


def _row_cells(raw: RawTable, steps: Sequence[str], options: ReadingOptions) -> np.ndarray:
    """Return the cells [S, L] of one channel."""
    return np.stack([required_numbers(raw.frame[name], raw, options.missing) for name in steps], axis=1)


def _from_steps(raw: RawTable, labels: pd.Series | None, label: str, options: ReadingOptions) -> LabelledTable:
    """Return a table with a row a step: items, times and channels are found as in any table."""
    # Any channel will do to find items and times; with several, reading would ask for the one to forecast.
    first = options if options.target else replace(options, target=_likely_channel(raw, options))
    reading = read_cells(raw, first)
    panel = reading.panel
    channels = options.target or _numeric_columns(
        raw, options, (*panel.origin.id_columns, panel.origin.timestamp_column)
    )
    if panel.channels != channels:
        reading = read_cells(raw, replace(options, target=channels))
        panel = reading.panel
    items = panel.origin.id_columns
    if not items or any(name not in raw.frame.columns for name in items):
        raise InputError(
            f"Expected a column that tells series apart, {' or '.join(ITEM_NAMES)}. Name it with "
            f"{argument('id_column')}; where each row is a series, say so with {argument('layout', STEPS_IN_HEADER)}."
        )
    keys = [series.key or (series.item_id,) for series in panel]
    _refuse_items_left_out(raw.frame[list(items)], keys)
    of_item = None if labels is None else _label_of_each(raw.frame, labels, list(items))
    # Other series may come at another rate, but what was found of dates and numbers holds for them too.
    columns = replace(reading.options, freq=options.freq).to_json() | {
        "label_column": label,
        "id_column": list(items),
        "timestamp_column": [panel.origin.timestamp_column],
        "target": list(panel.channels),
    }
    return LabelledTable(
        items=item_keys(panel, 0) if len(items) == 1 else [series.item_id for series in panel],
        series=[each.values for each in panel],  # noqa: PD011 - not a pandas object
        labels=None if of_item is None else [of_item[_key(key)] for key in keys],
        item_column=items[0] if len(items) == 1 else ITEM_NAMES[0],
        columns=columns,
        kind=raw.kind,
        note="; ".join(map(str, reading.notes)),
    )


def _refuse_items_left_out(cells: pd.DataFrame, keys: Sequence[tuple[object, ...]]) -> None:
    """Refuse items that reading left out, as it does those without any value: each gets its class, or none does."""
    read = set(map(_key, keys))
    for row in cells.drop_duplicates().itertuples(index=False):
        if (key := _key(row)) not in read:
            raise InputError(f"Item {shown(' '.join(key))} has no value at all. Leave it out.")


def _likely_channel(raw: RawTable, options: ReadingOptions) -> tuple[str, ...]:
    """Return the last column of fractions, else the last one of numbers; () where there is none."""
    numeric = _numeric_columns(raw, options, (*options.id_column, *options.timestamp_column))
    cells = {name: as_numbers(raw.frame[name], raw, options.missing) for name in numeric}
    fractions = [name for name, column in cells.items() if (np.nan_to_num(column.values) % 1).any()]
    return tuple((fractions or list(numeric))[-1:])


def _numeric_columns(raw: RawTable, options: ReadingOptions, taken: Sequence[str]) -> tuple[str, ...]:
    """Return all columns of numbers that are not taken: a forecast has a main target, a class can show anywhere."""
    others = [str(name) for name in raw.frame.columns if name not in taken]
    return tuple(name for name in others if _holds_numbers(raw.frame[name], raw, options))


def _holds_numbers(cells: pd.Series, raw: RawTable, options: ReadingOptions) -> bool:
    """Return whether most cells that hold something are numbers: reading then names the first one that is none."""
    found = as_numbers(cells, raw, options.missing)
    return 2 * int(found.wrong.sum()) <= len(cells) - int(is_missing(cells).sum())


def _label_of_each(frame: pd.DataFrame, labels: pd.Series, items: list[str]) -> dict[tuple[str, ...], Label]:
    keys = pd.Series([_key(row) for row in frame[items].itertuples(index=False)], index=frame.index)
    of_item = labels.groupby(keys, sort=False)
    several = of_item.nunique(dropna=False)
    if (several > 1).any():
        key: Any = several.idxmax()
        raise InputError(f"Expected one label an item, found {several.max()} for item {shown(' '.join(key))}.")
    return {key: cells.iloc[0] for key, cells in of_item}


def _key(cells: Iterable[object]) -> tuple[str, ...]:
    """Return the cells that name an item as text; whole numbers without a point, as reading has them."""
    return tuple(
        str(int(cell)) if isinstance(cell, (float, np.floating)) and float(cell).is_integer() else str(cell)
        for cell in cells
    )
