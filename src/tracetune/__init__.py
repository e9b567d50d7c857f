"""tracetune: parameter-efficient fine-tuning of time-series foundation models.

Names are imported when they are first used, so that ``import tracetune`` is quick.
"""

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from tracetune.adapters.lora import LoraOptions
    from tracetune.backbones.any_module import wrap_module
    from tracetune.base.errors import InputError
    from tracetune.estimators.anomaly.anomaly_detector import AnomalyDetector
    from tracetune.estimators.classification.classifier import Classifier
    from tracetune.estimators.forecasting.forecaster import Forecaster
    from tracetune.estimators.imputation.imputer import Imputer
    from tracetune.estimators.module_importance import Scoring, module_importance
    from tracetune.estimators.score_comparison import compare_scores
    from tracetune.estimators.text.text_classifier import TextClassifier
    from tracetune.evaluation.backtest import Evaluation
    from tracetune.fitting.config import FitConfig
    from tracetune.fitting.methods import AdaLora, Dora, Full, LinearProbe, Lora, Trace
    from tracetune.heads.config import HeadConfig
    from tracetune.selection.config import SelectionConfig
    from tracetune.tasks.forecasting.adjustment import Adjustment
    from tracetune.tasks.forecasting.model import ForecastModel
    from tracetune.training.config import TrainingConfig
    from tracetune.training.trace_callback import TraceCallback

__all__ = [
    "AdaLora",
    "Adjustment",
    "AnomalyDetector",
    "Classifier",
    "Dora",
    "Evaluation",
    "FitConfig",
    "ForecastModel",
    "Forecaster",
    "Full",
    "HeadConfig",
    "Imputer",
    "InputError",
    "LinearProbe",
    "Lora",
    "LoraOptions",
    "Scoring",
    "SelectionConfig",
    "TextClassifier",
    "Trace",
    "TraceCallback",
    "TrainingConfig",
    "compare_scores",
    "module_importance",
    "wrap_module",
]

_MODULES = {
    "AdaLora": "fitting.methods",
    "Adjustment": "tasks.forecasting.adjustment",
    "AnomalyDetector": "estimators.anomaly.anomaly_detector",
    "Classifier": "estimators.classification.classifier",
    "Dora": "fitting.methods",
    "Evaluation": "evaluation.backtest",
    "FitConfig": "fitting.config",
    "ForecastModel": "tasks.forecasting.model",
    "Forecaster": "estimators.forecasting.forecaster",
    "Full": "fitting.methods",
    "HeadConfig": "heads.config",
    "Imputer": "estimators.imputation.imputer",
    "InputError": "base.errors",
    "LinearProbe": "fitting.methods",
    "Lora": "fitting.methods",
    "LoraOptions": "adapters.lora",
    "Scoring": "estimators.module_importance",
    "SelectionConfig": "selection.config",
    "TextClassifier": "estimators.text.text_classifier",
    "Trace": "fitting.methods",
    "TraceCallback": "training.trace_callback",
    "TrainingConfig": "training.config",
    "compare_scores": "estimators.score_comparison",
    "module_importance": "estimators.module_importance",
    "wrap_module": "backbones.any_module",
}


def __getattr__(name: str) -> Any:
    """Import a public name from the module that defines it (PEP 562)."""
    if name not in _MODULES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    value = getattr(importlib.import_module(f"{__name__}.{_MODULES[name]}"), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    """Return the public names, for completion."""
    return sorted({*globals(), *__all__})
