"""TRACE as one callback: any Hugging Face Trainer over any PEFT LoRA model selects its modules while it trains."""

import logging
import math
import time
from collections.abc import Iterable
from contextlib import AbstractContextManager, nullcontext
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch.utils.data import DataLoader, Dataset, default_collate
from transformers import TrainerCallback, TrainerControl, TrainerState, TrainingArguments
from transformers.trainer_utils import PREFIX_CHECKPOINT_DIR

from tracetune.base.errors import InputError
from tracetune.selection.cost import SelectionPlan, affordable, selection_cost
from tracetune.selection.gates import Gates
from tracetune.selection.layers import adapter_parameters
from tracetune.selection.rounds import RoundRecord, mean_over_processes, selection_round, shared_profile
from tracetune.selection.schedule import AUTO, Schedule, SelectionConfig
from tracetune.selection.scores import FORWARD, FORWARD_BACKWARD
from tracetune.selection.scores.gated_dsic import fitting_masks
from tracetune.selection.snapshot import BestModel
from tracetune.selection.step_time import StepTimeProfile, measure_step_time, profile_passes
from tracetune.selection.validation import LossFunction, batch_size, mean_loss, model_loss, on_device, undisturbed
from tracetune.selection.validation_batches import FirstBatches, as_batches, checked_validation
from tracetune.training.micro_batches import MicroBatches

logger = logging.getLogger(__name__)

LOG_KEY = "trace"
PROFILE_KEY = "trace_profile"
BEST_FILE = "trace_best.safetensors"


class TraceCallback(TrainerCallback):
    """Iterative, reversible pruning of LoRA modules: ``trainer.add_callback(TraceCallback(config, validation))``.

    From t_i to t_f, every ``interval`` steps: score all modules on validation batches, open those within the
    budget, close the rest. When training ends the closed modules are deleted (``config.delete_closed``), and
    ``save_pretrained`` writes a plain PEFT LoRA checkpoint.

    - **Resuming** needs nothing: every round is logged in the Trainer's ``log_history`` under "trace", hence in
      ``trainer_state.json``, and a resumed run takes up its modules, smoothed scores and masks from there. It must
      be built like the first one, all modules open, so that the optimizer has the same parameters. Checkpoints
      written before the end hold all modules.
    - **Cost**: selection takes at most ``config.cost_share`` of the forward and backward passes of training. Where the
      configured rounds would take more, there are fewer, and a line in the log says so.
    - **budget_unit="time"**: step times are measured when training begins, and logged under "trace_profile", so that a
      resumed run goes by the same.
    - **Best checkpoint**: models from before t_f hold more modules than the budget. They do not compete: until
      t_f the Trainer's best metric is forgotten after each step, which also lets early stopping wait.
    - **Training that ends before t_f** closes down to the final budget in one last round.
    - **keep="auto"**: the model before each round, and the final one, compete by their loss on the scoring batches;
      the best one's weights and modules are restored at the end (at equal loss, the smaller one's).
    - **DistributedDataParallel** needs ``ddp_find_unused_parameters=True``: closed modules get no gradients.

    Args:
        config: how to select.
        validation: batches as the model takes them (list, DataLoader, or iterable data set that yields batches), or a
            data set, which is batched like the training data. A few batches are read in every round.
        loss_fn: from model and batch to losses [B] of the samples, or to their mean. By default the model's own loss,
            per sample where its output has ``sample_losses``, ``loss_per_sample`` or ``losses``. A mean loss, or
            rows of a batch that interact, make ``masks="auto"`` draw masks per batch.

    Attributes:
        records: one RoundRecord per round.
        scoring_seconds: time spent on selection, its validation losses included, in this process.
        forward_equivalents: cost of selection in forward passes over one validation batch, in this process.
    """

    def __init__(
        self,
        config: SelectionConfig | None = None,
        validation: Iterable[Any] | Dataset | None = None,
        loss_fn: LossFunction | None = None,
    ) -> None:
        self.config = SelectionConfig() if config is None else config
        self.validation = checked_validation(validation)
        self.loss_fn = model_loss if loss_fn is None else loss_fn
        self.records: list[RoundRecord] = []
        self.scoring_seconds = 0.0
        self.forward_equivalents = 0.0
        self._gates: Gates | None = None
        self._schedule: Schedule | None = None
        self._profile: StepTimeProfile | None = None
        self._plan: SelectionPlan | None = None
        self._cost_share = 0.0
        self._best = BestModel()
        self._batches: Iterable[Any] = ()
        self._masks = self.config.masks
        self._parameters: dict[str, int] = {}

    def on_train_begin(
        self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **kwargs: Any
    ) -> None:
        """Find the modules, bind the schedule, and take up what a resumed run has already chosen."""
        self._gates = Gates(kwargs["model"])
        _check_optimizer(self._gates, kwargs.get("optimizer"))
        self._parameters = self._gates.parameter_counts()
        self._batches = self._scoring_batches(kwargs.get("train_dataloader"))
        self._profile = self._step_times(args, state) if self.config.budget_unit == "time" else None
        self._schedule = self.config.schedule(state.max_steps, self._parameters, self._profile)
        self._say_where_time_is_too_short()
        self._plan = None
        self.records = [RoundRecord.from_json(entry[LOG_KEY]) for entry in state.log_history if LOG_KEY in entry]
        self._best = BestModel()
        if self.records:
            self._gates.set_open(self.records[-1].open)
            if self.config.keep == AUTO:
                self._best = BestModel.load(_checkpoint(args, state) / BEST_FILE)

    def on_step_end(self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **kwargs: Any) -> None:
        """Score and choose where the schedule says so."""
        assert self._schedule is not None, "training begins before its first step ends"
        if state.global_step <= self._schedule.stop:
            state.best_metric = state.best_model_checkpoint = state.best_global_step = None
        if state.global_step >= self._schedule.start:
            self._keep_to_the_cost(args, state, kwargs.get("train_dataloader"))
        if self._schedule.is_round(state.global_step):
            self._round(args, state)

    def on_save(self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **kwargs: Any) -> None:
        """Put the best model so far into the checkpoint, where ``keep="auto"`` will need it."""
        if self._best.weights and args.should_save:
            self._best.save(_checkpoint(args, state) / BEST_FILE)

    def on_train_end(
        self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **kwargs: Any
    ) -> None:
        """Come down to the final budget, or back to the best one, and delete what is closed."""
        assert self._gates is not None and self._schedule is not None, "training begins before it ends"
        self._keep_to_the_cost(args, state, kwargs.get("train_dataloader"))
        if self.config.keep == AUTO:
            self._best.offer(self._gates, self._validation_loss(args), state.global_step)
            self._best.restore(self._gates)
        elif not self.records or self.records[-1].budget > self._schedule.final:
            self._round(args, state, budget=self._schedule.final)
        if self.config.delete_closed:
            self._gates.delete_closed()
        self._batches = ()

    def report(self) -> dict[str, Any]:
        """Configuration, rounds, kept modules and cost as JSON types."""
        assert self._gates is not None and self._schedule is not None, "report follows training"
        kept, profile = self._gates.open_names, self._profile
        return {
            "config": asdict(self.config),
            "schedule": asdict(self._schedule),
            "scoring_batches": None if self._plan is None else self._plan.batches,
            "cost_share": self._cost_share,
            "parameters": self._parameters,
            "kept": list(kept),
            "kept_parameters": sum(self._parameters[name] for name in kept),
            "step_time_share": None if profile is None else profile.seconds(kept) / profile.full,
            "step_time_profile": None if profile is None else profile.to_json(),
            "best_step": self._best.step if self.config.keep == AUTO else None,
            "scoring_seconds": self.scoring_seconds,
            "forward_equivalents": self.forward_equivalents,
            "rounds": [record.to_json() for record in self.records],
        }

    def _round(self, args: TrainingArguments, state: TrainerState, budget: int | None = None) -> None:
        assert self._gates is not None and self._schedule is not None
        started = time.perf_counter()
        loss = None
        if self.config.keep == AUTO:
            loss = self._validation_loss(args)
            self._best.offer(self._gates, loss, state.global_step)
        with _autocast(args, self._gates):
            record, importance = selection_round(
                self._gates,
                self._batches,
                self.loss_fn,
                replace(self.config, masks=self._masks),
                self._schedule,
                step=state.global_step,
                previous=self.records[-1] if self.records else None,
                validation_loss=loss,
                budget=budget,
                profile=self._profile,
            )
        self.records.append(record)
        state.log_history.append({"step": state.global_step, "epoch": state.epoch, LOG_KEY: record.to_json()})
        self.scoring_seconds += time.perf_counter() - started
        self.forward_equivalents += importance.forward_equivalents

    def _step_times(self, args: TrainingArguments, state: TrainerState) -> StepTimeProfile:
        """The profile of this run: the logged one where it was resumed, otherwise measured and logged."""
        assert self._gates is not None
        logged = [entry[PROFILE_KEY] for entry in state.log_history if PROFILE_KEY in entry]
        if logged:
            return StepTimeProfile.from_json(logged[-1])
        started = time.perf_counter()
        with _autocast(args, self._gates), undisturbed(self._gates.model):
            batch = next(on_device(self._gates.model, self._batches))
            profile = shared_profile(measure_step_time(self._gates, batch, self.loss_fn))
        state.log_history.append({"step": state.global_step, "epoch": state.epoch, PROFILE_KEY: profile.to_json()})
        self.scoring_seconds += time.perf_counter() - started
        self.forward_equivalents += profile_passes(self._parameters, batch_size(batch), self._gates.device)
        return profile

    def _say_where_time_is_too_short(self) -> None:
        keep, profile = self.config.keep, self._profile
        if isinstance(keep, float) and profile is not None and keep * profile.full < profile.least:
            logger.warning(
                "keep=%s leaves less time than any one module takes: the fastest takes %.2f of the step with all "
                "modules open, and is what will stay.",
                keep,
                profile.least / profile.full,
            )

    def _keep_to_the_cost(
        self, args: TrainingArguments, state: TrainerState, train_dataloader: DataLoader | None
    ) -> None:
        """Once, before the first round: as many rounds and batches as ``config.cost_share`` allows.

        Not earlier: adapters that have not trained yet add nothing, so that the masks that fit cannot be told.
        """
        if self._plan is not None:
            return
        assert self._gates is not None and self._schedule is not None
        started = time.perf_counter()
        scored = self._scoring_batches(train_dataloader)
        with undisturbed(self._gates.model):
            sizes = [batch_size(batch) for batch in on_device(self._gates.model, scored)]
        per_batch = self._fitting_masks(args) == "per_batch"
        # all processes must plan alike
        count, size, per_batch = mean_over_processes(np.array([len(sizes), np.mean(sizes), per_batch], float)).tolist()
        self._masks = "per_batch" if per_batch else self._masks
        count = math.ceil(count)
        cost = selection_cost(self.config, self._gates.M, self._masks, self._passes_once(math.ceil(size)))
        training = FORWARD_BACKWARD * state.max_steps * _samples_a_step(args, train_dataloader) / size
        limit = self.config.cost_share * training if self.config.cost_share < 1 else math.inf
        plan = affordable(self._schedule, count, cost, limit)
        if (plan.schedule, plan.batches) != (self._schedule, count) or plan.passes > limit:
            asked = SelectionPlan(self._schedule, count, cost.total(len(self._schedule.rounds()), count))
            logger.log(*_note(asked, plan, training, self.config.cost_share))
        self._plan, self._schedule, self._cost_share = plan, plan.schedule, plan.passes / training
        self._batches = scored.spread(count, plan.batches, self.config.seed)
        self.scoring_seconds += time.perf_counter() - started

    def _passes_once(self, size: int) -> float:
        """Forward passes over a batch of ``size`` beside the rounds, whichever process made them."""
        assert self._gates is not None
        tried = self.config.score == "gated_dsic" and self.config.masks == "auto"
        timed = 0.0 if self._profile is None else profile_passes(self._parameters, size, self._gates.device)
        return FORWARD_BACKWARD * tried + timed

    def _fitting_masks(self, args: TrainingArguments) -> str:
        """The masks of every round; "auto" is decided before the first one, since the model stays what it is."""
        assert self._gates is not None
        if self._masks == "auto" and self.config.score == "gated_dsic":
            model = self._gates.model
            with _autocast(args, self._gates), undisturbed(model):
                model.requires_grad_(False)
                self._masks = fitting_masks(self._gates, next(on_device(model, self._batches)), self.loss_fn)
            self.forward_equivalents += FORWARD_BACKWARD
        return self._masks

    def _validation_loss(self, args: TrainingArguments) -> float:
        assert self._gates is not None and self._plan is not None
        with _autocast(args, self._gates):
            loss = mean_loss(self._gates.model, self._batches, self.loss_fn)
        self.forward_equivalents += FORWARD * self._plan.batches
        return float(mean_over_processes(np.array(loss)))

    def _scoring_batches(self, train_dataloader: DataLoader | None) -> FirstBatches:
        collate = getattr(train_dataloader, "collate_fn", None) or default_collate
        batches = as_batches(self.validation, self.config.batch_size, collate)
        return FirstBatches(batches, self.config.scoring_batches)


def _samples_a_step(args: TrainingArguments, train_dataloader: DataLoader | None) -> int:
    """Samples of one optimizer step, over all processes."""
    samples = args.train_batch_size * args.gradient_accumulation_steps
    dataset = getattr(train_dataloader, "dataset", None)
    if isinstance(dataset, MicroBatches):  # one item of it is a part of a batch
        samples = dataset.batch_size * max(1, args.n_gpu)
    return samples * args.world_size


def _note(asked: SelectionPlan, plan: SelectionPlan, training: float, allowed: float) -> tuple[int, str]:
    """What is said of a plan that differs from what was asked for, or costs more than allowed."""
    text = (
        f"Selection would cost {asked.passes / training:.1%} of the training's passes, {allowed:.1%} are allowed "
        f"(cost_share): {len(plan.schedule.rounds())} rounds of {plan.batches} batches instead of "
        f"{len(asked.schedule.rounds())} of {asked.batches}, {plan.passes / training:.1%}."
    )
    if plan.passes > allowed * training:
        return logging.WARNING, f"{text} That is the least; train longer, or raise cost_share."
    return logging.INFO, text


def _check_optimizer(gates: Gates, optimizer: Any) -> None:
    """Refuse modules that were closed when the optimizer was built: it could never train them."""
    if optimizer is None:
        return
    known = {id(parameter) for group in optimizer.param_groups for parameter in group["params"]}
    for name in gates.closed_names:
        if not any(id(parameter) in known for parameter in adapter_parameters(gates.layers[name]).values()):
            raise InputError(
                f"Module {name!r} was closed when the optimizer was built, so it cannot be trained. "
                "Open all modules before building the Trainer: gates.open(gates.closed_names)."
            )


def _checkpoint(args: TrainingArguments, state: TrainerState) -> Path:
    return Path(args.output_dir) / f"{PREFIX_CHECKPOINT_DIR}-{state.global_step}"


def _autocast(args: TrainingArguments, gates: Gates) -> AbstractContextManager[Any]:
    """The precision of training."""
    if not (args.bf16 or args.fp16):
        return nullcontext()
    return torch.autocast(gates.device.type, dtype=torch.bfloat16 if args.bf16 else torch.float16)
