"""Fitting an imputer: from a panel with gaps to the model that fills them, and its record."""

from collections.abc import Sequence
from dataclasses import asdict

import numpy as np
from transformers import TrainerCallback

from tracetune.backbones.backbone import Backbone
from tracetune.base.json_types import JsonObject
from tracetune.data.panels import Panel
from tracetune.estimators.imputation.filling import filled_series
from tracetune.estimators.imputation.gap_errors import gap_errors
from tracetune.estimators.imputation.gap_intervals import GapIntervals, gap_intervals
from tracetune.estimators.imputation.imputer_data import imputer_data
from tracetune.estimators.imputation.record import changes_per_deviation, item_scales
from tracetune.estimators.saved_model import base_of
from tracetune.fitting.config import FitConfig
from tracetune.fitting.fit import Fitted, fit
from tracetune.tasks.imputation.data import scaled_values
from tracetune.tasks.imputation.model import Imputation, ImputationModel
from tracetune.tasks.task import task_model_of
from tracetune.training.run import Run


def fit_imputer(
    backbone: Backbone,
    base_name: str,
    context_length: int,
    panel: Panel,
    config: FitConfig,
    device: str,
    *,
    season: int | None,
    callbacks: Sequence[TrainerCallback],
) -> tuple[Fitted, JsonObject]:
    """Fine-tune, see `Imputer.fit`; returns what was fitted, and its record as in trace.json."""
    found = imputer_data(base_name, context_length, panel, config, season=season)
    task, data, config = found.task, found.data, found.config
    with Run.at(config.checkpoints, device, callbacks, restart=config.restart) as run:
        fitted = fit(task, backbone, data, config, run)
    return fitted, {
        **fitted.record.to_json(),
        "channels": list(panel.channels),
        "context_length": context_length,
        "season": task.season,
        "related": [list(row) for row in task.related],
        "rule": task_model_of(fitted.model, ImputationModel).rule,
        "changes": changes_per_deviation(panel, found.scalers),
        "scales": {item: asdict(scale) for item, scale in item_scales(panel, found.scalers).items()},
        "intervals": _intervals(fitted, task, scaled_values(panel, found.scalers), device).to_dict(),
        "reading": panel.origin.reading or {},
        "base_model": asdict(base_of(base_name, fitted.backbone_sha256, fitted.model, tuned_before=False)),
        "data": {"items": len(panel), "train_windows": len(data.train), "validation_windows": len(data.validation)},
    }


def _intervals(fitted: Fitted, task: Imputation, series: Sequence[np.ndarray], device: str) -> GapIntervals:
    """Return the quantiles of the errors of a model on gaps that are hidden in the series it was fitted on."""
    related = task.channels > 1 and task_model_of(fitted.model, ImputationModel).head is not None

    def fill(values: np.ndarray, wanted: np.ndarray, number: int) -> np.ndarray:
        return filled_series(fitted.model, values, task.context_length, related, device, wanted=wanted, per_context=2)

    return gap_intervals(gap_errors(fill, series, related=related))
