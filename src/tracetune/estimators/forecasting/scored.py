"""Modules of a forecaster to score for importance, and the windows that scores are measured on."""

from typing import TYPE_CHECKING

from tracetune.data.splits import DividedPanel
from tracetune.estimators.scored_modules import ScoredModules, lora_config, scored
from tracetune.fitting.config import FitConfig
from tracetune.fitting.names import ZERO_SHOT
from tracetune.tasks.forecasting.data import forecast_data
from tracetune.tasks.forecasting.model import Forecasting

if TYPE_CHECKING:
    from tracetune.estimators.forecasting.forecaster import Forecaster
_MOST_WINDOWS = 8192


def scored_forecaster(
    forecaster: "Forecaster",
    parts: DividedPanel,
    config: FitConfig | None = None,
) -> ScoredModules:
    """Return the modules of a forecaster to score, on the windows of the validation part."""
    config = lora_config() if config is None else config
    model, name = forecaster.forecast_model, forecaster.base_name
    lengths = forecaster.context_length, forecaster.prediction_length
    data = forecast_data(parts.panel, parts.split, *lengths, config.train_stride, parts.min_context, _MOST_WINDOWS)
    quantiles = config.start == ZERO_SHOT and model.zero_shot_quantile_levels is not None
    task = Forecasting(
        forecaster.prediction_length,
        forecaster.context_length,
        name,
        quantile_loss=quantiles,
        resolutions=model.resolutions,
        adjustment=model.adjustment,
    )
    fitted = None if forecaster.trace is None else forecaster.model
    return scored(forecaster, task, model.backbone, fitted, data, config)
