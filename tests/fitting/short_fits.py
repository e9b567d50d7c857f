"""Fits of forecasters on short series, in seconds."""

from pathlib import Path

from tests.tiny import CONTEXT, HORIZON, seasonal_frame, tiny_backbone
from tracetune import FitConfig
from tracetune.data.reading.read import panel_from_frame
from tracetune.data.splits import fit_split
from tracetune.fitting.fit import Fitted, fit
from tracetune.tasks.forecasting.data import forecast_data
from tracetune.tasks.forecasting.model import Forecasting
from tracetune.tasks.task import TrainingData
from tracetune.training.run import Run

FORECASTING = Forecasting(HORIZON, CONTEXT)


def short_data() -> TrainingData:
    """Return training and validation windows of series of 160 steps."""
    panel = panel_from_frame(seasonal_frame(length=160))
    return forecast_data(panel, fit_split(panel, HORIZON), CONTEXT, HORIZON, 4, 16, 32)


def fitted(data: TrainingData, config: FitConfig, folder: Path | None = None) -> Fitted:
    """Return what a fit of a tiny backbone makes of the data, with checkpoints in ``folder``."""
    with Run.at(folder) as run:
        return fit(FORECASTING, tiny_backbone(), data, config, run)
