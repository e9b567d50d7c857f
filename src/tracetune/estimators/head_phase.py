"""The first phase of fine-tuning: a head on frozen features, from random weights or from a closed form."""

import copy
import logging
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn
from transformers import TrainerCallback

from tracetune.base.errors import InputError
from tracetune.data.windows import BatchSource
from tracetune.estimators.methods import FitConfig
from tracetune.heads.ridge import fit_ridge
from tracetune.tasks.forecast_data import ForecastData, batches, validation_loss
from tracetune.tasks.forecasting import ForecastModel, HeadOnFeatures, frozen_features
from tracetune.training.feature_cache import CachedBatches, cache_batches
from tracetune.training.storage import Storage
from tracetune.training.trainer import build_trainer, last_checkpoint

logger = logging.getLogger(__name__)


def train_head(
    model: ForecastModel,
    data: ForecastData,
    config: FitConfig,
    folder: Path,
    device: str,
    callbacks: Sequence[TrainerCallback],
) -> tuple[list[dict[str, Any]], float]:
    """Train the head in place; returns the Trainer's log and the validation loss.

    Features of the frozen backbone are computed once where memory allows. With ``config.head_start == "ridge"``
    training starts from the closed form, and returns to it where no later step has a lower validation loss. Such a head
    has no dropout from then on.
    """
    assert model.head is not None, "the first phase needs a head"
    model.eval().requires_grad_(False)
    storage = Storage(config.cache_bytes, folder=folder)
    train, validation = (_cached(model, windows, storage, device) for windows in (data.train, data.validation))
    model.head.requires_grad_(True)
    closed_form = None
    if config.head_start == "ridge":
        features = _Features(model, data.train, train), _Features(model, data.validation, validation)
        closed_form = _closed_form(model, *features)
    trains: nn.Module = model
    parts: tuple[BatchSource, BatchSource] = data.train, data.validation
    if train is not None and validation is not None:
        trains, parts = HeadOnFeatures(model.head), (train, validation)
    trainer = build_trainer(
        trains,
        config.head_training,
        *parts,
        folder,
        head=model.head,
        callbacks=callbacks,
        device=device,
        tokens_per_window=model.backbone.num_patches(model.context_length),
    )
    trainer.train(resume_from_checkpoint=last_checkpoint(folder))
    if closed_form is not None and not (trainer.state.best_metric or float("inf")) < closed_form[0]:
        model.head.load_state_dict(closed_form[1])
    return trainer.state.log_history, validation_loss(trains, parts[1])


def _cached(model: ForecastModel, windows: BatchSource, storage: Storage, device: str) -> CachedBatches | None:
    return cache_batches(lambda batch: frozen_features(model, batch), windows, device=device, storage=storage)


def _closed_form(
    model: ForecastModel, train: "_Features", validation: "_Features"
) -> tuple[float, dict[str, Any]] | None:
    """Validation loss and weights of the ridge solution, which the head now has; None where there is none."""
    head = model.head
    assert head is not None, "the first phase needs a head"
    try:
        fit = fit_ridge(head, train, validation, kept_directions=model.own_directions)
    except InputError as error:
        logger.warning("The head starts from its first weights instead of the closed form: %s", error)
        return None
    _without_dropout(head)
    return fit.validation_loss, copy.deepcopy(head.state_dict())


def _without_dropout(head: nn.Module) -> None:
    """Train on as the closed form was fitted: with dropout it is no optimum, and adapters learn to make up for that."""
    for module in head.modules():
        if isinstance(module, nn.Dropout):
            module.p = 0.0


class _Features:
    """Features of windows in batches, as often as one likes: from the cache, or else computed again each time."""

    def __init__(self, model: ForecastModel, windows: BatchSource, cached: CachedBatches | None) -> None:
        self.model, self.windows, self.cached = model, windows, cached

    def __iter__(self) -> Iterator[dict[str, Tensor]]:
        device = next(self.model.parameters()).device
        if self.cached is not None:
            yield from batches(self.cached, 1024, device)
            return
        for batch in batches(self.windows, 256, device):
            with torch.no_grad():
                yield frozen_features(self.model, batch)
