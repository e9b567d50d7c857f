"""Importance of LoRA modules for every task, by several methods, with Shapley values as yardstick."""

from collections.abc import Callable
from dataclasses import replace
from typing import Any

from tracetune.backbones.loading import weights_digest
from tracetune.base.config import flat_values
from tracetune.base.folders import resumed_folder
from tracetune.base.identity import RECORD_FILE, claim, run_identity
from tracetune.data.digest import data_digest
from tracetune.data.reading.labels import LABEL_COLUMN
from tracetune.data.text_files import read_text_table
from tracetune.estimators.anomaly.anomaly_detector import AnomalyDetector
from tracetune.estimators.anomaly.scored import scored_detector
from tracetune.estimators.classification.classifier import Classifier
from tracetune.estimators.classification.config import classifier_config
from tracetune.estimators.classification.scored import scored_classifier
from tracetune.estimators.forecasting.fit_data import DividedPanel, split_frames
from tracetune.estimators.forecasting.forecaster import Forecaster
from tracetune.estimators.forecasting.scored import scored_forecaster
from tracetune.estimators.imputation.imputer import Imputer
from tracetune.estimators.imputation.scored import scored_imputer
from tracetune.estimators.module_importance import check_scores, side_by_side, trained_model
from tracetune.estimators.saved_model import is_saved_model
from tracetune.estimators.scored_modules import ScoredModules, require_modules
from tracetune.estimators.text.fit import text_fit_config
from tracetune.estimators.text.text_classifier import TextClassifier
from tracetune.evaluation.protocol import library_versions
from tracetune.fitting.config import FitConfig
from tracetune.fitting.methods.lora import Lora
from tracetune.heads.imputation import ImputationHeadConfig
from tracetune.recipes.configs.adaptation import LoraChoice
from tracetune.recipes.configs.anomaly import ImportanceConfig as AnomalyImportance
from tracetune.recipes.configs.classification import ImportanceConfig as ClassificationImportance
from tracetune.recipes.configs.importance import ImportanceConfig
from tracetune.recipes.configs.imputation import ImportanceConfig as ImputationImportance
from tracetune.recipes.configs.scoring import LoraTraining, ScoringChoice
from tracetune.recipes.configs.text import ImportanceConfig as TextImportance
from tracetune.recipes.finetune_report import HISTORY_FILE, draw_history
from tracetune.recipes.importance_scores import agreement_rows, report_scores, write_scores
from tracetune.selection.importance import Importance
from tracetune.training.config import TrainingConfig
from tracetune.training.progress import ProgressBar

STATE_FILE = "shapley_state.json"
_HORIZON = 96
_MAY_CHANGE = ("output", "restart", "device", "scores", "shapley_pairs", "data", "dataset", "model")
"""Settings that may differ between the parts of an interrupted run: what data and model hold is compared instead."""


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
            _lora_fit(config.lora, config.training, scoring),
            head=config.head.config(),
            train_stride=windows.train_stride,
        )
        if config.source.dataset is not None:
            return scored_forecaster(forecaster, DividedPanel(*config.source.known_split()), settings)
        panel = config.source.panel(forecaster.remembered)
        parts = split_frames(panel, None, forecaster.context_length, forecaster.prediction_length)
        return scored_forecaster(forecaster, parts, settings)

    return _run(config, config.scoring, load)


def classifier_importance(config: ClassificationImportance) -> list[Importance]:
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
        return scored_classifier(
            classifier,
            config.source.path,
            config=settings,
            label_column=config.source.label_column,
            validation_share=training.validation_share,
            **config.source.keywords(),
        )

    return _run(config, config.scoring, load)


def detector_importance(config: AnomalyImportance) -> list[Importance]:
    """Score the LoRA modules of an anomaly detector."""

    def load() -> ScoredModules:
        detector = AnomalyDetector.from_pretrained(config.scored.model, device=config.scoring.device)
        remembered = None if detector.learned is None else detector.remembered
        settings = _lora_fit(config.lora, config.training, config.scoring)
        label_column = config.label_column or (LABEL_COLUMN if detector.learned is None else detector.label_column)
        panel, labels = config.source.labelled(label_column, remembered)
        return scored_detector(detector, panel, labels, settings, loss=config.loss, label_column=label_column)

    return _run(config, config.scoring, load)


def imputer_importance(config: ImputationImportance) -> list[Importance]:
    """Score the LoRA modules of an imputer."""

    def load() -> ScoredModules:
        scored = config.scored
        imputer = Imputer.from_pretrained(scored.model, scored.context_length, device=config.scoring.device)
        settings = replace(
            _lora_fit(config.lora, config.training, config.scoring), head=ImputationHeadConfig(config.gaps.related)
        )
        return scored_imputer(
            imputer, config.source.panel(imputer.remembered, every_channel=True), settings, season=scored.season
        )

    return _run(config, config.scoring, load)


def text_classifier_importance(config: TextImportance) -> list[Importance]:
    """Score the LoRA modules of a text classifier."""

    def load() -> ScoredModules:
        scored, scoring, training = config.scored, config.scoring, config.training
        assert scored.model is not None and config.source.data is not None, "checked with the configuration"
        classifier = TextClassifier.from_pretrained(scored.model, scored.max_length, device=scoring.device)
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
            read_text_table(config.source.data),
            config=settings,
            validation_share=training.validation_share,
            text_column=config.source.text_column or None,
            label_column=config.source.label_column,
        )

    return _run(config, config.scoring, load)


def _run(config: Any, scoring: ScoringChoice, load: Callable[[], ScoredModules]) -> list[Importance]:
    """Load model and samples, score, write and print; an interrupted run goes on with its Shapley values."""
    assert scoring.output is not None, "checked with the configuration"
    check_scores(scoring.scores)
    with resumed_folder(scoring.output, nothing=(RECORD_FILE,)) as folder:
        scored = load()
        claim(folder, _identity(scored, config), (STATE_FILE,), restart=scoring.restart)
        model = trained_model(scored, [ProgressBar()])
        require_modules(model, scored, scoring.shapley_pairs > 0)
        found = side_by_side(
            model,
            scored.data.validation,
            scoring.scores,
            shapley_pairs=scoring.shapley_pairs,
            samples=scoring.samples,
            batch_size=scoring.batch_size,
            keep=scoring.keep,
            context=scoring.context,
            seed=scoring.seed,
            state_file=folder / STATE_FILE,
            progress=True,
        )
        agreement = agreement_rows(found)
        write_scores(folder, flat_values(config), found, agreement)
        if scored.trace is not None and scored.trace.get("selection"):
            draw_history(folder / HISTORY_FILE, scored.trace["selection"])
    report_scores(found, agreement, scoring.output)
    return found


def _identity(scored: ScoredModules, config: Any) -> dict[str, Any]:
    """Return what the Shapley values of an interrupted run belong to; more pairs than before refine them."""
    settings = {name: value for name, value in flat_values(config).items() if name not in _MAY_CHANGE}
    return run_identity(
        **settings,
        weights=weights_digest(scored.backbone if scored.model is None else scored.model),
        train=data_digest(scored.data.train),
        validation=data_digest(scored.data.validation),
        versions=library_versions(),
    )


def _lora_fit(lora: LoraChoice, training: LoraTraining, scoring: ScoringChoice) -> FitConfig:
    """Return the configuration that trains LoRA on a foundation model of series."""
    both: dict[str, Any] = {"batch_size": scoring.batch_size, "seed": scoring.seed}
    return FitConfig(
        method=Lora(lora.options()),
        start=training.start,
        head_training=TrainingConfig(num_train_epochs=training.head_epochs, **both),
        training=TrainingConfig(
            learning_rate=training.learning_rate,
            head_learning_rate=training.head_learning_rate,
            max_steps=training.max_steps,
            **both,
        ),
    )
