"""Forecast a table of series with a saved or a base model."""

from pathlib import Path

from rich.console import Console

from tracetune.data.frame_chunks import read_panels
from tracetune.data.frame_writer import PIECEWISE, write_frames
from tracetune.data.table_files import read_frame, require_table_path, table_kind, write_frame
from tracetune.estimators.forecaster import Forecaster
from tracetune.recipes.configs.predict import PredictConfig


def predict(config: PredictConfig) -> None:
    """Forecast the steps after the end of every series in a file."""
    require_table_path(config.output, config.overwrite)
    if config.chunk_rows is not None:
        table_kind(Path(config.output), PIECEWISE)
    levels = config.quantile_levels() or None
    assert config.data is not None
    columns = {name: getattr(config, name) for name in ("id_column", "timestamp_column", "target", "freq", "sort")}
    if config.chunk_rows is None:
        frame = read_frame(config.data)
        forecast = _forecaster(config).predict_df(frame, levels, batch_size=config.batch_size, **columns)
        write_frame(forecast, config.output)
        rows = len(forecast)
    else:
        panels = read_panels(config.data, config.chunk_rows, **columns)
        forecasts = _forecaster(config).predict_panels(panels, levels, batch_size=config.batch_size)
        rows = write_frames(forecasts, config.output)
    Console().print(f"{rows:,} rows written to {config.output}")


def _forecaster(config: PredictConfig) -> Forecaster:
    return Forecaster.from_pretrained(config.model, config.prediction_length, base=config.base, device=config.device)
