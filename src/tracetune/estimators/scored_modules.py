"""For the estimator of each task: the modules to score, and the samples that scores are measured on."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any, Unpack

from torch import nn
from transformers import TrainerCallback

from tracetune.base.errors import InputError
from tracetune.data.reading.read import panel_from_frame
from tracetune.data.reading.sources import ReadingKeywords
from tracetune.estimators.anomaly.anomaly_detector import AnomalyDetector
from tracetune.estimators.anomaly.fit import normal_windows
from tracetune.estimators.anomaly.frames import labelled_panel, require_channels
from tracetune.estimators.classification.classifier import Classifier, labelled_samples
from tracetune.estimators.classification.fit import classifier_config
from tracetune.estimators.forecasting.fit_data import DividedPanel, split_frames
from tracetune.estimators.forecasting.forecaster import Forecaster
from tracetune.estimators.imputation.fit import imputer_data
from tracetune.estimators.imputation.imputer import Imputer
from tracetune.estimators.imputation.record import ImputerRecord
from tracetune.estimators.labelled import checked_samples, class_numbers
from tracetune.estimators.text.fit import text_fit_config
from tracetune.estimators.text.text_classifier import TextClassifier
from tracetune.fitting.config import FitConfig
from tracetune.fitting.fit import tune
from tracetune.fitting.methods.lora import Lora
from tracetune.fitting.names import ZERO_SHOT
from tracetune.fitting.run import Run
from tracetune.selection.layers import lora_modules
from tracetune.tasks.anomaly import AnomalyDetection
from tracetune.tasks.classification import Classification, ClassificationModel
from tracetune.tasks.forecast_data import forecast_data
from tracetune.tasks.forecasting import Forecasting
from tracetune.tasks.labelled_series import LabelledSeries, hold_out
from tracetune.tasks.scales import resampled, usable_scales
from tracetune.tasks.task import Task, TrainingData, task_model_of
from tracetune.training.config import TrainingConfig

Estimator = Forecaster | Classifier | AnomalyDetector | Imputer | TextClassifier

_MOST_WINDOWS = 8192
_FEWEST_MODULES = 3  # to compare rankings of


@dataclass(frozen=True)
class ScoredModules:
    """A model whose modules are scored, or what LoRA is trained on first; and samples.

    Attributes:
        task: whose loss is measured.
        backbone: that LoRA is trained on where nothing was fitted.
        model: that was fitted; None where nothing was.
        trace: the record of the fit.
        name: of the model, for messages.
        data: the scores are those of the validation samples.
        config: how LoRA is trained.
        device: that all of it runs on.
    """

    task: Task
    backbone: Any
    model: nn.Module | None
    trace: dict[str, Any] | None
    name: str
    data: TrainingData
    config: FitConfig
    device: str

    def trained(self, callbacks: Sequence[TrainerCallback] = ()) -> nn.Module:
        """Return the fitted model as it is, or LoRA trained on the backbone, whether or not it is better."""
        if self.model is not None:
            return self.model
        with Run.at(None, self.device, callbacks) as run:
            return tune(self.task, self.backbone, self.data, self.config, run)


def require_modules(model: nn.Module, scored: ScoredModules, compared: bool) -> None:
    """Refuse a model without LoRA modules, or with too few where rankings of them are ``compared``.

    Raises:
        InputError: see above.
    """
    modules = len(lora_modules(model))
    if modules == 0:
        trace = scored.trace or {}
        why = "nothing was trained"
        if trace.get("method") is not None:
            why = f"{trace['winner']!r} did best on validation, out of the method {trace['method']!r}"
        raise InputError(
            f"Expected LoRA modules in {scored.name}, found none: {why}. Give a folder that LoRA or TRACE won, or a "
            "foundation model's name."
        )
    if compared and modules < _FEWEST_MODULES:
        raise InputError(
            f"Expected at least {_FEWEST_MODULES} LoRA modules to compare rankings of, found {modules}. "
            "Leave out --shapley-pairs, or adapt more layers."
        )


def scored_modules(
    estimator: Estimator, data: Any, labels: Any = None, config: FitConfig | None = None, **reading: Any
) -> ScoredModules:
    """Return what is scored of an estimator, and on which part of the data; see `module_importance`."""
    if labels is not None and not isinstance(estimator, (Classifier, TextClassifier)):
        raise InputError(f"{type(estimator).__name__} takes no labels. Leave them out.")
    match estimator:
        case Forecaster():
            validation = "rolling" if config is None else config.validation
            parts = split_frames(
                data, None, estimator.context_length, estimator.prediction_length, validation, **reading
            )
            return of_forecaster(estimator, parts, config)
        case Classifier():
            return of_classifier(estimator, data, labels, config, **reading)
        case AnomalyDetector():
            return of_detector(estimator, data, config, **reading)
        case Imputer():
            return of_imputer(estimator, data, config, **reading)
        case TextClassifier():
            return of_text_classifier(estimator, data, labels, config, **reading)
    raise InputError(f"Expected an estimator of tracetune, found {type(estimator).__name__}.")


def of_forecaster(
    forecaster: Forecaster,
    parts: DividedPanel,
    config: FitConfig | None = None,
) -> ScoredModules:
    """Return what is scored of a forecaster: on the windows of the validation part."""
    config = lora_config() if config is None else config
    model, name = forecaster.forecast_model, forecaster.base_name
    lengths = forecaster.context_length, forecaster.prediction_length
    data = forecast_data(parts.panel, parts.split, *lengths, config.train_stride, parts.min_context, _MOST_WINDOWS)
    quantiles = config.start == ZERO_SHOT and model.zero_shot_quantile_levels is not None
    task = Forecasting(
        forecaster.prediction_length,
        forecaster.context_length,
        name,
        quantile_loss=quantiles,
        resolutions=model.resolutions,
        adjustment=model.adjustment,
    )
    fitted = None if forecaster.trace is None else forecaster.model
    return _scored(forecaster, task, model.backbone, fitted, data, config)


def of_classifier(
    classifier: Classifier,
    data: Any,
    labels: Any = None,
    config: FitConfig | None = None,
    *,
    label_column: str | None = None,
    validation_share: float = 0.25,
    **reading: Unpack[ReadingKeywords],
) -> ScoredModules:
    """Return what is scored of a classifier: on all series where it was fitted, else on those that do not train."""
    config = replace(classifier_config(), method=Lora()) if config is None else config
    trace = classifier.trace
    remembered = None if trace is None else trace["columns"]
    values, given, _ = labelled_samples(data, labels, label_column, reading, remembered)
    series = checked_samples(values, None if trace is None else trace["channels"])
    numbers, classes = class_numbers(given, len(series), None if trace is None else classifier.classes)
    if len(classes) < 2:
        raise InputError(f"Expected series of at least two classes, found only {classes[0]!r}.")
    if trace is None:
        task = Classification(
            len(classes), len(series[0]), classifier.context_length, classifier.base_name, (1.0,) * len(classes)
        )
        head = config.head or task.default_head
        scales = usable_scales(classifier.backbone, head.scales, classifier.context_length)
        samples = LabelledSeries(resampled(series, scales.resolution), numbers)
        found, _ = next(iter(hold_out(samples, 1, validation_share, config.training.seed)))
    else:
        task = Classification(
            len(classes),
            trace["channels"],
            classifier.context_length,
            classifier.base_name,
            tuple(trace["class_weights"]),
        )
        assert classifier.model is not None, "what has a record has a model"
        scales = task_model_of(classifier.model, ClassificationModel).scales
        samples = LabelledSeries(resampled(series, scales.resolution), numbers)
        found = TrainingData(samples, samples)
    return _scored(classifier, task, classifier.backbone, classifier.model, found, config)


def of_detector(
    detector: AnomalyDetector,
    data: Any,
    config: FitConfig | None = None,
    *,
    label_column: str = "label",
    **reading: Any,
) -> ScoredModules:
    """Return what is scored of a detector: how well it rebuilds hidden patches of the last quarter of each series."""
    config = lora_config() if config is None else config
    learned = detector.learned
    known = None if learned is None else learned.reading
    channels = None if learned is None else learned.channels
    panel, _ = labelled_panel(data, None, label_column, channels, known, **reading)
    if channels is not None:
        require_channels(panel, channels)
    backbone = detector.anomaly_model.backbone
    context = None if detector.trace is None else detector.trace["context_length"]
    found, context = normal_windows(panel, backbone, config, context)
    task = AnomalyDetection(context, detector.base_name)
    return _scored(detector, task, backbone, None if detector.trace is None else detector.model, found, config)


def of_imputer(
    imputer: Imputer, data: Any, config: FitConfig | None = None, *, season: int | None = None, **reading: Any
) -> ScoredModules:
    """Return what is scored of an imputer: the errors of steps that are hidden in the validation part."""
    config = lora_config() if config is None else config
    panel = panel_from_frame(data, remembered=imputer.remembered, **reading)
    fitted = None
    if imputer.trace is not None:
        fitted = ImputerRecord.from_json(imputer.trace, "the record")
        if list(panel.channels) != fitted.channels:
            raise InputError(
                f"Expected the channels of the fit, {', '.join(map(repr, fitted.channels))}, found "
                f"{', '.join(map(repr, panel.channels))}. Name them with target."
            )
    found = imputer_data(imputer.base_name, imputer.context_length, panel, config, season=season, fitted=fitted)
    return _scored(imputer, found.task, imputer.backbone, imputer.model, found.data, found.config)


def of_text_classifier(
    classifier: TextClassifier,
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
    return _scored(classifier, found.task, classifier.backbone, classifier.model, found.data, config)


def lora_config() -> FitConfig:
    """Return how LoRA is trained on a foundation model to have something to score: a hundred steps."""
    return FitConfig(method=Lora(), training=TrainingConfig(max_steps=100))


def _scored(
    estimator: Estimator,
    task: Any,
    backbone: Any,
    model: nn.Module | None,
    data: TrainingData,
    config: FitConfig,
) -> ScoredModules:
    return ScoredModules(
        task, backbone, model, estimator.trace, estimator.base_name, data, config, str(estimator.device)
    )
