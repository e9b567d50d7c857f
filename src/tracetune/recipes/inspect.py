"""Inspect a table before training: how it was read and why, what is odd, what leaks, which tasks it suggests."""

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np

from tracetune.base.errors import InputError, argument
from tracetune.base.files import require_place
from tracetune.data.examination import SeriesFacts, examine, median_autocorrelation, seasons
from tracetune.data.frequency import seasonality
from tracetune.data.leaks import Leak, find_leaks
from tracetune.data.reading.files import read_raw
from tracetune.data.reading.raw import listed
from tracetune.data.reading.read import read_table
from tracetune.data.reading.reading import Reading
from tracetune.estimators.classification.labelled_tables import ARCHIVE_SUFFIXES
from tracetune.recipes.data_source import DataSource
from tracetune.recipes.settings.inspect import InspectConfig
from tracetune.recipes.task_proposals import (
    Proposal,
    anomaly_proposal,
    classification_proposal,
    finetune_command,
    imputation_proposal,
    series_labels,
    step_label_column,
    text_proposal,
)
from tracetune.report.inspection import Inspection, print_commands, print_inspection, write_inspection
from tracetune.report.pages import PAGES

_MOST_COLUMNS = 30  # that are compared with the target
_HORIZONS = {24: 24, 7: 14, 12: 12, 4: 8, 52: 13, 5: 10}  # by the steps of the strongest season
_HORIZON = 12
_SHORT = 128  # steps; shorter series are few patches, which a finer resolution makes more


def inspect_table(config: InspectConfig) -> Inspection | None:
    """Print how a table was read, what is odd about it, and how to go on; write a page with pictures.

    Of a table that holds no series to forecast, such as one of texts, only how to go on is known: None is returned.

    Raises:
        InputError: the table can be read for no task, or a page is wanted of one without series to forecast.
    """
    run, source = config.run, config.source
    if run.output is not None:
        _check_page(run.output, run.overwrite)
    raw = None if str(source.data).lower().endswith(ARCHIVE_SUFFIXES) else read_raw(str(source.data), source.options())
    classes = series_labels(source, raw)
    labels = None if raw is None or classes is not None else step_label_column(source, raw)
    others = [] if classes is None else [classification_proposal(source, *classes)]
    others += [] if labels is None else [anomaly_proposal(source, labels)]
    try:
        reading = source.reading(left_out=() if labels is None else (labels,), every_channel=True)
    except InputError as error:
        others += [] if raw is None or (found := text_proposal(source, raw)) is None else [found]
        if not others or run.output is not None:
            raise
        print_commands([(each.command, each.reason) for each in others], error)
        return None
    values, channels = [series.values for series in reading.panel], reading.panel.channels
    facts, found_seasons = examine(values), seasons(values, usual=seasonality(reading.panel.freq))
    target = _to_forecast(source, labels, reading)
    several = f"{listed('column', channels)} can be forecast, one or several of them"
    open_choice = target.target not in (source.target, channels)
    first = _forecasting_proposal(target, facts, [lag for lag, _ in found_seasons], several if open_choice else "")
    assert raw is not None, "series of .ts files are not forecast"
    known = (*reading.panel.origin.id_columns, reading.panel.origin.timestamp_column)
    besides = imputation_proposal(source, reading.panel), text_proposal(source, raw, known)
    others += [each for each in besides if each is not None]
    inspection = Inspection(
        name=source.name,
        reading=reading,
        facts=facts,
        autocorrelation=median_autocorrelation(values),
        seasons=found_seasons,
        leaks=_leaks(str(source.data), reading),
        commands=[(each.command, each.reason) for each in (first, *others)],
    )
    print_inspection(inspection)
    if run.output is not None:
        write_inspection(run.output, inspection)
    return inspection


def _check_page(path: str, overwrite: bool) -> None:
    if Path(path).suffix.lower() not in PAGES:
        raise InputError(f"Expected {argument('output')} to end in .html, found {Path(path).name!r}.")
    require_place(path)
    if Path(path).exists() and not overwrite:
        raise InputError(f"{path} exists already. Choose another file, or add {argument('overwrite', True)}.")


def _leaks(path: str, reading: Reading) -> list[Leak]:
    """Compare the columns that were left out with the target, those that hold numbers."""
    target = reading.panel.channels[0]
    found = []
    for column, _ in reading.understood.ignored[:_MOST_COLUMNS]:
        try:
            both = read_table(path, replace(reading.options, target=(target, column)))
        except InputError:  # no numbers in it, or none that fit the grid
            continue
        if len(both.panel.channels) > 1:  # of a table with a series in each row, no column has a value a step
            found += find_leaks([series.values for series in both.panel], [column])
    return found + find_leaks([series.values for series in reading.panel], reading.panel.channels[1:])


def _to_forecast(source: DataSource, labels: str | None, reading: Reading) -> DataSource:
    """Return a source with the targets of a forecast, where they must be named: not the column of labels, and of a
    table with items the likeliest of several.
    """
    channels = reading.panel.channels
    if source.target or len(channels) == 1 or not reading.panel.origin.id_columns:
        return source if labels is None or source.target else replace(source, target=channels)
    return replace(source, target=channels[:1])


def _forecasting_proposal(
    source: DataSource, facts: Sequence[SeriesFacts], lags: Sequence[int], reason: str
) -> Proposal:
    """Return a command that trains on the table, with a horizon that its season suggests and its series allow."""
    length = int(np.median([each.steps for each in facts]))
    horizon = next((_HORIZONS[lag] for lag in lags if lag in _HORIZONS), _HORIZON)
    horizon = max(1, min(horizon, length // 5))
    auto = ["--resolution", "auto"] if length < _SHORT or lags else []  # a season, too, is taken out where that pays
    return Proposal(finetune_command(source, "forecasting", ["--prediction-length", str(horizon), *auto]), reason)
