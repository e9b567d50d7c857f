"""The fit of a text classifier: default settings, and the record of the fit."""

from collections.abc import Sequence
from dataclasses import asdict
from typing import TYPE_CHECKING

from transformers import TrainerCallback

from tracetune.backbones.text_encoder import TextEncoder
from tracetune.base.json_types import JsonObject
from tracetune.estimators.class_logits import class_logits
from tracetune.estimators.named_classes import classes_never_named
from tracetune.estimators.saved_model import base_of
from tracetune.fitting.config import PERIODS, FitConfig, refuse_unread
from tracetune.fitting.fit import Fitted, fit
from tracetune.fitting.methods.method import Method, method_named
from tracetune.fitting.names import NONE
from tracetune.tasks.text import LabelledTexts
from tracetune.training.config import TrainingConfig
from tracetune.training.run import Run

if TYPE_CHECKING:
    from tracetune.estimators.text.fit_texts import FitTexts


def text_fit_config(method: Method | str = "trace", seed: int = 0) -> FitConfig:
    """Return the default settings for texts: three epochs in batches of 16, from a solved head.

    Texts have no periods, and validation texts are like later ones, so that what was trained is not shrunk.
    """
    return FitConfig(
        method=method_named(method) if isinstance(method, str) else method,
        shrink=NONE,
        head_training=TrainingConfig(num_train_epochs=10, seed=seed),
        training=TrainingConfig(num_train_epochs=3, batch_size=16, evaluations=6, seed=seed),
    )


def fit_text_classifier(
    encoder: TextEncoder,
    base_name: str,
    max_length: int,
    texts: "FitTexts",
    config: FitConfig,
    device: str,
    callbacks: Sequence[TrainerCallback],
) -> tuple[Fitted, JsonObject]:
    """Fine-tune, see `TextClassifier.fit`; returns what was fitted, and its record as in trace.json."""
    refuse_unread(config, "texts, of which a share of each class is held out", *PERIODS)
    with Run.at(config.checkpoints, device, callbacks, restart=config.restart) as run:
        fitted = fit(texts.task, encoder, texts.data, config, run)
    held_out = texts.data.validation
    assert isinstance(held_out, LabelledTexts), "as texts are tokenised"
    logits = class_logits(fitted.model, held_out, device=device, batch_size=config.training.batch_size)
    return fitted, {
        **fitted.record.to_json(),
        "classes": texts.classes,
        "max_length": max_length,
        "layers": encoder.layers,
        "longest": texts.task.longest,
        "pairs": texts.pairs,
        "text_columns": [] if texts.columns is None else list(texts.columns.texts),
        "never_named": classes_never_named(logits, held_out.labels.numpy(), texts.classes),
        "class_weights": list(texts.task.class_weights),
        "label_column": None if texts.columns is None else texts.columns.label,
        "base_model": asdict(base_of(base_name, fitted.backbone_sha256, fitted.model, tuned_before=False)),
        "data": {
            "train_samples": len(texts.data.train),
            "validation_samples": len(texts.data.validation),
            "cut": texts.cut,
            "repeated": texts.repeated,
        },
    }
