"""TRACE as one callback: any Hugging Face Trainer over any PEFT LoRA model selects its modules while it trains."""

import time
from collections.abc import Iterable, Iterator
from contextlib import AbstractContextManager, nullcontext
from dataclasses import asdict, replace
from itertools import islice
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch.utils.data import DataLoader, Dataset, IterableDataset, default_collate
from transformers import TrainerCallback, TrainerControl, TrainerState, TrainingArguments
from transformers.trainer_utils import PREFIX_CHECKPOINT_DIR

from tracetune.base.errors import InputError
from tracetune.selection.gated_dsic import fitting_masks
from tracetune.selection.gates import Gates
from tracetune.selection.layers import adapter_parameters
from tracetune.selection.rounds import RoundRecord, mean_over_processes, selection_round
from tracetune.selection.schedule import AUTO, Schedule, SelectionConfig
from tracetune.selection.scores import FORWARD_BACKWARD
from tracetune.selection.snapshot import BestModel
from tracetune.selection.validation import LossFunction, mean_loss, model_loss, on_device, undisturbed

LOG_KEY = "trace"
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
        forward_equivalents: cost of scoring in forward passes over one batch, in this process.
    """

    def __init__(
        self,
        config: SelectionConfig | None = None,
        validation: Iterable[Any] | Dataset | None = None,
        loss_fn: LossFunction | None = None,
    ) -> None:
        self.config = SelectionConfig() if config is None else config
        self.validation = _checked_validation(validation)
        self.loss_fn = model_loss if loss_fn is None else loss_fn
        self.records: list[RoundRecord] = []
        self.scoring_seconds = 0.0
        self.forward_equivalents = 0.0
        self._gates: Gates | None = None
        self._schedule: Schedule | None = None
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
        self._schedule = self.config.schedule(state.max_steps, self._parameters)
        self._batches = self._scoring_batches(kwargs.get("train_dataloader"))
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
        kept = self._gates.open_names
        return {
            "config": asdict(self.config),
            "schedule": asdict(self._schedule),
            "parameters": self._parameters,
            "kept": list(kept),
            "kept_parameters": sum(self._parameters[name] for name in kept),
            "best_step": self._best.step if self.config.keep == AUTO else None,
            "scoring_seconds": self.scoring_seconds,
            "forward_equivalents": self.forward_equivalents,
            "rounds": [record.to_json() for record in self.records],
        }

    def _round(self, args: TrainingArguments, state: TrainerState, budget: int | None = None) -> None:
        assert self._gates is not None and self._schedule is not None
        started = time.perf_counter()
        loss = self._validation_loss(args)
        if self.config.keep == AUTO:
            self._best.offer(self._gates, loss, state.global_step)
        with _autocast(args, self._gates):
            record, importance = selection_round(
                self._gates,
                self._batches,
                self.loss_fn,
                replace(self.config, masks=self._fitting_masks()),
                self._schedule,
                step=state.global_step,
                previous=self.records[-1] if self.records else None,
                validation_loss=loss,
                budget=budget,
            )
        self.records.append(record)
        state.log_history.append({"step": state.global_step, "epoch": state.epoch, LOG_KEY: record.to_json()})
        self.scoring_seconds += time.perf_counter() - started
        self.forward_equivalents += importance.forward_equivalents

    def _fitting_masks(self) -> str:
        """The masks of every round; "auto" is decided in the first one, since the model stays what it is."""
        assert self._gates is not None
        if self._masks == "auto" and self.config.score == "gated_dsic":
            model = self._gates.model
            with undisturbed(model):
                model.requires_grad_(False)
                self._masks = fitting_masks(self._gates, next(on_device(model, self._batches)), self.loss_fn)
            self.forward_equivalents += FORWARD_BACKWARD
        return self._masks

    def _validation_loss(self, args: TrainingArguments) -> float:
        assert self._gates is not None
        with _autocast(args, self._gates):
            loss = mean_loss(self._gates.model, self._batches, self.loss_fn)
        return float(mean_over_processes(np.array(loss)))

    def _scoring_batches(self, train_dataloader: DataLoader | None) -> Iterable[Any]:
        batches: Any = self.validation
        if _holds_samples(batches):
            collate = getattr(train_dataloader, "collate_fn", None) or default_collate
            batches = DataLoader(batches, batch_size=self.config.batch_size, collate_fn=collate)
        return _First(batches, self.config.scoring_batches)


class _First:
    """The first ``count`` batches, as often as one likes; all of them for None."""

    def __init__(self, batches: Iterable[Any], count: int | None) -> None:
        self.batches = batches
        self.count = count

    def __iter__(self) -> Iterator[Any]:
        return islice(iter(self.batches), self.count)


def _checked_validation(validation: Any) -> Any:
    """Validation data that can be read in every round, and are not empty as far as one can see.

    Raises:
        InputError: none given, or of length 0.
    """
    if validation is None:
        raise InputError("TraceCallback scores modules on validation data: pass batches, a DataLoader or a data set.")
    if isinstance(validation, Iterator):
        validation = list(validation)
    if hasattr(validation, "__len__") and len(validation) == 0:
        raise InputError(
            "Expected at least one validation batch, found none. Give more validation data, or a loader without "
            "drop_last (fewer samples than one batch are dropped by it)."
        )
    return validation


def _holds_samples(validation: Any) -> bool:
    """Whether these are single samples to be batched: a data set with an index. Everything else yields batches."""
    batches = isinstance(validation, (list, tuple, DataLoader, IterableDataset))
    return not batches and hasattr(validation, "__getitem__")


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
