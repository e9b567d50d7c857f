"""Fine-tune a model on the normal part of a panel."""

import logging
from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import partial

import numpy as np
from transformers import TrainerCallback

from tracetune.backbones.backbone import Backbone, MaskedBackbone
from tracetune.base.errors import InputError, Remark, argument, unknown_name
from tracetune.base.json_types import JsonObject
from tracetune.data.panels import Panel
from tracetune.estimators.anomaly.normal_scoring import NormalScoring
from tracetune.estimators.anomaly.planted_guard import planted_guard
from tracetune.fitting.config import FitConfig, refuse_unread
from tracetune.fitting.fit import Fitted, fit
from tracetune.fitting.names import HEAD, ZERO_SHOT
from tracetune.tasks.anomaly.hidden_patches import normal_data, trained_context, validation_start
from tracetune.tasks.anomaly.model import LOSSES, METRIC, AnomalyDetection, require_rebuilding
from tracetune.tasks.anomaly.neighbouring_windows import neighbouring_data
from tracetune.tasks.anomaly.scores.scaling import Scaling
from tracetune.tasks.anomaly.scores.scorer import Scorer
from tracetune.tasks.anomaly.scores.sliding import window_widths
from tracetune.tasks.anomaly.window_embeddings import resampled
from tracetune.tasks.task import TrainingData
from tracetune.training.run import Run

logger = logging.getLogger(__name__)

PLANTED, LOSS = "planted", "loss"
"""Values of ``compared_by`` in a record: candidates are compared by planted anomalies, or by the training loss."""


@dataclass(frozen=True, eq=False)
class NormalPart:
    """The normal part of a panel as training data.

    Attributes:
        data: samples that train and that validate.
        context_length: T of the model.
        borders: how many first steps of each series train.
    """

    data: TrainingData
    context_length: int
    borders: tuple[int, ...]


@dataclass(frozen=True, eq=False)
class FittedNormalPart:
    """A model that was fine-tuned, or not, whichever is better.

    Attributes:
        fitted: the model and the record of the fit.
        trained_steps: how many first steps of each series it was trained on; None where it is the backbone as it was.
        trace: its record, as in trace.json.
    """

    fitted: Fitted
    trained_steps: tuple[int, ...] | None
    trace: JsonObject


def fit_normal_part(
    panel: Panel,
    backbone: Backbone,
    name: str,
    config: FitConfig,
    device: str,
    *,
    loss: str,
    scoring: NormalScoring,
    callbacks: Sequence[TrainerCallback] = (),
) -> FittedNormalPart:
    """Return the better of the backbone as it is and fine-tuned, by the anomalies that the scorer finds with either.

    The anomalies are planted in the last quarter of every series, which does not train. Where it has no room for them,
    losses on it are compared.

    Args:
        panel: the normal parts.
        backbone: to fine-tune; it is not changed.
        name: of the backbone.
        config: how to fine-tune.
        device: where it is trained.
        loss: "reconstruction" or "metric", see `AnomalyDetection`.
        scoring: by what anomalies are looked for.
        callbacks: Trainer callbacks.

    Raises:
        InputError: a backbone that rebuilds nothing, series too short, or an unusable configuration.
    """
    config = config_of_loss(config, loss)
    part = normal_samples(panel, backbone, config, loss, scoring.scorer)
    raw = [series.values for series in panel]
    task = AnomalyDetection(part.context_length, name, loss)
    model = task.zero_shot(backbone)
    guard = planted_guard(raw, part.borders, scoring.scorer, scoring.contamination, model, config.training.seed)
    if guard is None:
        logger.warning(
            Remark(
                "The normal part is too short to look for planted anomalies in its last quarter: whether fine-tuning "
                f"helps to find any is not known, and models are compared by the loss {loss!r}."
            )
        )
    with Run.at(config.checkpoints, device, callbacks, restart=config.restart) as run:
        fitted = fit(task, backbone, replace(part.data, guard=guard), config, run)
    trace = {
        **fitted.record.to_json(),
        "context_length": part.context_length,
        "loss": loss,
        "compared_by": LOSS if guard is None else PLANTED,
        "planted_anomalies": 0 if guard is None else len(guard.cases),
    }
    return FittedNormalPart(fitted, None if fitted.record.winner == ZERO_SHOT else part.borders, trace)


def normal_samples(
    panel: Panel,
    backbone: Backbone,
    config: FitConfig,
    loss: str,
    scorer: Scorer | None = None,
    context_length: int | None = None,
) -> NormalPart:
    """Return the samples of a normal part that a loss needs.

    Args:
        panel: the normal part.
        backbone: that is trained on them.
        config: how many samples validate, and what fixes them.
        loss: "reconstruction" (windows with hidden patches) or "metric" (windows with their neighbours).
        scorer: whose windows are embedded, by the loss "metric"; None takes windows of the default widths.
        context_length: T of windows with hidden patches; None takes what the backbone and the lengths allow.

    Raises:
        InputError: an unknown loss, series too short for it, a backbone that rebuilds nothing, or a setting that
            detectors do not read.
    """
    if loss not in LOSSES:
        raise unknown_name("loss", loss, LOSSES)
    refuse_unread(config, "anomaly detection, whose last quarter validates", "train_stride", "validation")
    values = [np.stack([Scaling.of(row).scaled(row) for row in series.values]) for series in panel]
    seed, most = config.training.seed, config.validation_windows
    if loss == METRIC:
        borders = tuple(length - length // 4 for length in panel.lengths)
        given: tuple[int, ...] | None = getattr(scorer, "widths", None)

        def widths(row: np.ndarray) -> Sequence[int]:
            return window_widths(row) if given is None else given

        data = neighbouring_data(values, borders, widths, partial(resampled, backbone=backbone), most, seed)
        return NormalPart(data, backbone.context_length, borders)
    require_rebuilding(backbone)
    assert isinstance(backbone, MaskedBackbone)
    patch_length = backbone.token_to_patch.out_features
    context = trained_context(panel.lengths, context_length or backbone.context_length, patch_length)
    borders = tuple(validation_start(length, context) for length in panel.lengths)
    return NormalPart(normal_data(values, context, patch_length, most, seed), context, borders)


def config_of_loss(config: FitConfig, loss: str) -> FitConfig:
    """Return the configuration for a loss; embeddings have no head, so that the metric trains on from zero-shot.

    Raises:
        InputError: a head is asked for.
    """
    if loss != METRIC:
        return config
    if not config.method.adapts_backbone:
        raise InputError(
            f"{argument('loss', METRIC)} trains the embeddings, and the method {config.method.name!r} only a head on "
            "them. Use 'trace' or 'lora'."
        )
    if config.start == HEAD:
        raise InputError(
            f"{argument('start', HEAD)} has no meaning with {argument('loss', METRIC)}: embeddings have no head. Leave "
            "it out."
        )
    return replace(config, start=ZERO_SHOT)
