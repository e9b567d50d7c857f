"""Forecast a table of series with a saved or a base model, and draw the forecasts."""

from collections.abc import Iterable, Iterator, Sequence
from itertools import chain
from pathlib import Path

import pandas as pd
from rich.console import Console

from tracetune.data.frame_writer import PIECEWISE, write_frames
from tracetune.data.panels import Panel
from tracetune.data.table_files import marks_in_words, table_kind
from tracetune.data.text_marks import TextMarks
from tracetune.estimators.forecasting.forecaster import Forecaster
from tracetune.recipes.forecasting.chosen_forecaster import load_chosen
from tracetune.recipes.forecasting.settings import PredictConfig, PredictRun
from tracetune.recipes.outputs import check_outputs, with_times_as_in, write_series
from tracetune.report.forecast_panels import forecasts_to_draw
from tracetune.report.forecast_plots import forecast_figure
from tracetune.report.pages import where_drawn, write_plot

_DRAWN_LEVELS = (0.1, 0.9)


def predict(config: PredictConfig) -> None:
    """Forecast the steps after the end of every series."""
    run = config.run
    _check_outputs(config)
    forecaster = load_chosen(config.forecaster, run.device)
    rows, marks = (_predict_whole if run.chunk_rows is None else _predict_chunks)(config, forecaster)
    console = Console(highlight=False, soft_wrap=True)
    console.print(f"{rows:,} rows written to {run.output}{marks_in_words(marks, run.output)}", markup=False)
    if run.plot is not None:
        console.print(where_drawn(run.plot), markup=False)


def _predict_chunks(config: PredictConfig, forecaster: Forecaster) -> tuple[int, TextMarks]:
    """Write the forecasts of a table that is read in chunks, with times as its first chunk writes them.

    Returns the number of rows, and the marks of the table.
    """
    run = config.run
    assert run.chunk_rows is not None, "asked before"
    panels = config.source.panels(run.chunk_rows, forecaster.remembered)
    first = next(panels)
    origin, chunks = first.origin, chain([first], panels)
    del first  # chunks are large, and none is kept
    forecasts = enumerate(_forecasts(forecaster, chunks, run, run.quantile_levels()))
    frames = (with_times_as_in(origin, forecast, run.output, quiet=number > 0) for number, forecast in forecasts)
    return write_frames(frames, run.output, origin.marks), origin.marks


def _forecasts(
    forecaster: Forecaster, panels: Iterable[Panel], run: PredictRun, levels: Sequence[float]
) -> Iterator[pd.DataFrame]:
    return forecaster.predict_frames(
        panels,
        levels or None,
        batch_size=run.batch_size,
        non_negative=run.non_negative,
        recalibrate=run.recalibrate,
    )


def _check_outputs(config: PredictConfig) -> None:
    """Refuse outputs that could not be written, before the work."""
    run = config.run
    check_outputs([run.output], run.plot, (config.source.data, config.forecaster.model), overwrite=run.overwrite)
    if run.chunk_rows is not None:
        table_kind(Path(run.output), PIECEWISE)


def _predict_whole(config: PredictConfig, forecaster: Forecaster) -> tuple[int, TextMarks]:
    """Write the forecasts of all series, and their picture; return the number of rows, and the marks of the table."""
    run = config.run
    panel = config.source.panel(forecaster.remembered)
    levels = run.quantile_levels()
    drawn = [level for level in _DRAWN_LEVELS if run.plot and forecaster.has_quantiles and level not in levels]
    forecast = next(_forecasts(forecaster, [panel], run, [*levels, *drawn]))
    write_series(forecast.drop(columns=[str(level) for level in drawn]), run.output, panel.origin)
    forecaster.suggest_resolution(panel)  # a backtest: nothing is left to refuse
    if run.plot is not None:
        title = _title(config, panel, forecast)
        write_plot(forecast_figure(forecasts_to_draw(panel, forecast), title), run.plot, title, {"Forecasts": forecast})
    return len(forecast), panel.origin.marks


def _title(config: PredictConfig, panel: Panel, forecast: pd.DataFrame) -> str:
    series = len(panel) * len(panel.channels)
    some = f", {min(series, 6)} of {series:,} series" if series > 6 else ""
    return f"Forecast of {config.source.name}, {len(forecast) // series} steps{some}"
