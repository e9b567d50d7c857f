"""Inspect a table before training: how it was read and why, what is odd, what leaks, how to go on."""

import shlex
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np

from tracetune.base.errors import InputError, argument
from tracetune.base.files import require_place
from tracetune.data.examination import SeriesFacts, examine, median_autocorrelation, seasons
from tracetune.data.leaks import Leak, find_leaks
from tracetune.data.panels import Panel
from tracetune.data.reading.read import Reading, read_table
from tracetune.recipes.configs.inspect import InspectConfig
from tracetune.recipes.fit_report import source_words
from tracetune.report.inspection import Inspection, print_inspection, write_page

_MOST_COLUMNS = 30  # that are compared with the target
_HORIZONS = {24: 24, 7: 14, 12: 12, 4: 8, 52: 13, 5: 10}  # by the steps of the strongest season
_HORIZON = 12


def inspect_table(config: InspectConfig) -> Inspection:
    """Print how a table was read, what is odd about it, and how to go on; write a page with pictures."""
    run = config.run
    if run.output is not None:
        _check_page(run.output, run.overwrite)
    reading = config.source.reading()
    values = [series.values for series in reading.panel]
    facts, found = examine(values), seasons(values)
    inspection = Inspection(
        name=Path(str(config.source.data)).name,
        reading=reading,
        facts=facts,
        autocorrelation=median_autocorrelation(values)[0],
        seasons=found,
        leaks=_leaks(str(config.source.data), reading),
        command=_next_command(config, reading.panel, facts, [lag for lag, _ in found]),
    )
    print_inspection(inspection)
    if run.output is not None:
        write_page(run.output, inspection)
    return inspection


def _check_page(path: str, overwrite: bool) -> None:
    if Path(path).suffix.lower() not in (".html", ".htm"):
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
        found += find_leaks([series.values for series in both.panel], [column])
    return found + find_leaks([series.values for series in reading.panel], reading.panel.channels[1:])


def _next_command(config: InspectConfig, panel: Panel, facts: Sequence[SeriesFacts], lags: Sequence[int]) -> str:
    """Return a command that trains on the table, with a horizon that its season suggests and its series allow."""
    length = int(np.median([each.steps for each in facts]))
    horizon = next((_HORIZONS[lag] for lag in lags if lag in _HORIZONS), _HORIZON)
    horizon = max(1, min(horizon, length // 5))
    words = " ".join(map(shlex.quote, source_words(config.source)))
    stem = Path(str(config.source.data)).name.partition(".")[0]
    return f"tracetune finetune {words} --prediction-length {horizon} --output {shlex.quote(f'runs/{stem}')}"
