"""Fine-tune a model on the normal part of a panel."""

from collections.abc import Sequence

import numpy as np
from transformers import TrainerCallback

from tracetune.backbones.backbone import Backbone, MaskedBackbone
from tracetune.data.panels import Panel
from tracetune.fitting.config import FitConfig
from tracetune.fitting.fit import Fitted, fit
from tracetune.fitting.run import Run
from tracetune.tasks.anomaly import AnomalyDetection, normal_data, require_rebuilding, trained_context
from tracetune.tasks.anomaly_scores.scaling import Scaling
from tracetune.tasks.task import TrainingData


def fit_normal_part(
    panel: Panel,
    backbone: Backbone,
    name: str,
    config: FitConfig,
    device: str,
    callbacks: Sequence[TrainerCallback] = (),
) -> tuple[Fitted, int]:
    """Return the better of the backbone as it is and fine-tuned, and the steps T of its training windows.

    Hidden patches of the normal part are rebuilt; the last quarter of every series validates.

    Raises:
        InputError: a backbone that rebuilds nothing, series too short, or an unusable configuration.
    """
    data, context = normal_windows(panel, backbone, config)
    task = AnomalyDetection(context, name)
    with Run.at(config.checkpoints, device, callbacks, restart=config.restart) as run:
        return fit(task, backbone, data, config, run), context


def normal_windows(
    panel: Panel, backbone: Backbone, config: FitConfig, context_length: int | None = None
) -> tuple[TrainingData, int]:
    """Return windows of a normal part with hidden patches, and their steps T.

    Args:
        panel: the normal part.
        backbone: whose patches are hidden.
        config: how many windows validate, and what fixes them.
        context_length: T; None takes what the backbone and the lengths allow.

    Raises:
        InputError: series too short, or a backbone that rebuilds nothing.
    """
    require_rebuilding(backbone)
    assert isinstance(backbone, MaskedBackbone)
    patch_length = backbone.token_to_patch.out_features
    context = trained_context(panel.lengths, context_length or backbone.context_length, patch_length)
    values = [np.stack([Scaling.of(row).scaled(row) for row in series.values]) for series in panel]
    return normal_data(values, context, patch_length, config.validation_windows, config.training.seed), context
