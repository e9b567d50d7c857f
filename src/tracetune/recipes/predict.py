"""Forecast a table of series with a saved or a base model, and draw the forecasts."""

from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path

import pandas as pd
from rich.console import Console

from tracetune.data.frame_writer import PIECEWISE, write_frames
from tracetune.data.panels import Panel
from tracetune.data.table_files import table_kind, write_frame
from tracetune.estimators.forecasting.forecaster import Forecaster
from tracetune.recipes.chosen_forecaster import load_chosen
from tracetune.recipes.configs.predict import PredictConfig, PredictRun
from tracetune.recipes.outputs import check_outputs
from tracetune.report.forecast_panels import forecasts_to_draw
from tracetune.report.forecast_plots import forecast_figure

_DRAWN_LEVELS = (0.1, 0.9)


def predict(config: PredictConfig) -> None:
    """Forecast the steps after the end of every series."""
    run = config.run
    _check_outputs(config)
    forecaster = load_chosen(config.forecaster, run.device)
    if run.chunk_rows is None:
        rows = _predict_whole(config, forecaster)
    else:
        panels = config.source.panels(run.chunk_rows, forecaster.remembered)
        forecasts = _forecasts(forecaster, panels, run, run.quantile_levels())
        rows = write_frames(forecasts, run.output)
    console = Console(highlight=False)
    console.print(f"{rows:,} rows written to {run.output}")
    if run.plot is not None:
        console.print(f"Picture: {run.plot}")


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


def _predict_whole(config: PredictConfig, forecaster: Forecaster) -> int:
    """Write the forecasts of all series, and their picture where it is wanted; return the number of rows."""
    run = config.run
    panel = config.source.panel(forecaster.remembered)
    levels = run.quantile_levels()
    drawn = [level for level in _DRAWN_LEVELS if run.plot and forecaster.has_quantiles and level not in levels]
    forecast = next(_forecasts(forecaster, [panel], run, [*levels, *drawn]))
    write_frame(forecast.drop(columns=[str(level) for level in drawn]), run.output)
    if run.plot is not None:
        forecast_figure(forecasts_to_draw(panel, forecast), _title(config, panel, forecast), run.plot)
    return len(forecast)


def _title(config: PredictConfig, panel: Panel, forecast: pd.DataFrame) -> str:
    name = config.source.dataset or Path(str(config.source.data)).name
    series = len(panel) * len(panel.channels)
    some = f", {min(series, 6)} of {series:,} series" if series > 6 else ""
    return f"Forecast of {name}, {len(forecast) // series} steps{some}"
