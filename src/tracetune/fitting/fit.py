"""Fine-tuning for every task: zero-shot, head and method compete on validation, and the best one is returned."""

import copy
import logging
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

from torch import nn

from tracetune.adapters.lora import add_head_only, linear_layers
from tracetune.backbones.backbone import Backbone
from tracetune.backbones.loading import weights_digest
from tracetune.base.errors import InputError, Remark, argument
from tracetune.base.seeds import seed_everything
from tracetune.fitting.adapter_phase import train_adapters
from tracetune.fitting.candidates import Candidate, Candidates
from tracetune.fitting.config import FitConfig
from tracetune.fitting.head_phase import train_head
from tracetune.fitting.identity import fit_identity
from tracetune.fitting.interpolation import adapter_path
from tracetune.fitting.names import HEAD, MODULES, NONE, ZERO_SHOT
from tracetune.fitting.record import FitRecord
from tracetune.fitting.run import Run
from tracetune.fitting.shrinkage import BEYOND, shrink, shrink_modules
from tracetune.fitting.trained import TrainedAdapters, TrainedHead
from tracetune.tasks.task import ComparedTask, Task, TaskModel, TrainingData

logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class Fitted:
    """The result of a fit.

    Attributes:
        model: the winner, a PEFT model; a plain task model after full fine-tuning.
        record: how it came about.
        backbone_sha256: digest of the backbone that it was fitted from.
    """

    model: nn.Module
    record: FitRecord
    backbone_sha256: str


@dataclass(frozen=True)
class Competition:
    """Candidates side by side on validation, and what their training left.

    Attributes:
        candidates: baselines, zero-shot, head and method, as far as there are such.
        trained_head: of the head; None where none was trained.
        trained: of the method; None where it trains a head only.
    """

    candidates: Candidates
    trained_head: TrainedHead | None
    trained: TrainedAdapters | None


def fit(task: Task, backbone: Backbone, data: TrainingData, config: FitConfig, run: Run) -> Fitted:
    """Let zero-shot, head and method compete on validation; return the best one.

    The backbone is not changed: zero-shot and head share it, and the method gets a copy.

    Raises:
        InputError: options of the method that fit neither model nor run, a start that the task does not have,
            checkpoints of another run, or no candidate with a finite loss.
    """
    with frozen(backbone):
        digest = weights_digest(backbone)
        found = compete(task, backbone, digest, data, config, run)
        model = with_separate_backbone(found.candidates.take_best(), backbone)
    head = config.head or task.default_head
    record = FitRecord.of(config, head, found.candidates, model, found.trained_head, found.trained)
    return Fitted(model, record, digest)


def compete(
    task: Task, backbone: Backbone, backbone_sha256: str, data: TrainingData, config: FitConfig, run: Run
) -> Competition:
    """Train what a fit may return, and measure it on validation; the backbone, of this digest, is `frozen`.

    Raises:
        InputError: as `fit`.
    """
    method = config.method
    method.check(linear_layers(backbone), config.training.total_steps(len(data.train)))
    run.claim(fit_identity(task, backbone, backbone_sha256, data, config))
    seed_everything(config.training.seed)
    candidates = Candidates(data, config.guard_margin)
    trained = None
    trained_head = _add_starts(candidates, task, backbone, data, config, run)
    if method.adapts_backbone:
        start = candidates.named(config.start)
        model, trained = train_adapters(_copy(start), data, config, run.part(method.name))
        _add_tuned(candidates, start, model, config)
    return Competition(candidates, trained_head, trained)


def tune(task: Task, backbone: Backbone, data: TrainingData, config: FitConfig, run: Run) -> nn.Module:
    """Return what ``config.method`` trains, whether or not it is better than its start; the backbone stays as it is.

    Raises:
        InputError: as `fit`; also for a method that trains only the head.
    """
    method = config.method
    if not method.adapts_backbone:
        raise InputError(f"Expected a method that trains more than the head, found {method.name!r}. Use 'lora'.")
    method.check(linear_layers(backbone), config.training.total_steps(len(data.train)))
    run.claim(fit_identity(task, backbone, weights_digest(backbone), data, config))
    seed_everything(config.training.seed)
    candidates = Candidates(data, config.guard_margin)
    with frozen(backbone):
        _add_starts(candidates, task, backbone, data, config, run)
        start = _copy(candidates.named(config.start))
        model, _ = train_adapters(start, data, config, run.part(method.name))
    return model.eval()


def _add_starts(
    candidates: Candidates, task: Task, backbone: Backbone, data: TrainingData, config: FitConfig, run: Run
) -> TrainedHead | None:
    """Let compete what is simpler than a backbone, then what a method can train on from: zero-shot and trained head."""
    if isinstance(task, ComparedTask):
        for name, baseline in task.baselines(backbone).items():
            candidates.add_baseline(name, baseline.to(run.device))
    if (zero_shot := task.zero_shot(backbone)) is not None:
        candidates.add(ZERO_SHOT, zero_shot.to(run.device))
    if config.start == ZERO_SHOT:
        return None
    model = task.model(backbone, config.head or task.default_head).to(run.device)
    trained = train_head(task, model, data, config, run.part(HEAD))
    candidates.add(HEAD, model, trained.losses, trained.shrinkage)
    return trained


def _add_tuned(candidates: Candidates, start: Candidate, model: nn.Module, config: FitConfig) -> None:
    """Let compete what the method made, moved back towards its start as far as validation says."""
    name = config.method.name
    if config.shrink == NONE:
        candidates.add(name, model)
        return
    assert isinstance(start.model, TaskModel), "what a method starts from has no adapters"
    if config.shrink == MODULES:
        shrink_modules(model, candidates.validation, candidates.groups)
    path = adapter_path(start.model, model)
    shrinkage = shrink(path.go_to, lambda: candidates.measure(model), candidates.groups, {0.0: start.losses}, BEYOND)
    if shrinkage.ended_early:
        logger.warning(
            Remark(
                f"{name} is best on validation at {BEYOND[-1]:g} times what it has learned, the most that is tried: "
                f"training ended early. Train longer ({argument('num_train_epochs')}), or at a higher "
                f"{argument('learning_rate')}."
            )
        )
    candidates.add(name, model, shrinkage.losses, shrinkage)


@contextmanager
def frozen(backbone: nn.Module) -> Iterator[None]:
    """Freeze every weight of the backbone inside the context."""
    trainable = [parameter for parameter in backbone.parameters() if parameter.requires_grad]
    backbone.eval().requires_grad_(False)
    try:
        yield
    finally:
        for parameter in trainable:
            parameter.requires_grad_(True)


def with_separate_backbone(winner: Candidate, backbone: Backbone) -> nn.Module:
    """Return the winner's model in evaluation mode, with a copy of the backbone where it shares the one fitted."""
    assert winner.model is not None
    shares = isinstance(winner.model, TaskModel) and winner.model.backbone is backbone
    return add_head_only(_copy(winner)).eval() if shares else winner.model.eval()


def _copy(candidate: Candidate) -> TaskModel:
    assert isinstance(candidate.model, TaskModel), "what a method starts from has no adapters"
    return copy.deepcopy(candidate.model)
