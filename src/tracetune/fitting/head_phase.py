"""The first phase of fine-tuning: a head on frozen features, from its first weights or from a solution."""

import copy
import logging
import time
from collections.abc import Iterator
from dataclasses import replace

import numpy as np
import torch
from torch import Tensor, nn

from tracetune.base.errors import InputError
from tracetune.base.module_device import module_device
from tracetune.data.batch_source import Batch, BatchSource, MakesBatches, spread_sample
from tracetune.data.windows import batches
from tracetune.fitting.config import FitConfig
from tracetune.fitting.interpolation import head_path
from tracetune.fitting.names import GRADIENT, KEPT, NONE
from tracetune.fitting.shrinkage import shrink
from tracetune.fitting.trained import History, TrainedHead
from tracetune.tasks.task import Output, Task, TaskModel, TrainingData
from tracetune.training.checkpoints import train
from tracetune.training.config import TrainingConfig
from tracetune.training.feature_cache import cache_batches
from tracetune.training.measure import sample_losses
from tracetune.training.run import Run
from tracetune.training.storage import Storage
from tracetune.training.trainer import TrainedModule, build_trainer

logger = logging.getLogger(__name__)

_MANY = 50_000  # samples; of fewer all have their part in the solution of a head (docs/results/long_series.md)


def train_head(task: Task, model: TaskModel, data: TrainingData, config: FitConfig, run: Run) -> TrainedHead:
    """Train the head of ``model`` in place; its backbone is frozen.

    Features of the frozen backbone are computed once where memory allows, and not at all where ``data`` has them; of
    very many samples for as many only as an epoch of its training has. With
    ``config.head_start == "solved"`` training starts from the task's solution, and returns to it where no later step
    has a lower validation loss. Such a head has no dropout from then on. With "kept" it stays that solution. At the end
    it is moved back towards zero-shot as far as validation says.
    """
    assert model.head is not None, "the first phase needs a head"
    started = time.perf_counter()
    model.eval().requires_grad_(False)
    data = replace(data, train=_seen(data.train, config.head_training)) if data.features is None else data
    training, validation = _features(model, data, config, run)
    model.head.requires_grad_(True)
    solution = None
    if config.head_start != GRADIENT:
        sources = _FeatureBatches(model, data.train, training), _FeatureBatches(model, data.validation, validation)
        solution = _solution(task, model, *sources)
    trained_module: nn.Module = model
    parts = data
    if training is not None and validation is not None:
        trained_module, parts = HeadOnFeatures(model), TrainingData(training, validation)
    history: History = []
    if solution is None or config.head_start != KEPT:
        history = _descend(model, trained_module, parts, config, run, solution)

    def measure() -> np.ndarray:
        return sample_losses(trained_module, parts.validation) if data.guard is None else data.guard.losses(model)

    path = head_path(model) if config.shrink != NONE else None
    shrinkage = None if path is None else shrink(path.go_to, measure, data.compared_groups)
    losses = measure() if shrinkage is None else shrinkage.losses
    return TrainedHead(history, time.perf_counter() - started, losses, shrinkage)


def _descend(
    model: TaskModel,
    trained_module: nn.Module,
    parts: TrainingData,
    config: FitConfig,
    run: Run,
    solution: tuple[float, dict[str, Tensor]] | None,
) -> History:
    """Train the head by gradient descent, and return to the solution where no step is better; returns the log."""
    assert model.head is not None
    trainer = build_trainer(
        TrainedModule(trained_module, model.head, model.labels, model.tokens_per_sample),
        config.head_training,
        parts.train,
        parts.validation,
        run,
    )
    train(trainer)
    best = trainer.state.best_metric
    if solution is not None and (best is None or not best < solution[0]):
        model.head.load_state_dict(solution[1])
    return trainer.state.log_history


class HeadOnFeatures(nn.Module):
    """A head that trains on features computed beforehand; same losses as in its model."""

    accepts_loss_kwargs = False  # otherwise the Trainer adds an argument to the features

    def __init__(self, model: TaskModel) -> None:
        super().__init__()
        self.head = model.head
        self._loss = model.loss

    def forward(self, **features: Tensor) -> Output:
        """Return the losses of features."""
        assert self.head is not None
        return self._loss(self.head(features["tokens"].float()).float(), features)


def _seen(train: BatchSource, training: TrainingConfig) -> BatchSource:
    """Return as many evenly spread samples as one epoch and all steps have, but not fewer than most trainings have."""
    if isinstance(train, MakesBatches):  # whose rows alone do not say all about a batch
        return train
    size = len(train)
    seen = min(training.windows_an_epoch(size), training.total_steps(size) * training.batch_size)
    return spread_sample(train, max(_MANY, seen), training.seed)


def _features(
    model: TaskModel, data: TrainingData, config: FitConfig, run: Run
) -> tuple[BatchSource | None, BatchSource | None]:
    """Return what the head reads of training and validation samples; None where there is no room for it."""
    if data.features is not None:
        return data.features.train, data.features.validation
    storage = Storage(config.cache_bytes, folder=run.folder)
    sources = data.train, data.validation
    with run.counting("features", sum(map(len, sources))) as count:

        def compute(batch: Batch) -> Batch:
            features = model.features(batch)
            count(len(next(iter(batch.values()))))
            return features

        train, validation = (cache_batches(compute, each, device=run.device, storage=storage) for each in sources)
    return train, validation


def _solution(
    task: Task, model: TaskModel, train: "_FeatureBatches", validation: "_FeatureBatches"
) -> tuple[float, dict[str, Tensor]] | None:
    """Return validation loss and weights of the task's solution, which the head now has; None where there is none."""
    assert model.head is not None
    try:
        loss = task.solve_head(model, train, validation)
    except InputError as error:
        logger.warning("The head starts from its first weights instead of a solution: %s", error)
        return None
    if loss is None:
        return None
    _without_dropout(model.head)
    return loss, copy.deepcopy(model.head.state_dict())


def _without_dropout(head: nn.Module) -> None:
    """Switch dropout off: a solution is an optimum without it, and adapters would learn to make up for it."""
    for module in head.modules():
        if isinstance(module, nn.Dropout):
            module.p = 0.0


class _FeatureBatches:
    """Features of all samples in batches, any number of times: from the cache, or else computed each time."""

    def __init__(self, model: TaskModel, source: BatchSource, cached: BatchSource | None) -> None:
        self.model, self.source, self.cached = model, source, cached

    def __iter__(self) -> Iterator[dict[str, Tensor]]:
        device = module_device(self.model)
        if self.cached is not None:
            yield from batches(self.cached, 1024, device)
            return
        for batch in batches(self.source, 256, device):
            with torch.no_grad():
                yield self.model.features(batch)
