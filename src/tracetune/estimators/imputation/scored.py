"""Modules of an imputer to score for importance, and the hidden steps that scores are measured on."""

from typing import TYPE_CHECKING, Any

from tracetune.base.errors import InputError, argument
from tracetune.data.reading.read import panel_from_frame
from tracetune.estimators.imputation.imputer_data import imputer_data
from tracetune.estimators.scored_modules import ScoredModules, lora_config, scored
from tracetune.fitting.config import FitConfig

if TYPE_CHECKING:
    from tracetune.estimators.imputation.imputer import Imputer


def scored_imputer(
    imputer: "Imputer", data: Any, config: FitConfig | None = None, *, season: int | None = None, **reading: Any
) -> ScoredModules:
    """Return the modules of an imputer to score, by the errors of steps that are hidden in the validation part."""
    config = lora_config() if config is None else config
    panel = panel_from_frame(data, remembered=imputer.remembered, every_channel=True, **reading)
    fitted = imputer.record
    if fitted is not None and list(panel.channels) != fitted.channels:
        raise InputError(
            f"Expected the channels of the fit, {', '.join(map(repr, fitted.channels))}, found "
            f"{', '.join(map(repr, panel.channels))}. Name them with {argument('target')}."
        )
    found = imputer_data(imputer.base_name, imputer.context_length, panel, config, season=season, fitted=fitted)
    return scored(imputer, found.task, imputer.backbone, imputer.model, found.data, found.config)
