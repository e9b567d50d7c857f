"""Score the LoRA modules of a text encoder by layer and kind of module, with Shapley values beside."""

from dataclasses import replace
from typing import Any

from torch import nn

from tracetune.backbones.loading import weights_digest
from tracetune.base.config import flat_values
from tracetune.base.folders import resumed_folder
from tracetune.base.identity import RECORD_FILE, claim, run_identity
from tracetune.data.digest import data_digest
from tracetune.estimators.text_classifier import TextClassifier
from tracetune.estimators.text_fit import FitTexts, text_fit_config
from tracetune.evaluation.protocol import library_versions
from tracetune.fitting.fit import tune
from tracetune.fitting.methods.lora import Lora
from tracetune.fitting.run import Run
from tracetune.recipes.configs.text import ImportanceConfig
from tracetune.recipes.finetune_report import HISTORY_FILE, draw_history
from tracetune.recipes.importance_scores import (
    MAY_CHANGE,
    STATE_FILE,
    agreement_rows,
    check_scores,
    report_scores,
    require_modules,
    score_all,
    write_scores,
)
from tracetune.recipes.text import read_texts
from tracetune.selection.importance import Importance
from tracetune.training.progress import ProgressBar


def importance(config: ImportanceConfig) -> list[Importance]:
    """Score the LoRA modules of a text classifier by several methods, and compare them with Shapley values."""
    assert config.output is not None and config.model is not None, "checked with the configuration"
    check_scores(config.scores)
    with resumed_folder(config.output, nothing=(RECORD_FILE,)) as folder:
        frame = read_texts(config.source)
        classifier = TextClassifier.from_pretrained(config.model, config.max_length, device=config.device)
        texts = classifier.fit_texts(
            frame,
            None,
            config.validation_share,
            config.seed,
            text_column=config.source.text_column or None,
            label_column=config.source.label_column,
        )
        claim(folder, _identity(classifier, texts, config), (STATE_FILE,), restart=config.restart)
        model = _model(classifier, texts, config)
        found = score_all(model, texts.data.validation, config, folder / STATE_FILE)
        agreement = agreement_rows(found)
        write_scores(folder, config, found, agreement)
        if classifier.trace is not None and classifier.trace.get("selection"):
            draw_history(folder / HISTORY_FILE, classifier.trace["selection"])
    report_scores(found, agreement, config.output)
    return found


def _model(classifier: TextClassifier, texts: FitTexts, config: ImportanceConfig) -> nn.Module:
    """Return the fine-tuned model as it is, or LoRA trained on an encoder."""
    if classifier.model is not None:
        require_modules(classifier.model, classifier.trace, config)
        return classifier.model
    settings = text_fit_config(Lora(config.lora.options()), config.seed)
    training = replace(
        settings.training,
        learning_rate=config.learning_rate,
        num_train_epochs=config.num_train_epochs,
        max_steps=config.max_steps,
    )
    with Run.at(None, str(classifier.device), [ProgressBar()]) as run:
        model = tune(texts.task, classifier.backbone, texts.data, replace(settings, training=training), run)
    require_modules(model, None, config)
    return model


def _identity(classifier: TextClassifier, texts: FitTexts, config: ImportanceConfig) -> dict[str, Any]:
    """Return what the Shapley values of an interrupted run belong to; more pairs than before refine them."""
    settings = {name: value for name, value in flat_values(config).items() if name not in MAY_CHANGE}
    return run_identity(
        **settings,
        weights=weights_digest(classifier.model or classifier.backbone),
        train=data_digest(texts.data.train),
        validation=data_digest(texts.data.validation),
        versions=library_versions(),
    )
