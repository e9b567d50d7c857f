"""The parts of a forecaster, and what can be read of them: lengths, quantiles, how its table was read."""

from collections.abc import Mapping

import torch
from torch import nn

from tracetune.base.device import resolve_device
from tracetune.base.json_types import JsonObject
from tracetune.data.reading.options import ReadingOptions
from tracetune.estimators.described import Described
from tracetune.estimators.forecasting.record import inner_model
from tracetune.estimators.intervals import ResidualQuantiles
from tracetune.fitting.trained import History
from tracetune.tasks.forecasting.adjustment import Adjustment
from tracetune.tasks.forecasting.model import ForecastModel


class ForecasterParts(Described):
    """The parts of a forecaster.

    Attributes:
        device: where the model is.
        model: a ForecastModel, or one with adapters.
        base_name: name or folder of the foundation model that it is, or was tuned from.
        trace: the record of the fit, as in trace.json; None for a foundation model as it was loaded.
        intervals: where quantiles lie, by validation errors; None without.
        non_negative: whether forecasts are clipped at 0.
        history: the Trainer's log of each phase of the fit; empty after loading.
        chooses_resolution: whether resolution and adjustment are yet to be chosen, on the series that come first.
    """

    def __init__(
        self,
        model: nn.Module,
        base_name: str,
        *,
        trace: JsonObject | None = None,
        intervals: ResidualQuantiles | None = None,
        non_negative: bool = False,
        history: Mapping[str, History] | None = None,
        chooses_resolution: bool = False,
        device: str | torch.device = "auto",
    ) -> None:
        self.device = resolve_device(device)
        self.model = model.to(self.device).eval()
        self.base_name = base_name
        self.trace = trace
        self.intervals = intervals
        self.non_negative = non_negative
        self.history = dict(history or {})
        self.chooses_resolution = chooses_resolution

    @property
    def forecast_model(self) -> ForecastModel:
        """Return the forecasting model itself, inside PEFT's wrapper where there is one."""
        return inner_model(self.model)

    @property
    def prediction_length(self) -> int:
        """Return the number of steps H of every forecast."""
        return self.forecast_model.prediction_length

    @property
    def has_quantiles(self) -> bool:
        """Return whether there are quantiles, from validation errors after a fit or from the model itself."""
        return self.intervals is not None or self.forecast_model.zero_shot_quantile_levels is not None

    @property
    def context_length(self) -> int:
        """Return the number of steps T of history that the model sees."""
        return self.forecast_model.context_length

    @property
    def resolutions(self) -> tuple[int, ...]:
        """Return how many points a step the model reads series at, see `choose_resolution`."""
        return self.forecast_model.resolutions

    @property
    def adjustment(self) -> Adjustment:
        """Return the trend and season that are taken out of series before and put back after."""
        return self.forecast_model.adjustment

    @property
    def remembered(self) -> ReadingOptions:
        """Return how the table was read that this forecaster was trained on; tables to forecast are read alike."""
        return ReadingOptions.from_json((self.trace or {}).get("reading") or {})
