"""TRACE as one callback: any Hugging Face Trainer over any PEFT LoRA model selects its modules while it trains."""

import weakref
from collections.abc import Iterable
from contextlib import AbstractContextManager, nullcontext
from functools import partial
from pathlib import Path

import torch
from accelerate.state import AcceleratorState
from torch import nn
from torch.optim import Optimizer
from torch.utils.data import DataLoader, Dataset, default_collate
from transformers import PreTrainedModel, TrainerCallback, TrainerControl, TrainerState, TrainingArguments
from transformers.training_args import ParallelMode

from tracetune.base.errors import InputError
from tracetune.base.json_types import JsonObject
from tracetune.base.step_files import StepFiles
from tracetune.selection.config import SelectionConfig
from tracetune.selection.gates import Gates
from tracetune.selection.rounds.preconditions import (
    check_sharding,
    check_trained,
    check_undisturbed,
    check_unused_parameters,
)
from tracetune.selection.rounds.round_record import RoundRecord
from tracetune.selection.rounds.selection_run import SelectionRun
from tracetune.selection.rounds.validation_batches import ScoringBatches, as_batches, checked_validation, refuse_rows
from tracetune.selection.validation import AnyBatch, LossFunction, model_loss, undisturbed
from tracetune.training.checkpoint_steps import checkpoint_steps
from tracetune.training.micro_batches import MicroBatches

BEST_FOLDER = "trace_best"
_TRAININGS: weakref.WeakKeyDictionary[nn.Module, weakref.ref[TrainerState]] = weakref.WeakKeyDictionary()
"""The training that a TraceCallback has begun last with each model."""


class TraceCallback(TrainerCallback):
    """Iterative, reversible pruning of LoRA modules: ``trainer.add_callback(TraceCallback(config, validation))``.

    From t_i to t_f, every ``interval`` steps: score all modules on validation batches, open those within the
    budget, close the rest. When training ends the closed modules are deleted (``config.delete_closed``), and
    ``save_pretrained`` writes a plain PEFT LoRA checkpoint.

    - **Resuming** needs no setting: settings, plan and every round are logged in the Trainer's ``log_history``, hence
      in ``trainer_state.json``, and a resumed run goes on from there. It must be built like the first one, with the
      same settings and all modules open, so that the optimizer has the same parameters. Checkpoints written before the
      end hold all modules.
    - **Cost**: selection takes at most ``config.cost_share`` of the forward and backward passes of training. Where the
      configured rounds would take more, there are fewer, and a line in the log says so.
    - **budget_unit="time"**: step times are measured when training begins, and a resumed run goes by the same.
    - **Best checkpoint**: models from before t_f hold more modules than the budget. They do not compete: until
      t_f the Trainer's best metric is forgotten after each step, which also lets early stopping wait.
    - **Training that ends before t_f** closes down to the final budget in one last round.
    - **keep="auto"**: the model before each round, and the final one, compete by their loss on the scoring batches;
      the best one's weights and modules are restored at the end (at equal loss, the smaller one's). For a run that is
      cut off they are in ``trace_best`` in the output folder, beside the checkpoints.
    - **DistributedDataParallel** needs ``ddp_find_unused_parameters=True``, the Trainer's default for PEFT models:
      closed modules get no gradients.
    - **torch.compile** compiles the model again for each set of open modules; its limit on that is raised.
    - **Errors come early**: what could fail at the end is checked at the beginning, by
      ``selection/rounds/preconditions.py``.
    - **Weights are the optimizer's**: what writes to them while modules are scored (``loss_fn``, hooks) is refused.
      What goes past autograd, ``weight.data.mul_(0.9)``, cannot be seen, and makes the scores those of another model.

    >>> import torch
    >>> from peft import LoraConfig, get_peft_model
    >>> from transformers import Trainer, TrainingArguments
    >>> class Regression(torch.nn.Module):
    ...     def __init__(self):
    ...         super().__init__()
    ...         self.layers = torch.nn.Sequential(torch.nn.Linear(4, 8), torch.nn.Tanh(), torch.nn.Linear(8, 1))
    ...     def forward(self, x, y):
    ...         losses = (self.layers(x) - y).square().mean(1)
    ...         return {"loss": losses.mean(), "losses": losses}
    >>> _ = torch.manual_seed(0)
    >>> rows = [{"x": x, "y": x[:1]} for x in torch.randn(64, 4)]
    >>> batches = [{"x": x, "y": x[:, :1]} for x in torch.randn(3, 16, 4)]
    >>> model = get_peft_model(Regression(), LoraConfig(r=2, target_modules=["layers.0", "layers.2"]))
    >>> callback = TraceCallback(SelectionConfig(keep=1, warmup_steps=4, final_step=8, interval=2), batches)
    >>> arguments = TrainingArguments("runs", max_steps=12, use_cpu=True, save_strategy="no", report_to=[],
    ...                               remove_unused_columns=False, label_names=["y"], disable_tqdm=True)
    >>> trainer = Trainer(model, arguments, train_dataset=rows, callbacks=[callback])
    >>> trainer.train()  # doctest: +ELLIPSIS
    {'train_runtime': ...
    >>> len(callback.records), len(callback.records[-1].open)
    (3, 1)

    Args:
        config: how to select.
        validation: batches as the model takes them (list, DataLoader, or iterable data set that yields batches), or a
            data set, which is batched like the training data. A few batches are read in every round.
        loss_fn: from model and batch to losses [B] of the samples, or to their mean. By default the loss in the model's
            output, per sample where it has ``sample_losses``, ``loss_per_sample`` or ``losses``. A mean loss, or rows
            of a batch that interact, make ``masks="auto"`` draw masks per batch.
    """

    def __init__(
        self,
        config: SelectionConfig | None = None,
        validation: Iterable[AnyBatch] | Dataset | None = None,
        loss_fn: LossFunction | None = None,
    ) -> None:
        self.config = SelectionConfig() if config is None else config
        self.validation = checked_validation(validation)
        self.loss_fn = model_loss if loss_fn is None else loss_fn
        self._run: SelectionRun | None = None
        self._open: tuple[str, ...] | None = None

    @property
    def run(self) -> SelectionRun:
        """Return the selection of the training that has begun last.

        Raises:
            InputError: no training has begun.
        """
        if self._run is None:
            raise InputError("Selection begins with training: call trainer.train() first.")
        return self._run

    @property
    def records(self) -> list[RoundRecord]:
        """Return one RoundRecord per round."""
        return self.run.records

    def report(self) -> JsonObject:
        """Return configuration, rounds, kept modules and cost as JSON types, see `SelectionRun.report`."""
        return self.run.report()

    def close(self) -> None:
        """Give back what the run changed outside of the model, after a training that ended by an exception.

        The end of a training, the beginning of the next one, and the last reference to this callback do it too.
        """
        if self._run is not None:
            self._run.close()

    def on_init_end(
        self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **kwargs: object
    ) -> None:
        """Refuse a Trainer that spreads weights over processes."""
        check_sharding(_sharding(args))

    def on_train_begin(
        self,
        args: TrainingArguments,
        state: TrainerState,
        control: TrainerControl,
        *,
        model: nn.Module,
        optimizer: Optimizer | None = None,
        train_dataloader: DataLoader | None = None,
        **kwargs: object,
    ) -> None:
        """Find the modules, and begin or go on with their selection."""
        self.close()
        gates = Gates(model)
        _begin_once(gates.model, state)
        check_sharding(_sharding(args))
        check_unused_parameters(_looks_for_unused(args, gates.model))
        if optimizer is not None:
            check_trained(gates.layers, gates.closed_names, optimizer)
        if not isinstance(dataset := getattr(train_dataloader, "dataset", None), MicroBatches):  # it holds batches
            with undisturbed(gates.model):  # a sample may be drawn at random
                refuse_rows(self.validation, dataset)
        collate = getattr(train_dataloader, "collate_fn", None) or default_collate
        batches = as_batches(self.validation, self.config.batch_size, collate)
        self._run = SelectionRun(
            self.config,
            gates,
            ScoringBatches(batches, self.config.scoring_batches),
            self.loss_fn,
            total_steps=state.max_steps,
            samples_per_step=_samples_per_step(args, train_dataloader),
            precision=partial(_autocast, args, gates.device.type),
            log=partial(_log, state),
            past=tuple(state.log_history),
            files=StepFiles(Path(args.output_dir) / BEST_FOLDER, writable=args.should_save),
        )
        self._open = gates.open_names

    def on_step_begin(
        self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **kwargs: object
    ) -> None:
        """Refuse what other callbacks did to the modules since this one saw them, before anything trains on it."""
        gates = self.run.gates
        check_undisturbed(gates.model, gates.layers, sorted(set(self._open or ()) ^ set(gates.open_names)))

    def on_step_end(
        self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **kwargs: object
    ) -> None:
        """Score and choose at the steps of the schedule; until the final budget there is no best checkpoint."""
        if state.global_step <= self.run.schedule.stop:
            state.best_metric = state.best_model_checkpoint = state.best_global_step = None
        self.run.after_step(state.global_step)
        self._open = self.run.gates.open_names

    def on_save(self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **kwargs: object) -> None:
        """Remove best models that neither a checkpoint nor the run needs any more."""
        self.run.keep_best_models(checkpoint_steps(Path(args.output_dir)))

    def on_train_end(
        self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **kwargs: object
    ) -> None:
        """Come down to the final budget, or back to the best model, and delete what is closed."""
        self.run.finish(state.global_step)
        self.run.keep_best_models(checkpoint_steps(Path(args.output_dir)), running=False)


def _begin_once(model: nn.Module, state: TrainerState) -> None:
    """Refuse a second callback in the same training: both would open and close the same modules."""
    begun = _TRAININGS.get(model)
    if begun is not None and begun() is state:
        raise InputError(
            "Expected one TraceCallback in a Trainer, found a second one for the same model: each would undo what the "
            "other chose. Remove one with trainer.remove_callback(...)."
        )
    _TRAININGS[model] = weakref.ref(state)


def _sharding(args: TrainingArguments) -> str | None:
    """Return what spreads weights or gradients over processes, by the arguments or accelerate's configuration."""
    if args.deepspeed:
        return "DeepSpeed"
    if args.fsdp:
        return "FSDP"
    kind = str(AcceleratorState._shared_state.get("distributed_type", "")).rpartition(".")[2]
    return kind if kind in ("FSDP", "DEEPSPEED", "MEGATRON_LM") else None


def _log(state: TrainerState, entry: JsonObject) -> None:
    """Put an entry where ``trainer_state.json`` takes it from."""
    state.log_history.append({"step": state.global_step, "epoch": state.epoch, **entry})


def _samples_per_step(args: TrainingArguments, train_dataloader: DataLoader | None) -> int:
    """Return samples of one optimizer step, over all processes."""
    dataset = getattr(train_dataloader, "dataset", None)
    if isinstance(dataset, MicroBatches):  # one item of it is a part of a batch
        return dataset.batch_size * max(1, args.n_gpu) * args.world_size // dataset.processes
    return args.train_batch_size * args.gradient_accumulation_steps * args.world_size


def _looks_for_unused(args: TrainingArguments, model: nn.Module) -> bool:
    """Return whether closed modules are no obstacle to training in several processes, by the Trainer's own rule."""
    if args.parallel_mode != ParallelMode.DISTRIBUTED:
        return True
    if args.ddp_find_unused_parameters is not None:
        return args.ddp_find_unused_parameters
    if not isinstance(model, PreTrainedModel):
        return True
    name = (
        "is_activation_checkpointing" if hasattr(model, "is_activation_checkpointing") else "is_gradient_checkpointing"
    )
    return not getattr(model, name)


def _autocast(args: TrainingArguments, device: str) -> AbstractContextManager[object]:
    """Return the precision of training."""
    if not (args.bf16 or args.fp16):
        return nullcontext()
    return torch.autocast(device, dtype=torch.bfloat16 if args.bf16 else torch.float16)
