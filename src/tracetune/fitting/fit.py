"""Fine-tuning for every task: zero-shot, head and method compete on validation, and the best one is returned."""

import copy
from dataclasses import dataclass

from torch import nn

from tracetune.adapters.lora import add_head_only, linear_layers
from tracetune.backbones.backbone import Backbone
from tracetune.base.errors import InputError
from tracetune.base.seeds import seed_everything
from tracetune.fitting.adapter_phase import train_adapters
from tracetune.fitting.candidates import Candidate, Candidates
from tracetune.fitting.config import FitConfig
from tracetune.fitting.frozen_task import FrozenTask
from tracetune.fitting.head_phase import train_head
from tracetune.fitting.identity import fit_identity
from tracetune.fitting.learning_rate import with_rate
from tracetune.fitting.method_phase import add_tuned, check_method, trials
from tracetune.fitting.names import HEAD, ZERO_SHOT
from tracetune.fitting.record import FitRecord
from tracetune.fitting.trained import TrainedAdapters, TrainedHead, TriedRate
from tracetune.tasks.task import ComparedTask, Task, TaskModel, TrainingData
from tracetune.training.run import Run


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
    config = with_rate(config, task)
    with FrozenTask.of(task, backbone) as frozen:
        found = compete(frozen, data, config, run)
        model = with_separate_backbone(found.candidates.take_best(), backbone)
    record = FitRecord.of(
        config, config.head or task.default_head, found.candidates, model, found.trained_head, found.trained
    )
    return Fitted(model, record, frozen.backbone_sha256)


def compete(frozen: FrozenTask, data: TrainingData, config: FitConfig, run: Run) -> Competition:
    """Train what a fit may return, and measure it on validation.

    Raises:
        InputError: as `fit`.
    """
    candidates, trained_head = _starts(frozen, data, config, run)
    trained = add_tuned(candidates, data, config, run) if config.method.adapts_backbone else None
    return Competition(candidates, trained_head, trained)


def try_rates(frozen: FrozenTask, data: TrainingData, config: FitConfig, run: Run) -> list[TriedRate]:
    """Return the losses of short trainings at each learning rate; see `compete`.

    Raises:
        InputError: as `fit`.
    """
    candidates, _ = _starts(frozen, data, config, run)
    return [tuned.rate for tuned in trials(candidates, data, config, run)]


def tune(task: Task, backbone: Backbone, data: TrainingData, config: FitConfig, run: Run) -> nn.Module:
    """Return the model that ``config.method`` trains, whether or not it is better than its start.

    Raises:
        InputError: as `fit`; also for a method that trains only the head, and for a learning rate of "auto".
    """
    config = with_rate(config, task)
    method = config.method
    if not method.adapts_backbone:
        raise InputError(f"Expected a method that trains more than the head, found {method.name!r}. Use 'lora'.")
    config.training.only_rate()
    with FrozenTask.of(task, backbone) as frozen:
        candidates, _ = _starts(frozen, data, config, run)
        start = _copy(candidates.named(config.start))
        model, _ = train_adapters(start, data, config, run.part(method.name))
    return model.eval()


def _starts(
    frozen: FrozenTask, data: TrainingData, config: FitConfig, run: Run
) -> tuple[Candidates, TrainedHead | None]:
    """Check and claim the run; return what is simpler than a backbone, and what a method can train on from.

    These are zero-shot and the trained head, of which the results of training are returned, too.
    """
    task, backbone = frozen.task, frozen.backbone
    check_method(linear_layers(backbone), config, len(data.train))
    run.claim(fit_identity(frozen, data, config))
    seed_everything(config.training.seed)
    candidates = Candidates(data, config.guard_margin)
    if isinstance(task, ComparedTask):
        for name, baseline in task.baselines(backbone).items():
            candidates.add_baseline(name, baseline.to(run.device))
    if (zero_shot := task.zero_shot(backbone)) is not None:
        candidates.add(ZERO_SHOT, zero_shot.to(run.device))
    if config.start == ZERO_SHOT:
        return candidates, None
    model = frozen.model(config.head).to(run.device)
    trained = train_head(task, model, data, config, run.part(HEAD))
    candidates.add(HEAD, model, trained.losses, trained.shrinkage)
    return candidates, trained


def with_separate_backbone(winner: Candidate, backbone: Backbone) -> nn.Module:
    """Return the winner's model in evaluation mode, with a copy of the backbone where it shares the one fitted."""
    assert winner.model is not None
    shares = isinstance(winner.model, TaskModel) and winner.model.backbone is backbone
    return add_head_only(_copy(winner)).eval() if shares else winner.model.eval()


def _copy(candidate: Candidate) -> TaskModel:
    assert isinstance(candidate.model, TaskModel), "what a method starts from has no adapters"
    return copy.deepcopy(candidate.model)
