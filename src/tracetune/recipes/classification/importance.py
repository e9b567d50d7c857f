"""Importance of the LoRA modules of a classifier of series."""

from dataclasses import replace

from tracetune.estimators.classification.classifier import Classifier
from tracetune.estimators.classification.config import classifier_config
from tracetune.estimators.scored_modules import ScoredModules
from tracetune.fitting.methods.lora import Lora
from tracetune.recipes.classification.settings import ImportanceConfig
from tracetune.recipes.importance import score_and_report
from tracetune.selection.importance import Importance


def importance(config: ImportanceConfig) -> list[Importance]:
    """Score the LoRA modules of a classifier of series."""

    def load() -> ScoredModules:
        scored, scoring, training = config.scored, config.scoring, config.training
        classifier = Classifier.from_pretrained(scored.model, scored.context_length, device=scoring.device)
        settings = classifier_config()
        settings = replace(
            settings,
            method=Lora(config.lora.options()),
            head_training=replace(settings.head_training, seed=scoring.seed),
            training=replace(
                settings.training,
                learning_rate=training.learning_rate,
                head_learning_rate=training.head_learning_rate,
                max_steps=training.max_steps,
                batch_size=scoring.batch_size,
                seed=scoring.seed,
            ),
        )
        return classifier.scored_modules(
            config.source.path,
            config=settings,
            label_column=config.source.label_column,
            validation_share=training.validation_share,
            **config.source.keywords(),
        )

    return score_and_report(config, config.scoring, load)
