"""The state of an anomaly detector: how it is loaded, and how a new one is fitted from it."""

import copy
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path

import torch
from torch import nn
from transformers import TrainerCallback

from tracetune.adapters.lora import add_head_only
from tracetune.backbones.backbone import Backbone
from tracetune.backbones.loading import load_backbone, weights_digest
from tracetune.base.device import resolve_device
from tracetune.base.json_types import JsonObject
from tracetune.data.panels import Panel
from tracetune.estimators.anomaly.fit import fit_normal_part
from tracetune.estimators.anomaly.learning import learn
from tracetune.estimators.anomaly.normal_scoring import NormalScoring
from tracetune.estimators.anomaly.record import Learned, SavedDetector
from tracetune.estimators.saved_model import base_of, is_saved_model, load_model, read_saved_model, saved_arrays
from tracetune.fitting.config import FitConfig
from tracetune.fitting.trained import History
from tracetune.tasks.anomaly.model import AnomalyDetection, AnomalyModel
from tracetune.tasks.task import task_model_of


@dataclass(frozen=True, eq=False)
class DetectorState:
    """The state of an anomaly detector.

    Attributes:
        model: an AnomalyModel, or one with adapters.
        base_name: name or folder of the foundation model that it is, or was tuned from.
        learned: the normal parts of its items; None for a foundation model as it was loaded.
        trace: its record, as in trace.json; likewise.
        history: the Trainer's log of each phase of its fit, if it was just fitted.
    """

    model: nn.Module
    base_name: str
    learned: Learned | None = None
    trace: JsonObject | None = None
    history: Mapping[str, History] = field(default_factory=dict)


def load_detector(
    name_or_folder: str | Path, base: str | Path | Backbone | None, device: str | torch.device
) -> DetectorState:
    """Return a foundation model by name, or a detector that was saved; see `AnomalyDetector.from_pretrained`."""
    if not is_saved_model(name_or_folder):
        name, backbone = str(name_or_folder), load_backbone(name_or_folder)
        return DetectorState(AnomalyDetection(backbone.context_length, name).zero_shot(backbone), name)
    saved = read_saved_model(name_or_folder, AnomalyDetection.name, SavedDetector.from_json)
    name = saved.base_model.name

    def build(backbone: Backbone) -> AnomalyModel:
        task = AnomalyDetection(saved.content.context_length, name)
        return task.zero_shot(backbone) if saved.content.head is None else task.model(backbone, None)

    model = load_model(saved, build, base).to(resolve_device(device))
    learned = saved.content.learned(saved_arrays(saved), task_model_of(model, AnomalyModel))
    return DetectorState(model, name, learned, saved.record)


def fit_detector(
    model: AnomalyModel,
    base_name: str,
    panel: Panel,
    config: FitConfig | None,
    device: str,
    *,
    loss: str,
    scoring: NormalScoring,
    label_column: str,
    labelled: bool,
    callbacks: Sequence[TrainerCallback],
) -> DetectorState:
    """Learn the normal part of a panel, see `AnomalyDetector.fit`; ``model`` stays as it is.

    Args:
        model: a foundation model.
        base_name: its name or folder.
        panel: the normal parts.
        config: how the model is fine-tuned on them; None leaves it as it is.
        device: where it is trained, and scores.
        loss: that it is fine-tuned by.
        scoring: by what, and how rare false alarms are to be.
        label_column: of tables, no channel.
        labelled: whether there were labels.
        callbacks: Trainer callbacks.
    """
    tuned: nn.Module = add_head_only(copy.deepcopy(model))
    trace: JsonObject = {"method": None, "head": None, "context_length": model.backbone.context_length}
    history: Mapping[str, History] = {}
    trained = None
    if config is None:
        digest = weights_digest(model.backbone)
    else:
        parts = panel, model.backbone, base_name, config, device
        found = fit_normal_part(*parts, loss=loss, scoring=scoring, callbacks=callbacks)
        fitted, trained, trace = found.fitted, found.trained_steps, found.trace
        tuned, history, digest = fitted.model, fitted.record.history, fitted.backbone_sha256
    trace["base_model"] = asdict(base_of(base_name, digest, tuned, tuned_before=False))
    learned = learn(panel, task_model_of(tuned.to(device).eval(), AnomalyModel), scoring, trained)
    return DetectorState(
        tuned, base_name, replace(learned, label_column=label_column, labelled=labelled), trace, history
    )
