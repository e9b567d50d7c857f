"""The fit of a classifier: from labelled series to the model that tells them apart, and its record.

Shapes: S samples, C channels, T context, K classes.
"""

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass

import numpy as np
import torch
from torch import nn
from transformers import TrainerCallback

from tracetune.backbones.backbone import Backbone
from tracetune.base.errors import InputError, argument
from tracetune.base.json_types import JsonObject
from tracetune.data.batch_source import BatchSource
from tracetune.data.windows import batches
from tracetune.estimators.labelled import Label
from tracetune.estimators.saved_model import base_of
from tracetune.fitting.config import FitConfig
from tracetune.fitting.cross_fit import CrossFitted, cross_fit
from tracetune.fitting.run import Run
from tracetune.heads.calibration import best_factor
from tracetune.tasks.classification import Classification
from tracetune.tasks.labelled_series import LabelledSeries, hold_out
from tracetune.tasks.scales import resampled, usable_scales

BALANCED = "balanced"
ClassWeights = Mapping[Label, float] | str | None
"""Weight of each class by name, "balanced", or None for 1."""


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
    weights = _class_weights(class_weights, samples)
    channels, classes = len(samples.series[0]), samples.classes
    task = Classification(len(classes), channels, context_length, base_name, weights)
    head = config.head or task.default_head
    scales = usable_scales(backbone, head.scales, context_length)
    source = LabelledSeries(resampled(samples.series, scales.resolution), samples.numbers)
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
        "columns": samples.columns,
        "base_model": asdict(base_of(base_name, fitted.backbone_sha256, fitted.model, tuned_before=False)),
        "data": {"samples": len(source), "folds": len(parts), "held_out": len(held_out)},
    }


def _class_weights(wanted: ClassWeights, samples: LabelledSamples) -> tuple[float, ...]:
    """Return a weight for each class; balanced ones give each class the same sum.

    Raises:
        InputError: another word than "balanced", a class without weight or unknown, or a weight that is not positive.
    """
    classes = samples.classes
    if wanted is None:
        return (1.0,) * len(classes)
    if isinstance(wanted, str):
        if wanted != BALANCED:
            raise InputError(
                f"Expected {argument('class_weights')} {BALANCED!r} or a weight for each class, found {wanted!r}."
            )
        counts = np.bincount(samples.numbers, minlength=len(classes))
        return tuple((len(samples.numbers) / len(classes) / counts).tolist())
    found = {str(name): weight for name, weight in wanted.items()}
    if set(found) != set(classes):
        raise InputError(
            f"Expected {argument('class_weights')} of the classes {', '.join(classes)}, found {', '.join(found)}."
        )
    weights = tuple(float(found[name]) for name in classes)
    if not all(np.isfinite(weight) and weight > 0 for weight in weights):
        raise InputError(f"Expected {argument('class_weights')} above 0, found {wanted}.")
    return weights


def class_logits(model: nn.Module, source: BatchSource, *, device: str, batch_size: int = 256) -> np.ndarray:
    """Return logits [S, K] of series, or of a head's features of them, float64."""
    model.eval()
    with torch.inference_mode():
        found = [model(**batch).logits for batch in batches(source, batch_size, device)]
    return torch.cat(found).double().cpu().numpy()
