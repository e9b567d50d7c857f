"""Modules of an imputer to score for importance, and the hidden steps that scores are measured on."""

from tracetune.backbones.backbone import Backbone
from tracetune.base.errors import InputError, argument
from tracetune.data.panels import Panel
from tracetune.estimators.backbone_estimator import BackboneEstimator
from tracetune.estimators.imputation.imputer_data import imputer_data
from tracetune.estimators.imputation.record import ImputerRecord
from tracetune.estimators.scored_modules import ScoredModules, lora_config, scored
from tracetune.fitting.config import FitConfig


def scored_imputer(
    imputer: BackboneEstimator[Backbone, ImputerRecord],
    context_length: int,
    panel: Panel,
    config: FitConfig | None = None,
    season: int | None = None,
) -> ScoredModules:
    """Return the modules of an imputer to score, by the errors of steps that are hidden in the validation part."""
    config = lora_config() if config is None else config
    fitted = imputer.record
    if fitted is not None and list(panel.channels) != fitted.channels:
        raise InputError(
            f"Expected the channels of the fit, {', '.join(map(repr, fitted.channels))}, found "
            f"{', '.join(map(repr, panel.channels))}. Name them with {argument('target')}."
        )
    found = imputer_data(imputer.base_name, context_length, panel, config, season=season, fitted=fitted)
    return scored(imputer, found.task, imputer.backbone, imputer.model, found.data, found.config)
