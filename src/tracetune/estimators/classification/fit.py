"""The fit of a classifier: from labelled series to the model that tells them apart, and its record.

Shapes: S samples, C channels, T context, K classes.
"""

from collections.abc import Sequence
from dataclasses import asdict, dataclass

import numpy as np
from torch import nn
from transformers import TrainerCallback

from tracetune.backbones.backbone import Backbone
from tracetune.base.errors import InputError, argument
from tracetune.base.json_types import JsonObject
from tracetune.data.batch_source import BatchSource
from tracetune.estimators.class_logits import class_logits
from tracetune.estimators.class_weights import ClassWeights, weights_of_classes
from tracetune.estimators.named_classes import classes_never_named
from tracetune.estimators.saved_model import base_of
from tracetune.fitting.config import PERIODS, FitConfig, refuse_unread
from tracetune.fitting.cross_fit import CrossFitted, cross_fit
from tracetune.heads.solvers.calibration import best_factor
from tracetune.tasks.classification.model import Classification
from tracetune.tasks.classification.scales import resampled, usable_scales
from tracetune.tasks.labelled_series import LabelledSeries, hold_out
from tracetune.training.run import Run


def checked_context(backbone: Backbone, context_length: int | None) -> int:
    """Return T, the backbone's where none is asked for.

    Raises:
        InputError: below 1.
    """
    if context_length is not None and context_length < 1:
        raise InputError(f"Expected {argument('context_length')} of at least 1, found {context_length}.")
    return backbone.context_length if context_length is None else context_length


@dataclass(frozen=True, eq=False)
class LabelledSamples:
    """Labelled series to learn from.

    Attributes:
        series: [S] arrays [C, L].
        numbers: [S] of their classes.
        classes: names.
        columns: of the table that they come from.
    """

    series: list[np.ndarray]
    numbers: np.ndarray
    classes: list[str]
    columns: JsonObject


def fit_classifier(
    backbone: Backbone,
    base_name: str,
    context_length: int,
    samples: LabelledSamples,
    config: FitConfig,
    device: str,
    *,
    validation_share: float,
    folds: int | None,
    class_weights: ClassWeights,
    callbacks: Sequence[TrainerCallback],
) -> tuple[CrossFitted, JsonObject]:
    """Fine-tune, see `Classifier.fit`; returns what was fitted, and its record as in trace.json."""
    refuse_unread(config, "classification, whose folds say what is held out", *PERIODS)
    weights = weights_of_classes(class_weights, samples.numbers, samples.classes)
    channels, classes = len(samples.series[0]), samples.classes
    task = Classification(len(classes), channels, context_length, base_name, weights)
    head = config.head or task.default_head
    scales = usable_scales(backbone, head.scales, context_length)
    source = LabelledSeries(resampled(samples.series, scales.resolution), samples.numbers)
    task = task.having_seen(source.values, head)
    parts = list(hold_out(source, folds, validation_share, config.training.seed))
    held_out = np.concatenate([rows for _, rows in parts])

    def outputs(model: nn.Module, part: BatchSource) -> np.ndarray:
        return class_logits(model, part, device=device)

    with Run.at(config.checkpoints, device, callbacks, restart=config.restart) as run:
        fitted = cross_fit(task, backbone, source, parts, outputs, config, run)
    truth = samples.numbers[held_out]
    factor = best_factor(fitted.outputs, truth, np.array(weights)[truth])
    return fitted, {
        **fitted.record.to_json(),
        "classes": classes,
        "channels": channels,
        "context_length": context_length,
        "temperature": 1 / factor,
        "class_weights": list(weights),
        "never_named": classes_never_named(fitted.outputs, truth, classes),
        "columns": samples.columns,
        "base_model": asdict(base_of(base_name, fitted.backbone_sha256, fitted.model, tuned_before=False)),
        "data": {"samples": len(source), "folds": len(parts), "held_out": len(held_out)},
    }
