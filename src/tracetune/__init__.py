"""tracetune: parameter-efficient fine-tuning of time-series foundation models."""

from tracetune.adapters.lora import LoraOptions
from tracetune.base.errors import InputError
from tracetune.estimators.fitting import FitConfig
from tracetune.estimators.forecaster import Forecaster
from tracetune.heads.head import HeadConfig
from tracetune.selection.schedule import SelectionConfig
from tracetune.tasks.forecasting import ForecastModel
from tracetune.training.trace_callback import TraceCallback
from tracetune.training.trainer import TrainingConfig

__all__ = [
    "FitConfig",
    "ForecastModel",
    "Forecaster",
    "HeadConfig",
    "InputError",
    "LoraOptions",
    "SelectionConfig",
    "TraceCallback",
    "TrainingConfig",
]
