"""Forecasts of panels and arrays by one model, with quantiles and a lowest value, and their backtest."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import partial

import numpy as np
import pandas as pd
import torch
from torch import Tensor, nn

from tracetune.data.panels import Panel
from tracetune.estimators.forecasting.backtest import BacktestModel, backtest
from tracetune.estimators.forecasting.backtest_part import BacktestPart
from tracetune.estimators.forecasting.prediction import checked_arrays, forecast_panels, forecast_series
from tracetune.estimators.forecasting.recalibration import ORIGINS, TRACKED, Recalibration
from tracetune.estimators.forecasting.record import inner_model
from tracetune.estimators.intervals import ResidualQuantiles, quantile_offsets, quantiles_between
from tracetune.evaluation.backtest import Evaluation
from tracetune.tasks.forecasting.model import ForecastModel
from tracetune.tasks.forecasting.output import ForecastOutput


@dataclass(frozen=True, eq=False)
class PanelForecaster:
    """A forecasting model with its intervals and its lowest value.

    Attributes:
        model: a ForecastModel, or one with adapters; it is on ``device``.
        intervals: where quantiles lie, by validation errors; None takes those that the model forecasts, if any.
        lowest: no forecast is below.
        device: where batches are computed.
    """

    model: nn.Module
    intervals: ResidualQuantiles | None
    lowest: float
    device: torch.device

    @property
    def forecast_model(self) -> ForecastModel:
        """Return the forecasting model itself, inside PEFT's wrapper where there is one."""
        return inner_model(self.model)

    @property
    def model_levels(self) -> tuple[float, ...] | None:
        """Return the levels of the model's quantiles where they are used: intervals from validation errors go first."""
        return None if self.intervals is not None else self.forecast_model.zero_shot_quantile_levels

    def forecasts(
        self, panels: Iterable[Panel], levels: Sequence[float], batch_size: int = 256, earlier_origins: int = ORIGINS
    ) -> Iterator[pd.DataFrame]:
        """Forecast panels one after the other, see `Forecaster.predict_frames`.

        Args:
            panels: read as needed.
            levels: of the quantiles that the tables have.
            batch_size: series and channels per forward pass.
            earlier_origins: by how many of each series widths of intervals follow it; 0 for none.

        Raises:
            InputError: quantiles that the model does not have.
        """
        offsets = quantile_offsets(self.intervals, levels, self.model_levels)
        recalibration = None
        if offsets is not None and self.intervals is not None and earlier_origins:
            recalibration = Recalibration(self.intervals.at(TRACKED), earlier_origins)
        model = partial(self.output, levels=levels)
        length = self.forecast_model.context_length
        return forecast_panels(model, panels, length, batch_size, levels, offsets, self.lowest, recalibration)

    def array_forecasts(self, values: Iterable[np.ndarray], batch_size: int) -> Iterator[np.ndarray]:
        """Forecast [C, H] each series [C, L], see `Forecaster.predict_arrays`."""
        length = self.forecast_model.context_length
        forecasts = forecast_series(self.output, checked_arrays(values), length, batch_size, self.lowest)
        return (forecast.points() for forecast in forecasts)

    def measured(self, part: BacktestPart, batch_size: int, earlier_origins: int) -> Evaluation:
        """Return the errors of its forecasts of a test part, see `backtest`."""
        model = BacktestModel(
            self.output,
            self.forecast_model.context_length,
            self.forecast_model.prediction_length,
            self.intervals,
            self.lowest,
            earlier_origins,
            self.model_levels,
        )
        return backtest(model, part, batch_size)

    def output(self, batch: Mapping[str, Tensor], levels: Sequence[float] = ()) -> ForecastOutput:
        """Forecast a batch; where the model forecasts quantiles, also those at ``levels``."""
        with torch.inference_mode():
            output: ForecastOutput = self.model(
                batch["past_values"].to(self.device), batch["input_mask"].to(self.device)
            )
        if (available := self.model_levels) is not None:
            assert output.quantiles is not None, "it forecasts quantiles at these levels"
            output.quantiles = quantiles_between(output.quantiles, available, levels) if levels else None
        return output
