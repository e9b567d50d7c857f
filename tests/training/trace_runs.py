"""Short Trainer runs with the callback, for its tests."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
from torch import nn
from torch.utils.data import Dataset
from transformers import (
    Trainer,
    TrainerCallback,
    TrainingArguments,
)

from tests.selection.toys import forecast_batches, lora_forecaster
from tracetune.selection.config import SelectionConfig
from tracetune.training.trace_callback import TraceCallback

STEPS = 20


class Samples(Dataset):
    """The samples of one batch, one by one."""

    def __init__(self, batch: dict[str, torch.Tensor]) -> None:
        self.batch = batch

    def __len__(self) -> int:
        return len(next(iter(self.batch.values())))

    def __getitem__(self, index: int) -> dict[str, torch.Tensor]:
        return {key: value[index] for key, value in self.batch.items()}


def arguments(folder: Path, **options: Any) -> TrainingArguments:
    defaults = {
        "output_dir": str(folder),
        "max_steps": STEPS,
        "per_device_train_batch_size": 4,
        "learning_rate": 1e-2,
        "use_cpu": True,
        "report_to": "none",
        "disable_tqdm": True,
        "save_strategy": "no",
        "remove_unused_columns": False,
        "label_names": ["y"],
    }
    return TrainingArguments(**{**defaults, **options})


def trainer(
    folder: Path,
    callback: TraceCallback,
    model: nn.Module | None = None,
    callbacks: tuple[Any, ...] = (),
    **options: Any,
) -> Trainer:
    torch.manual_seed(0)
    model = lora_forecaster() if model is None else model
    data = Samples(forecast_batches((16,), seed=2)[0])
    return Trainer(
        model, arguments(folder, **options), train_dataset=data, eval_dataset=data, callbacks=[callback, *callbacks]
    )


def selection(**options: Any) -> SelectionConfig:
    """A configuration whose rounds all take place, although these runs are short."""
    return SelectionConfig(**{"cost_share": 1.0, **options})


def validation() -> list[dict[str, torch.Tensor]]:
    return forecast_batches((8, 8), seed=3)


def weights(model: nn.Module) -> dict[str, torch.Tensor]:
    return {name: value.detach().clone() for name, value in model.state_dict().items()}


def same(one: dict[str, torch.Tensor], other: dict[str, torch.Tensor]) -> bool:
    return one.keys() == other.keys() and all(torch.equal(one[key], other[key]) for key in one)


class CallAt(TrainerCallback):
    """Does something when the checkpoint of a step has been written."""

    def __init__(self, step: int, act: Callable[[Any], None]) -> None:
        self.step = step
        self.act = act

    def on_save(self, args: Any, state: Any, control: Any, **kwargs: Any) -> None:
        if state.global_step == self.step:
            self.act(control)


class Crash(Exception):
    pass


def crash(control: Any) -> None:
    raise Crash


def stop(control: Any) -> None:
    control.should_training_stop = True
