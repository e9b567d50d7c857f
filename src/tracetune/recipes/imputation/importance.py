"""Importance of the LoRA modules of an imputer."""

from dataclasses import replace

from tracetune.estimators.imputation.imputer import Imputer
from tracetune.estimators.scored_modules import ScoredModules
from tracetune.heads.imputation import ImputationHeadConfig
from tracetune.recipes.importance import lora_fit, score_and_report
from tracetune.recipes.imputation.settings import ImportanceConfig
from tracetune.selection.importance import Importance


def importance(config: ImportanceConfig) -> list[Importance]:
    """Score the LoRA modules of an imputer."""

    def load() -> ScoredModules:
        scored = config.scored
        imputer = Imputer.from_pretrained(scored.model, scored.context_length, device=config.scoring.device)
        settings = replace(
            lora_fit(config.lora, config.training, config.scoring), head=ImputationHeadConfig(config.gaps.related)
        )
        panel = config.source.panel(imputer.remembered, every_channel=True)
        return imputer.scored_modules(panel, config=settings, season=scored.season)

    return score_and_report(config, config.scoring, load)
