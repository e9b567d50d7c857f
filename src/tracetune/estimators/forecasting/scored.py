"""Modules of a forecaster to score for importance, and the windows that scores are measured on."""

from tracetune.data.splits import DividedPanel
from tracetune.estimators.forecasting.epoch_bound import with_bounded_epochs
from tracetune.estimators.scored_modules import EstimatorParts, ScoredModules, lora_config, scored
from tracetune.fitting.config import FitConfig
from tracetune.fitting.names import ZERO_SHOT
from tracetune.tasks.forecasting.data import forecast_data
from tracetune.tasks.forecasting.model import Forecasting, ForecastModel

_MOST_WINDOWS = 8192


def scored_forecaster(
    forecaster: EstimatorParts, model: ForecastModel, parts: DividedPanel, config: FitConfig | None = None
) -> ScoredModules:
    """Return the modules of a forecaster to score, on the windows of the validation part.

    Args:
        forecaster: its parts.
        model: the forecasting model itself, inside PEFT's wrapper where there is one.
        parts: the series, and which of their steps train and validate.
        config: how LoRA is trained where nothing was fitted.
    """
    config = lora_config() if config is None else config
    lengths = model.context_length, model.prediction_length
    data = forecast_data(parts.panel, parts.split, *lengths, config.train_stride, parts.min_context, _MOST_WINDOWS)
    quantiles = config.start == ZERO_SHOT and model.zero_shot_quantile_levels is not None
    task = Forecasting(
        model.prediction_length,
        model.context_length,
        forecaster.base_name,
        quantile_loss=quantiles,
        resolutions=model.resolutions,
        adjustment=model.adjustment,
    )
    fitted = None if forecaster.trace is None else forecaster.model
    if fitted is None:
        config = with_bounded_epochs(config, len(data.train))
    return scored(forecaster, task, model.backbone, fitted, data, config)
