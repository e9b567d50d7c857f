"""Importance of the LoRA modules of a forecaster."""

from dataclasses import replace

from tracetune.data.splits import DividedPanel
from tracetune.estimators.forecasting.forecaster import Forecaster
from tracetune.estimators.saved_model import is_saved_model
from tracetune.estimators.scored_modules import ScoredModules
from tracetune.recipes.forecasting.settings import ImportanceConfig
from tracetune.recipes.importance import lora_fit, score_and_report
from tracetune.selection.importance import Importance

_HORIZON = 96


def importance(config: ImportanceConfig) -> list[Importance]:
    """Score the LoRA modules of a forecaster by several methods, and compare them with Shapley values."""

    def load() -> ScoredModules:
        windows, scoring = config.windows, config.scoring
        saved = is_saved_model(config.scored.model)
        horizon = windows.prediction_length if saved else windows.prediction_length or _HORIZON
        forecaster = Forecaster.from_pretrained(
            config.scored.model, horizon, windows.context_length, device=scoring.device
        )
        settings = replace(
            lora_fit(config.lora, config.training, scoring),
            head=config.head.config(),
            train_stride=windows.train_stride,
        )
        if config.source.dataset is not None:
            return forecaster.scored_modules(DividedPanel(*config.source.known_split()), config=settings)
        return forecaster.scored_modules(config.source.panel(forecaster.remembered), config=settings)

    return score_and_report(config, config.scoring, load)
