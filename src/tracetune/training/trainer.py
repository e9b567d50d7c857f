"""The Hugging Face Trainer, set up in one place for every method and task."""

from __future__ import annotations

import logging
import math
from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Any

import torch
from accelerate.data_loader import prepare_data_loader
from peft import PeftModel
from torch import Tensor, nn
from torch.optim import Optimizer
from torch.optim.lr_scheduler import LRScheduler, OneCycleLR
from torch.utils.data import DataLoader, Dataset
from transformers import (
    EarlyStoppingCallback,
    PrinterCallback,
    Trainer,
    TrainerCallback,
    TrainerControl,
    TrainerState,
    TrainingArguments,
)

from tracetune.base.device import resolve_device, supports_bf16
from tracetune.base.errors import InputError
from tracetune.base.processes import process_count
from tracetune.data.batch_source import BatchSource, identity_collate, lengths_of
from tracetune.training.micro_batches import (
    MicroBatches,
    Order,
    TaskLabels,
    counted,
    kept_order,
    length_grouped_order,
    random_order,
    share_of_step,
)

if TYPE_CHECKING:
    from tracetune.training.config import TrainingConfig
    from tracetune.training.run import Run

_HEAD_RATE_ALONE, _HEAD_RATE_BESIDE_ADAPTERS = 1e-3, 1e-5  # the latter: benchmarks/head_beside_adapters
_ALWAYS: dict[str, Any] = {
    "load_best_model_at_end": True,
    "metric_for_best_model": "eval_loss",
    "greater_is_better": False,
    "restore_callback_states_from_checkpoint": True,
    "prediction_loss_only": True,
    "remove_unused_columns": False,
    "disable_tqdm": True,
    "report_to": "none",
}


@dataclass(frozen=True)
class TrainedModule:
    """A module to train.

    Attributes:
        module: returns a mapping with ``loss`` from a batch; only parameters that require gradients are optimised. With
            ``max_tokens`` the loss must be a mean over the rows.
        head: the part that trains with ``head_learning_rate``; None where there is none.
        labels: names of the batch entries without which there is no loss.
        tokens_per_sample: C N, which ``max_tokens`` counts by.
    """

    module: nn.Module
    head: nn.Module | None = None
    labels: Sequence[str] = ("future_values",)
    tokens_per_sample: int | None = None


def build_trainer(
    trained: TrainedModule,
    config: TrainingConfig,
    train: BatchSource,
    validation: BatchSource,
    run: Run,
    *,
    shuffle: bool = True,
    first_evaluation: int = 0,
) -> Trainer:
    """Return a Trainer that keeps the checkpoint with the best validation loss.

    Args:
        trained: what is trained.
        config: how to train.
        train: samples; its ``__getitems__`` returns whole batches.
        validation: samples whose mean loss chooses the checkpoint.
        run: where it runs. `tracetune.training.checkpoints.train` goes on from the last whole checkpoint in its folder;
            any device but ``"cpu"`` lets the Trainer use the accelerator it finds.
        shuffle: whether to visit the training samples in random order.
        first_evaluation: step before which there is no validation round, whatever ``config.evaluations`` says.

    Raises:
        InputError: no parameter is trainable, or not one sample fits into ``config.max_tokens``.
    """
    steps = config.total_steps(len(train))
    most = config.most_windows(trained.tokens_per_sample)
    micro = _micro_batches(train, config, most, shuffle)
    arguments = TrainingArguments(
        output_dir=str(run.folder),
        use_cpu=run.device == "cpu",
        label_names=list(trained.labels),
        **_rounds(config, steps, first_evaluation),
        **_batching(config, micro, most, shuffle),
        seed=config.seed,
        data_seed=config.seed,
        max_grad_norm=config.max_grad_norm,
        bf16=supports_bf16(resolve_device(run.device)) if config.bf16 == "auto" else config.bf16,
        torch_compile=config.compile,
        **_ALWAYS,
    )
    trainer = _TrainerOfAnyModule(
        model=trained.module,
        args=arguments,
        train_dataset=train if micro is None else micro,
        eval_dataset=validation,
        data_collator=identity_collate if micro is None else counted,
        compute_loss_func=None if micro is None else partial(share_of_step, devices=max(1, arguments.n_gpu)),
        optimizers=_optimizer_and_schedule(parameter_groups(trained.module, trained.head, config), config, steps),
        callbacks=_callbacks(config, run, micro),
    )
    trainer.remove_callback(PrinterCallback)
    if process_count() > 1:
        _validate_in_each_process(trainer)
    logging.getLogger("transformers.trainer_utils").addFilter(_is_not_about_file_times)
    return trainer


class _TrainerOfAnyModule(Trainer):
    """The Trainer, for modules in which two names stand for one weight, too: safetensors files hold it twice then."""

    def _save(self, output_dir: str | None = None, state_dict: dict[str, Tensor] | None = None) -> None:
        if state_dict is None and not isinstance(self.model, PeftModel):
            state_dict, seen = self.model.state_dict(), set[int]()
            for name, weight in state_dict.items():
                storage = weight.untyped_storage().data_ptr()
                state_dict[name] = weight.clone() if storage in seen else weight
                seen.add(storage)
        super()._save(output_dir, state_dict)


def _callbacks(config: TrainingConfig, run: Run, micro: MicroBatches | None) -> list[TrainerCallback]:
    """Return the callbacks of every training, and those of the run behind them."""
    labels = [] if micro is None else [TaskLabels()]
    return [EarlyStoppingCallback(config.early_stopping_patience), _LastStepCompetes(), *labels, *run.callbacks]


def _micro_batches(train: BatchSource, config: TrainingConfig, most: int | None, shuffle: bool) -> MicroBatches | None:
    """Return batches in parts of at most ``most`` windows; None where the Trainer cuts whole ones by itself.

    Several processes have parts, too: each takes its share of a batch. Rows of unequal lengths are batched by length.
    """
    lengths = lengths_of(train) if shuffle else None
    if process_count() == 1 and lengths is None and (most is None or most >= config.batch_size):
        return None
    order = _order(len(train), lengths, config) if shuffle else kept_order(len(train))
    return MicroBatches(train, config.batch_size, most or config.batch_size, order, process_count())


def _order(rows: int, lengths: Sequence[int] | None, config: TrainingConfig) -> Order:
    """Return random orders of the rows, in which those of about the same length share a batch where lengths differ."""
    if lengths is None:
        return random_order(rows, config.seed)
    return length_grouped_order(lengths, config.batch_size, config.seed)


class _LastStepCompetes(TrainerCallback):
    """Measures the model after the last step, too, where rounds at a fixed distance miss it.

    Early releases of transformers 5 do not: there what the last steps learned would be dropped unseen.
    """

    def on_step_end(
        self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **kwargs: object
    ) -> None:
        if state.global_step >= state.max_steps:
            control.should_evaluate = True


def _optimizer_and_schedule(
    groups: list[dict[str, Any]], config: TrainingConfig, steps: int
) -> tuple[Optimizer, LRScheduler]:
    """Return AdamW and a one-cycle schedule of its learning rates."""
    total, rise = steps + 1, config.warmup_share
    if rise * total == 1:  # the first step is the peak: OneCycleLR would divide by the length of the way there
        rise = 0.0
    optimizer = torch.optim.AdamW(groups, weight_decay=config.weight_decay, fused=True)  # many small weights
    schedule = OneCycleLR(
        optimizer,
        max_lr=[group["lr"] for group in optimizer.param_groups],
        total_steps=total,
        pct_start=rise,
        cycle_momentum=False,
    )
    return optimizer, schedule


def parameter_groups(model: nn.Module, head: nn.Module | None, config: TrainingConfig) -> list[dict[str, Any]]:
    """Return trainable parameters in two groups: the head with its own learning rate, and the rest.

    Raises:
        InputError: no parameter is trainable, or the rest has a learning rate of "auto".
    """
    of_head = {id(parameter) for parameter in head.parameters()} if head is not None else set()
    trainable = [parameter for parameter in model.parameters() if parameter.requires_grad]
    if not trainable:
        raise InputError("Expected a model with trainable parameters, found none. Unfreeze a head or add adapters.")
    others = [parameter for parameter in trainable if id(parameter) not in of_head]
    head_rate = config.head_learning_rate
    if head_rate is None:
        head_rate = _HEAD_RATE_BESIDE_ADAPTERS if others else _HEAD_RATE_ALONE
    groups: list[dict[str, Any]] = [] if not others else [{"params": others, "lr": config.only_rate()}]
    heads = [parameter for parameter in trainable if id(parameter) in of_head]
    return groups if not heads else [*groups, {"params": heads, "lr": head_rate}]


def _rounds(config: TrainingConfig, steps: int, first_evaluation: int) -> dict[str, Any]:
    """Return the Trainer's arguments on how long it trains, and when it validates, saves and logs."""
    interval = math.ceil(steps / config.evaluations)
    return {
        "max_steps": steps,
        "eval_strategy": "steps",
        "eval_steps": interval,
        "eval_delay": first_evaluation,
        "save_steps": interval,
        "logging_steps": interval,
    }


def _batching(config: TrainingConfig, micro: MicroBatches | None, most: int | None, shuffle: bool) -> dict[str, Any]:
    """Return the Trainer's arguments on batches, of which at most ``most`` samples are computed at a time."""
    evaluated = 4 * config.batch_size
    return {
        "per_device_train_batch_size": config.batch_size if micro is None else 1,  # an item is a micro-batch
        "gradient_accumulation_steps": 1 if micro is None else micro.parts_per_batch // micro.processes,
        "per_device_eval_batch_size": evaluated if most is None else min(evaluated, most),
        "train_sampling_strategy": "random" if shuffle and micro is None else "sequential",
        "dataloader_num_workers": config.num_workers,
    }


def _is_not_about_file_times(record: logging.LogRecord) -> bool:
    """Return whether a log record is other than the Trainer's note that it orders checkpoints by their numbers."""
    return "mtime may not be reliable" not in record.getMessage()


def _validate_in_each_process(trainer: Trainer) -> None:
    """Let each process measure the validation loss on all rows, so that it is that of a single process.

    Accelerate would share them out, and fill up the last batch with rows that are there already.
    """

    def all_rows(dataset: Dataset | None = None) -> DataLoader:
        rows = trainer.eval_dataset if dataset is None else dataset
        loader = DataLoader(rows, batch_size=trainer.args.eval_batch_size, collate_fn=trainer.data_collator)
        return prepare_data_loader(loader, num_processes=1, process_index=0, put_on_device=False)

    def without_padding(losses: Tensor, **options: object) -> Tensor:
        state = trainer.accelerator.gradient_state
        return losses[: state.remainder] if state.end_of_dataloader and state.remainder > 0 else losses

    trainer.get_eval_dataloader = all_rows
    trainer.gather_function = trainer.accelerator.gather_for_metrics = (
        without_padding  # the Trainer restores the latter
    )
