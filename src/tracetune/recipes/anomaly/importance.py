"""Importance of the LoRA modules of an anomaly detector."""

from tracetune.data.reading.labels import LABEL_COLUMN
from tracetune.estimators.anomaly.anomaly_detector import AnomalyDetector
from tracetune.estimators.scored_modules import ScoredModules
from tracetune.recipes.anomaly.settings import ImportanceConfig
from tracetune.recipes.importance import lora_fit, score_and_report
from tracetune.selection.importance import Importance


def importance(config: ImportanceConfig) -> list[Importance]:
    """Score the LoRA modules of an anomaly detector."""

    def load() -> ScoredModules:
        detector = AnomalyDetector.from_pretrained(config.scored.model, device=config.scoring.device)
        remembered = None if detector.learned is None else detector.remembered
        settings = lora_fit(config.lora, config.training, config.scoring)
        label_column = config.label_column or (LABEL_COLUMN if detector.learned is None else detector.label_column)
        panel, labels = config.source.labelled(label_column, config.labels, remembered)
        return detector.scored_modules(panel, labels, settings, loss=config.loss, label_column=label_column)

    return score_and_report(config, config.scoring, load)
