"""Modules of a text classifier to score for importance, and the texts that scores are measured on."""

from typing import TYPE_CHECKING, Any

from tracetune.estimators.scored_modules import ScoredModules, scored
from tracetune.estimators.text.fit import text_fit_config
from tracetune.fitting.config import FitConfig
from tracetune.fitting.methods.lora import Lora

if TYPE_CHECKING:
    from tracetune.estimators.text.text_classifier import TextClassifier


def scored_text_classifier(
    classifier: "TextClassifier",
    data: Any,
    labels: Any = None,
    config: FitConfig | None = None,
    *,
    validation_share: float = 0.25,
    text_column: Any = None,
    label_column: str | None = None,
) -> ScoredModules:
    """Return what is scored of a text classifier: on the texts that are held out."""
    config = text_fit_config(Lora()) if config is None else config
    found = classifier.fit_texts(
        data, labels, validation_share, config.training.seed, text_column=text_column, label_column=label_column
    )
    return scored(classifier, found.task, classifier.backbone, classifier.model, found.data, config)
