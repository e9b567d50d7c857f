"""The Hugging Face Trainer, set up in one place for every method and task."""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import nn
from torch.utils.data import Dataset
from transformers import EarlyStoppingCallback, PrinterCallback, Trainer, TrainerCallback, TrainingArguments

from tracetune.base.errors import InputError


@dataclass(frozen=True)
class TrainingConfig:
    """How to train; names as in Hugging Face's TrainingArguments where it has them.

    Attributes:
        learning_rate: peak rate of adapters (or of the backbone, where it trains).
        head_learning_rate: peak rate of the head.
        num_train_epochs: passes over the training windows.
        max_steps: optimiser steps; overrides the epochs where positive.
        batch_size: windows per optimiser step and device.
        weight_decay: decoupled weight decay (AdamW).
        max_grad_norm: gradients are clipped to this norm.
        warmup_share: share of the steps in which the one-cycle schedule rises.
        evaluations: validation rounds, spread evenly over the run.
        early_stopping_patience: rounds without a better validation loss before training stops.
        seed: fixes initial weights, order of windows and dropout.
        bf16: bfloat16 autocast.
        compile: torch.compile the model.
        num_workers: data-loading processes; 0 loads in the training process.
    """

    learning_rate: float = 1e-3
    head_learning_rate: float = 1e-3
    num_train_epochs: float = 5.0
    max_steps: int = -1
    batch_size: int = 64
    weight_decay: float = 0.0
    max_grad_norm: float = 1.0
    warmup_share: float = 0.3
    evaluations: int = 10
    early_stopping_patience: int = 3
    seed: int = 0
    bf16: bool = False
    compile: bool = False
    num_workers: int = 0

    def __post_init__(self) -> None:
        for name in ("learning_rate", "head_learning_rate", "batch_size", "evaluations", "num_train_epochs"):
            value = getattr(self, name)
            if not (isinstance(value, (int, float)) and math.isfinite(value) and value > 0):
                raise InputError(f"Expected {name} above 0, found {value!r}.")
        if self.max_steps != -1 and self.max_steps < 1:
            raise InputError(f"Expected max_steps of at least 1, or -1 for no such limit, found {self.max_steps}.")
        if not 0 <= self.warmup_share < 1:
            raise InputError(f"Expected warmup_share in [0, 1), found {self.warmup_share}.")

    def total_steps(self, windows: int) -> int:
        """Optimiser steps of a run over this many training windows."""
        if self.max_steps > 0:
            return self.max_steps
        return max(1, math.ceil(self.num_train_epochs * math.ceil(windows / self.batch_size)))


def build_trainer(
    model: nn.Module,
    config: TrainingConfig,
    train: Dataset,
    validation: Dataset,
    folder: str | Path,
    *,
    head: nn.Module | None = None,
    labels: Sequence[str] = ("future_values",),
    callbacks: Sequence[TrainerCallback] = (),
    shuffle: bool = True,
    device: str = "cpu",
) -> Trainer:
    """A Trainer that keeps the checkpoint with the best validation loss.

    Args:
        model: returns a mapping with ``loss`` from a batch of ``train``; only parameters that require
            gradients are optimised.
        config: how to train.
        train: windows; its ``__getitems__`` returns whole batches.
        validation: windows whose mean loss chooses the checkpoint.
        folder: where checkpoints go; a run that was cut off resumes from the last one.
        head: the module that trains with ``head_learning_rate``.
        labels: names of the batch entries without which there is no loss.
        callbacks: further Trainer callbacks.
        shuffle: whether to visit the training windows in random order.
        device: ``"cpu"``, or any other name to let the Trainer use the accelerator it finds.
    """
    steps = config.total_steps(len(train))  # type: ignore[arg-type]
    optimizer = torch.optim.AdamW(parameter_groups(model, head, config), weight_decay=config.weight_decay)
    schedule = torch.optim.lr_scheduler.OneCycleLR(
        optimizer,
        max_lr=[group["lr"] for group in optimizer.param_groups],
        total_steps=steps + 1,
        pct_start=config.warmup_share,
        cycle_momentum=False,
    )
    trainer = Trainer(
        model=model,
        args=_arguments(config, steps, Path(folder), list(labels), shuffle, device),
        train_dataset=train,
        eval_dataset=validation,
        data_collator=_identity,
        optimizers=(optimizer, schedule),
        callbacks=[EarlyStoppingCallback(config.early_stopping_patience), *callbacks],
    )
    trainer.remove_callback(PrinterCallback)
    return trainer


def parameter_groups(model: nn.Module, head: nn.Module | None, config: TrainingConfig) -> list[dict[str, Any]]:
    """Trainable parameters in two groups: the head with its own learning rate, and the rest."""
    of_head = {id(parameter) for parameter in head.parameters()} if head is not None else set()
    trainable = [parameter for parameter in model.parameters() if parameter.requires_grad]
    if not trainable:
        raise InputError("Expected a model with trainable parameters, found none. Unfreeze a head or add adapters.")
    groups = (
        ([parameter for parameter in trainable if id(parameter) not in of_head], config.learning_rate),
        ([parameter for parameter in trainable if id(parameter) in of_head], config.head_learning_rate),
    )
    return [{"params": parameters, "lr": rate} for parameters, rate in groups if parameters]


def last_checkpoint(folder: str | Path) -> str | None:
    """Newest whole checkpoint below ``folder``; None where there is none."""
    whole = [path.parent for path in Path(folder).glob("checkpoint-*/trainer_state.json")]
    return str(max(whole, key=lambda path: int(path.name.rpartition("-")[2]))) if whole else None


def _arguments(
    config: TrainingConfig, steps: int, folder: Path, labels: list[str], shuffle: bool, device: str
) -> TrainingArguments:
    interval = max(1, steps // config.evaluations)
    return TrainingArguments(
        output_dir=str(folder),
        max_steps=steps,
        per_device_train_batch_size=config.batch_size,
        per_device_eval_batch_size=4 * config.batch_size,
        max_grad_norm=config.max_grad_norm,
        seed=config.seed,
        data_seed=config.seed,
        bf16=config.bf16,
        torch_compile=config.compile,
        use_cpu=device == "cpu",
        eval_strategy="steps",
        eval_steps=interval,
        save_steps=interval,
        save_total_limit=2,
        logging_steps=interval,
        load_best_model_at_end=True,
        metric_for_best_model="eval_loss",
        greater_is_better=False,
        restore_callback_states_from_checkpoint=True,
        prediction_loss_only=True,
        label_names=labels,
        remove_unused_columns=False,
        dataloader_num_workers=config.num_workers,
        train_sampling_strategy="random" if shuffle else "sequential",
        disable_tqdm=True,
        report_to="none",
    )


def _identity(batch: Any) -> Any:
    """Collate function for data sets that return whole batches."""
    return batch
