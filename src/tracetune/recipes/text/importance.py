"""Importance of the LoRA modules of a text classifier."""

from dataclasses import replace

from tracetune.data.text_files import read_text_table
from tracetune.estimators.scored_modules import ScoredModules
from tracetune.estimators.text.fit import text_fit_config
from tracetune.estimators.text.text_classifier import TextClassifier
from tracetune.fitting.methods.lora import Lora
from tracetune.recipes.importance import score_and_report
from tracetune.recipes.text.settings import ImportanceConfig
from tracetune.selection.importance import Importance


def importance(config: ImportanceConfig) -> list[Importance]:
    """Score the LoRA modules of a text classifier."""

    def load() -> ScoredModules:
        scored, scoring, training = config.scored, config.scoring, config.training
        assert scored.model is not None, "checked with the configuration"
        classifier = TextClassifier.from_pretrained(
            scored.model, scored.max_length, layers=scored.layers, device=scoring.device
        )
        settings = text_fit_config(Lora(config.lora.options()), scoring.seed)
        settings = replace(
            settings,
            training=replace(
                settings.training,
                learning_rate=training.learning_rate,
                num_train_epochs=training.num_train_epochs,
                max_steps=training.max_steps,
            ),
        )
        return classifier.scored_modules(
            read_text_table(config.source.path, config.source.encoding),
            config=settings,
            validation_share=training.validation_share,
            text_column=config.source.text_column or None,
            label_column=config.source.label_column,
        )

    return score_and_report(config, config.scoring, load)
