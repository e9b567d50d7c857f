"""Modules of a classifier to score for importance, and the series that scores are measured on."""

from dataclasses import replace
from typing import Any, Unpack

from tracetune.backbones.backbone import Backbone
from tracetune.data.reading.sources import ReadingKeywords
from tracetune.estimators.backbone_estimator import BackboneEstimator
from tracetune.estimators.classification.config import classifier_config
from tracetune.estimators.classification.labelled_tables import is_table, labelled_samples
from tracetune.estimators.classification.record import ClassifierRecord
from tracetune.estimators.labelled import checked_samples, class_numbers, require_classes
from tracetune.estimators.scored_modules import ScoredModules, scored
from tracetune.fitting.config import PERIODS, FitConfig, refuse_unread
from tracetune.fitting.methods.lora import Lora
from tracetune.tasks.classification.model import Classification, ClassificationModel
from tracetune.tasks.classification.scales import resampled, usable_scales
from tracetune.tasks.labelled_series import LabelledSeries, hold_out
from tracetune.tasks.task import TrainingData, task_model_of


def scored_classifier(
    classifier: BackboneEstimator[Backbone, ClassifierRecord],
    context_length: int,
    data: Any,
    labels: Any = None,
    config: FitConfig | None = None,
    *,
    label_column: str | None = None,
    validation_share: float = 0.25,
    **reading: Unpack[ReadingKeywords],
) -> ScoredModules:
    """Return the modules of a classifier to score, on all series where it was fitted, else on held-out ones."""
    config = replace(classifier_config(), method=Lora()) if config is None else config
    refuse_unread(config, "classification, of which a share of each class is held out", *PERIODS)
    record = classifier.record
    values, given, _ = labelled_samples(data, labels, label_column, reading, None if record is None else record.columns)
    series = checked_samples(values, None if record is None else record.channels, of_table=is_table(data))
    numbers, classes = class_numbers(given, len(series), None if record is None else record.classes)
    require_classes(classes, "series")
    if record is None:
        channels, name = len(series[0]), classifier.base_name
        task = Classification(len(classes), channels, context_length, name, (1.0,) * len(classes))
        head = config.head or task.default_head
        scales = usable_scales(classifier.backbone, head.scales, context_length)
        samples = LabelledSeries(resampled(series, scales.resolution), numbers)
        task = task.having_seen(samples.values, head)
        train, held_out = next(hold_out(samples, 1, validation_share, config.training.seed))
        found = TrainingData(samples.rows(train), samples.rows(held_out))
    else:
        task = record.task(classifier.base_name)
        assert classifier.model is not None, "what has a record has a model"
        scales = task_model_of(classifier.model, ClassificationModel).scales
        samples = LabelledSeries(resampled(series, scales.resolution), numbers)
        found = TrainingData(samples, samples)
    return scored(classifier, task, classifier.backbone, classifier.model, found, config)
