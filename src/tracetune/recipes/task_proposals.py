"""Tasks that a table suggests beside forecasting: it has labels of series or of steps, gaps, or texts."""

import shlex
from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
import pandas as pd

from tracetune.base.errors import InputError
from tracetune.data.panels import Panel
from tracetune.data.reading.labels import LABEL_COLUMN, step_labels
from tracetune.data.reading.raw import RawTable, shown
from tracetune.estimators.classification.labelled_tables import ARCHIVE_SUFFIXES, LabelledTable, read_labelled
from tracetune.estimators.text.text_tables import find_columns
from tracetune.recipes.data_source import DataSource
from tracetune.recipes.fit_report import source_words

_OF_SERIES = (LABEL_COLUMN, "labels", "class", "category")
_OF_STEPS = (LABEL_COLUMN, "labels", "anomaly", "is_anomaly", "anomalous", "outlier", "is_outlier")
_MANY_GAPS = 0.05
_DATES = 0.9  # of the cells of a column of times
_ENCODER = "sentence-transformers/all-MiniLM-L6-v2"


@dataclass(frozen=True)
class Proposal:
    """A command that trains on a table.

    Attributes:
        command: as a shell takes it.
        reason: what the table has that suggests it; "" for the first thought.
    """

    command: str
    reason: str = ""


def finetune_command(source: DataSource, task: str, more: Sequence[str] = ()) -> str:
    """Return the command that fine-tunes for a task on a table, which is read with the flags that were given."""
    words = [str(source.data)] if task == "text" else source_words(source)
    stem = source.name.partition(".")[0]
    named = ["--task", task] if task != "forecasting" else []
    folder = f"runs/{stem}" if task == "forecasting" else f"runs/{stem}-{task}"
    return shlex.join(["tracetune", "finetune", *words, *named, *more, "--output", folder])


def series_labels(source: DataSource, raw: RawTable | None) -> tuple[str, LabelledTable] | None:
    """Return the column with the classes of series, and the series; None without a class for each of them.

    ``raw`` is None for a .ts or .arff file.
    """
    for column in [LABEL_COLUMN] if raw is None else _free(raw, source, _OF_SERIES):
        try:
            table = read_labelled(str(source.data), column, source.keywords())
        except InputError:
            continue
        assert table.labels is not None, "labels were looked for"
        if 2 <= len(set(map(str, table.labels))) <= len(table.labels) / 2:
            return column, table
    return None


def step_label_column(source: DataSource, raw: RawTable) -> str | None:
    """Return the column that says which steps are anomalous, by its name and both of its values; None without."""
    for column in _free(raw, source, _OF_STEPS):
        try:
            labels, _ = step_labels(raw.frame[column], raw, source.missing)
        except InputError:
            continue
        if {0.0, 1.0} <= set(labels.tolist()):
            return column
    return None


def classification_proposal(source: DataSource, column: str, table: LabelledTable) -> Proposal:
    """Return the command that trains a classifier."""
    of_table = [] if str(source.data).lower().endswith(ARCHIVE_SUFFIXES) else ["--label-column", column]
    assert table.labels is not None, "labels were looked for"
    classes = len(set(map(str, table.labels)))
    reason = f"{len(table.series):,} series have one of {classes} classes each"
    return Proposal(
        finetune_command(source, "classification", of_table),
        reason + (f" (column {shown(column)})" if of_table else ""),
    )


def anomaly_proposal(source: DataSource, column: str) -> Proposal:
    """Return the command that trains an anomaly detector on the steps that are labelled normal."""
    command = finetune_command(source, "anomaly", ["--label-column", column])
    return Proposal(command, f"column {shown(column)} says which steps are anomalous")


def imputation_proposal(source: DataSource, panel: Panel) -> Proposal | None:
    """Return the command that trains an imputer, where many steps are missing."""
    values = [series.values for series in panel]  # noqa: PD011 - not a pandas object
    share = sum(int(np.isnan(each).sum()) for each in values) / sum(each.size for each in values)
    if share < _MANY_GAPS:
        return None
    return Proposal(finetune_command(source, "imputation"), f"{share:.0%} of the values are missing".replace("%", " %"))


def text_proposal(source: DataSource, raw: RawTable, taken: Sequence[str] = ()) -> Proposal | None:
    """Return the command that trains a classifier of texts, where a table has texts with labels.

    ``taken``: columns that are known to be something else, such as times.
    """
    frame = raw.frame.drop(columns=[name for name in raw.frame.columns if name in taken or _has_dates(raw.frame[name])])
    try:
        found = find_columns(frame, None, None, labelled=True)
    except InputError:
        return None
    assert found.label is not None, "labels were looked for"
    more = ["--text-column", ",".join(found.texts), "--label-column", found.label, "--model", _ENCODER]
    columns = " and ".join(map(shown, found.texts))
    return Proposal(
        finetune_command(replace(source, target=()), "text", more),
        f"column {columns} holds texts, column {shown(found.label)} their labels",
    )


def _free(raw: RawTable, source: DataSource, names: Sequence[str]) -> list[str]:
    """Return the columns with one of these names that the flags give no other role."""
    taken = {*source.id_column, *source.timestamp_column, *source.target}
    return [str(name) for name in raw.frame.columns if str(name).strip().lower() in names and name not in taken]


def _has_dates(column: pd.Series) -> bool:
    """Return whether text in a column is dates: they have words, too."""
    cells = column.dropna().astype(str).head(100)
    return bool(len(cells)) and pd.to_datetime(cells, errors="coerce", format="mixed").notna().mean() >= _DATES
