"""Fine-tuning where samples are few: parts are held out in turn, all of them choose, and then all samples train.

Shapes: S samples held out, in the order of the folds.
"""

import copy
import logging
import time
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace

import numpy as np
from torch import nn

from tracetune.adapters.lora import linear_layers
from tracetune.backbones.backbone import Backbone
from tracetune.base.errors import Remark, argument
from tracetune.base.seeds import seed_everything
from tracetune.data.batch_source import BatchSource, chosen_rows
from tracetune.evaluation.periods import SampleGroups
from tracetune.fitting.adapter_phase import train_adapters
from tracetune.fitting.candidates import Candidate, Candidates
from tracetune.fitting.config import FitConfig
from tracetune.fitting.fit import compete, try_rates, with_separate_backbone
from tracetune.fitting.frozen_task import FrozenTask
from tracetune.fitting.head_phase import HeadOnFeatures, train_head
from tracetune.fitting.identity import fit_identity
from tracetune.fitting.interpolation import adapter_path
from tracetune.fitting.learning_rate import at_rate, with_rate
from tracetune.fitting.method_phase import check_method
from tracetune.fitting.names import GRADIENT, HEAD, KEPT
from tracetune.fitting.record import FitRecord
from tracetune.fitting.trained import Shrinkage, TrainedAdapters, TrainedHead, TriedRate
from tracetune.tasks.task import Task, TaskModel, TrainingData
from tracetune.training.config import AUTO
from tracetune.training.ends_at_step import EndsAtStep
from tracetune.training.feature_cache import cache_batches
from tracetune.training.measure import validation_loss
from tracetune.training.run import Run
from tracetune.training.storage import Storage

logger = logging.getLogger(__name__)

Fold = tuple[np.ndarray, np.ndarray]
"""Rows that train, and rows that are held out."""


@dataclass(frozen=True, eq=False)
class CrossFitted:
    """Result of a fit that held out parts in turn.

    Attributes:
        model: the winner, trained on all samples; a PEFT model, or a plain task model after full fine-tuning.
        record: how it came about; losses are those of held-out samples.
        backbone_sha256: digest of the backbone that it was fitted from.
        outputs: what the winner's models said of the samples that they had not seen, [S, ...].
    """

    model: nn.Module
    record: FitRecord
    backbone_sha256: str
    outputs: np.ndarray


@dataclass
class _HeldOut:
    """Losses and outputs of one candidate, fold after fold."""

    losses: list[np.ndarray] = field(default_factory=list)
    outputs: list[np.ndarray] = field(default_factory=list)
    shrinkages: list[Shrinkage] = field(default_factory=list)

    def add(self, candidate: Candidate, outputs: np.ndarray) -> None:
        self.losses.append(candidate.losses)
        self.outputs.append(outputs)
        if candidate.shrinkage is not None:
            self.shrinkages.append(candidate.shrinkage)

    def shrinkage(self) -> Shrinkage | None:
        """Return the mean factor, and the losses of all folds, each with the factor of its fold."""
        if not self.shrinkages:
            return None
        in_every_fold = sorted(set.intersection(*(set(each.tried) for each in self.shrinkages)))
        tried = {factor: _mean([each.tried[factor] for each in self.shrinkages]) for factor in in_every_fold}
        factor = float(np.mean([each.factor for each in self.shrinkages]))
        ended_early = all(each.ended_early for each in self.shrinkages)
        return Shrinkage(factor, np.concatenate(self.losses), tried, ended_early)


def cross_fit(
    task: Task,
    backbone: Backbone,
    samples: BatchSource,
    folds: Sequence[Fold],
    outputs: Callable[[nn.Module, BatchSource], np.ndarray],
    config: FitConfig,
    run: Run,
) -> CrossFitted:
    """Let head and method compete on what each fold holds out; train the winner on all samples.

    On all samples a head that has a solution keeps it, and the method trains up to the share of its steps at which it
    was best on the folds and is moved back towards its start by their mean factor; what it asks of validation samples,
    such as scores of modules, it asks of the training samples then. No sample is left to measure that model by: where
    its loss on the samples that it trained on is not below that of the head, its training has failed, and the head is
    taken, with a warning. The backbone stays as it is. A learning rate of "auto" is the one whose short trainings have
    the lowest loss over all folds.

    Args:
        task: has no zero-shot model.
        backbone: see `fit`.
        samples: all of them. Features of the frozen backbone are computed once, and serve all folds.
        folds: rows of them that train, and rows that are held out.
        outputs: returns what a model says of samples.
        config: how to fine-tune; its ``start`` is the head.
        run: see `fit`; each fold is a part of it.

    Raises:
        InputError: as `fit`.
    """
    config = with_rate(config, task)
    with FrozenTask.of(task, backbone) as frozen:
        check_method(linear_layers(backbone), config, min(len(train) for train, _ in folds))
        given, begun = config, time.perf_counter()
        features = _features(frozen.model(config.head).to(run.device), samples, config, run)
        feature_seconds = time.perf_counter() - begun
        parts = [_of_fold(samples, features, fold) for fold in folds]
        begun = time.perf_counter()
        rates = _tried_rates(frozen, parts, config, run)
        rate_seconds = time.perf_counter() - begun
        if rates:
            config = at_rate(config, min(rates, key=lambda each: each.loss).learning_rate)
        held_out, heads, methods = _compete_on_folds(frozen, parts, outputs, config, run)
        pooled = _pooled(held_out, parts, samples, config)
        winner = pooled.best()
        everything = TrainingData(
            samples, samples, features=None if features is None else TrainingData(features, features)
        )
        share = float(np.mean([each.best_share for each in methods])) if methods else 1.0
        model, last_head, last_method = _train_on_all(frozen, everything, winner, share, config, run.part("all"))
        if last_method is not None and not _is_below(model, last_head, samples):
            pooled.refuse(winner.name)
            winner = pooled.best()
            model, last_head, _ = _train_on_all(frozen, everything, winner, share, config, run.part("head alone"))
    heads += [last_head]
    methods += [] if last_method is None else [last_method]
    method = _last_with_all_seconds(methods)
    if method is not None and rates:
        taken = _taken_rate(config, len(parts[-1].train), pooled)
        method = replace(method, rates=(*rates, taken), rate_seconds=rate_seconds)
    trained_head = replace(heads[-1], seconds=feature_seconds + sum(each.seconds for each in heads))
    record = FitRecord.of(given, given.head or task.default_head, pooled, model, trained_head, method)
    return CrossFitted(model, record, frozen.backbone_sha256, np.concatenate(held_out[winner.name].outputs))


def _compete_on_folds(
    frozen: FrozenTask,
    parts: Sequence[TrainingData],
    outputs: Callable[[nn.Module, BatchSource], np.ndarray],
    config: FitConfig,
    run: Run,
) -> tuple[dict[str, _HeldOut], list[TrainedHead], list[TrainedAdapters]]:
    """Let head and method compete on each fold; return what each candidate made of it, and the records of training."""
    held_out: dict[str, _HeldOut] = {}
    heads: list[TrainedHead] = []
    methods: list[TrainedAdapters] = []
    for number, part in enumerate(parts):
        found = compete(frozen, part, config, run.part(f"fold-{number}"))
        heads += [] if found.trained_head is None else [found.trained_head]
        methods += [] if found.trained is None else [found.trained]
        for candidate in found.candidates:
            seen = held_out.setdefault(candidate.name, _HeldOut())
            seen.add(candidate, _held_out_outputs(candidate, part, outputs))
    return held_out, heads, methods


def _train_on_all(
    frozen: FrozenTask,
    everything: TrainingData,
    winner: Candidate,
    share: float,
    config: FitConfig,
    run: Run,
) -> tuple[nn.Module, TrainedHead, TrainedAdapters | None]:
    """Train the winner on all samples, a method as far as the folds say, and return the records of training.

    Args:
        frozen: task and backbone.
        everything: all samples.
        winner: what the folds chose.
        share: of its steps that a method takes.
        config: how to train.
        run: see `fit`.
    """
    without_descent = _without_descent(config)
    run.claim(fit_identity(frozen, everything, without_descent))
    seed_everything(config.training.seed)  # a resumed run has drawn other random numbers in the folds
    model = frozen.model(config.head).to(run.device)
    trained_head = train_head(frozen.task, model, everything, without_descent, run.part(HEAD))
    if winner.name == HEAD:
        return with_separate_backbone(Candidate(HEAD, model, trained_head.losses), frozen.backbone), trained_head, None
    last = EndsAtStep(round(share * config.training.total_steps(len(everything.train))))
    part = replace(run.part(config.method.name), callbacks=(*run.callbacks, last))
    tuned, trained = train_adapters(copy.deepcopy(model), everything, config, part)
    if winner.shrinkage is not None:
        adapter_path(model, tuned).go_to(winner.shrinkage.factor)
    return tuned.eval(), trained_head, trained


def _is_below(model: nn.Module, head: TrainedHead, samples: BatchSource) -> bool:
    """Return whether what trained on all samples has a lower loss on them than the head that it started from."""
    loss, start = validation_loss(model, samples), float(head.losses.mean())
    if loss < start:
        return True
    logger.warning(
        Remark(
            f"Trained on all samples, the method fits them worse than the head it started from (mean loss {loss:.3g}, "
            f"head {start:.3g}), though it was better on what the folds held out. The head is taken. Try a lower "
            f"{argument('learning_rate')}."
        )
    )
    return False


def _features(model: TaskModel, samples: BatchSource, config: FitConfig, run: Run) -> BatchSource | None:
    """Return what a head reads of all samples, which no fold changes; None where there is no room for it."""
    storage = Storage(config.cache_bytes, folder=run.folder)
    return cache_batches(model.features, samples, device=run.device, storage=storage)


def _of_fold(samples: BatchSource, features: BatchSource | None, fold: Fold) -> TrainingData:
    """Return the samples of a fold, with what a head reads of them, where that is remembered."""
    train, held_out = (rows.tolist() for rows in fold)

    def rows_of(source: BatchSource) -> TrainingData:
        return TrainingData(chosen_rows(source, train), chosen_rows(source, held_out))

    return replace(rows_of(samples), features=None if features is None else rows_of(features))


def _held_out_outputs(
    candidate: Candidate, data: TrainingData, outputs: Callable[[nn.Module, BatchSource], np.ndarray]
) -> np.ndarray:
    """Return what a candidate says of the samples that are held out; a head reads what is remembered of them."""
    assert candidate.model is not None, "the fold is still under way"
    if candidate.name == HEAD and data.features is not None and isinstance(candidate.model, TaskModel):
        return outputs(HeadOnFeatures(candidate.model), data.features.validation)
    return outputs(candidate.model, data.validation)


def _pooled(
    held_out: dict[str, _HeldOut], parts: Sequence[TrainingData], samples: BatchSource, config: FitConfig
) -> Candidates:
    """Return the candidates with the losses of every fold; their models are gone."""
    count = sum(len(part.validation) for part in parts)
    data = TrainingData(samples, parts[0].validation, SampleGroups.of_labelled_samples(count))
    pooled = Candidates(data, config.guard_margin)
    for name, seen in held_out.items():
        pooled.add(name, None, np.concatenate(seen.losses), seen.shrinkage())
    return pooled


def _tried_rates(
    frozen: FrozenTask, parts: Sequence[TrainingData], config: FitConfig, run: Run
) -> tuple[TriedRate, ...]:
    """Return each rate that "auto" tries with its loss over the held-out samples of all folds; () at a given rate."""
    if config.training.learning_rate != AUTO or not config.method.adapts_backbone:
        return ()
    runs = [run.part("rates").part(f"fold-{number}") for number in range(len(parts))]
    tried = [try_rates(frozen, part, config, each) for part, each in zip(parts, runs, strict=True)]
    sizes = [len(part.validation) for part in parts]
    means = []
    for rates in zip(*tried, strict=True):
        mean = float(np.average([rate.loss for rate in rates], weights=sizes))
        means.append(replace(rates[0], validation_loss=mean if np.isfinite(mean) else None))
    return tuple(means)


def _taken_rate(config: FitConfig, samples: int, pooled: Candidates) -> TriedRate:
    """Return the rate that was trained at, with the steps and the loss of its whole training."""
    loss = pooled.named(config.method.name).validation_loss
    steps = config.training.total_steps(samples)
    return TriedRate(config.training.only_rate(), steps, loss if np.isfinite(loss) else None, taken=True)


def _last_with_all_seconds(trained: Sequence[TrainedAdapters]) -> TrainedAdapters | None:
    """Return the last of the trainings, with the seconds of all of them; None where there were none."""
    if not trained:
        return None
    apart: Counter[str] = Counter()
    for each in trained:
        apart.update(each.report.seconds)
    report = replace(trained[-1].report, seconds=dict(apart))
    return replace(trained[-1], seconds=sum(each.seconds for each in trained), report=report)


def _without_descent(config: FitConfig) -> FitConfig:
    """Return a configuration whose heads keep their solution: no held-out sample says whether descent does better."""
    return config if config.head_start == GRADIENT else replace(config, head_start=KEPT)


def _mean(losses: Sequence[float | None]) -> float | None:
    known = [loss for loss in losses if loss is not None]
    return float(np.mean(known)) if len(known) == len(losses) else None
