"""Settings of the Trainer; importable without PyTorch."""

import math
from dataclasses import dataclass
from typing import Final, Literal

from tracetune.base.argument_types import checked_fields
from tracetune.base.errors import InputError, argument

AUTO: Final = "auto"
ALL: Final = "all"
_LEAST = {"weight_decay": 0, "max_grad_norm": 0, "num_workers": 0, "early_stopping_patience": 1}


@checked_fields
@dataclass(frozen=True)
class TrainingConfig:
    """Settings of training; names as in Hugging Face's TrainingArguments where it has them.

    >>> TrainingConfig(num_train_epochs=2, batch_size=32).total_steps(windows=1000)
    64

    Attributes:
        learning_rate: peak rate of the adapters (of the backbone in full fine-tuning). None takes the method's own for
            the task, "auto" lets a fit try three rates for a quarter of the steps, and train at the one that does best
            on validation.
        head_learning_rate: peak rate of the head. None takes 1e-3 where only the head is trained, and 1e-5 beside
            adapters, which learned more with a slow head.
        num_train_epochs: passes over the training windows.
        max_steps: optimizer steps; overrides the epochs where positive.
        epoch_windows: windows that count as one epoch, a fresh random part of all windows each time; none comes
            again before all have been seen. "all", or more than there are, counts all windows. "auto" counts all as
            well, except that a fit of a forecaster takes at most 20,000: windows that begin a step apart are nearly
            the same (estimators/forecasting/epoch_bound.py).
        batch_size: windows per optimizer step, over all processes; for each GPU where one process uses several.
        max_tokens: most tokens (windows x patches N) in one forward pass of training, of its validation rounds and of
            scoring. A larger batch is trained in micro-batches whose accumulated gradient is that of the whole batch.
            None for no limit.
        weight_decay: decoupled weight decay (AdamW).
        max_grad_norm: gradients are clipped to this norm.
        warmup_share: share of the steps in which the one-cycle schedule rises.
        evaluations: validation rounds, spread evenly over the run. Those at which no model can be chosen, before TRACE
            and AdaLoRA are down to their final size, are left out.
        early_stopping_patience: rounds without a better validation loss before training stops.
        seed: fixes initial weights, order of windows and dropout.
        bf16: bfloat16 autocast; "auto" where the hardware computes in bfloat16 (see supports_bf16), else float32.
        compile: torch.compile the model.
        num_workers: data-loading processes; 0 loads in the training process.
    """

    learning_rate: float | Literal["auto"] | None = None
    head_learning_rate: float | None = None
    num_train_epochs: float = 5.0
    max_steps: int = -1
    epoch_windows: int | Literal["auto", "all"] = AUTO
    batch_size: int = 64
    max_tokens: int | None = None
    weight_decay: float = 0.0
    max_grad_norm: float = 1.0
    warmup_share: float = 0.3
    evaluations: int = 10
    early_stopping_patience: int = 3
    seed: int = 0
    bf16: bool | Literal["auto"] = False
    compile: bool = False
    num_workers: int = 0

    def __post_init__(self) -> None:
        for name in ("learning_rate", "head_learning_rate", "batch_size", "evaluations", "num_train_epochs"):
            value = getattr(self, name)
            if (name, value) in (("head_learning_rate", None), ("learning_rate", None), ("learning_rate", AUTO)):
                continue
            if isinstance(value, str) or not (math.isfinite(value) and value > 0):
                auto = f", or {AUTO!r}" if name == "learning_rate" else ""
                raise InputError(f"Expected {argument(name)} above 0{auto}, found {value!r}.")
        if self.max_steps != -1 and self.max_steps < 1:
            raise InputError(
                f"Expected {argument('max_steps')} of at least 1, or -1 for no such limit, found {self.max_steps}."
            )
        if not 0 <= self.warmup_share < 1:
            raise InputError(f"Expected warmup_share in [0, 1), found {self.warmup_share}.")
        if self.epoch_windows not in (AUTO, ALL) and (isinstance(self.epoch_windows, str) or self.epoch_windows < 1):
            raise InputError(
                f"Expected {argument('epoch_windows')} to be a whole number of at least 1, {AUTO!r} or {ALL!r}, found "
                f"{self.epoch_windows!r}."
            )
        if self.max_tokens is not None and self.max_tokens < 1:
            raise InputError(
                f"Expected {argument('max_tokens')} of at least 1, or none for no limit, found {self.max_tokens!r}."
            )
        for name, least in _LEAST.items():
            if not (value := getattr(self, name)) >= least:
                raise InputError(f"Expected {argument(name)} of at least {least}, found {value!r}.")
        if self.bf16 not in (True, False, "auto"):
            raise InputError(f"Expected {argument('bf16')} to be true, false or auto, found {self.bf16!r}.")

    def only_rate(self) -> float:
        """Return the learning rate of one training.

        Raises:
            InputError: it is "auto", which only a fit can choose, by validation; or None, and no method is known.
        """
        if self.learning_rate is None or isinstance(self.learning_rate, str):
            why = "nothing is chosen by validation" if self.learning_rate == AUTO else "no method says its own"
            raise InputError(
                f"Expected a number for {argument('learning_rate')}, found {self.learning_rate!r}: {why} here. "
                f"Use {argument('learning_rate', 2e-3)}."
            )
        return self.learning_rate

    def total_steps(self, windows: int) -> int:
        """Return optimizer steps of a run over this many training windows."""
        if self.max_steps > 0:
            return self.max_steps
        return max(1, math.ceil(self.num_train_epochs * math.ceil(self.windows_an_epoch(windows) / self.batch_size)))

    def windows_an_epoch(self, windows: int) -> int:
        """Return how many of so many training windows count as one epoch."""
        return windows if isinstance(self.epoch_windows, str) else min(windows, self.epoch_windows)

    def most_windows(self, tokens_per_sample: int | None) -> int | None:
        """Return windows that fit into one forward pass; None without limit.

        Args:
            tokens_per_sample: C N; N is the backbone's ``num_patches`` of the context.

        Raises:
            InputError: not even one window fits, or there is a limit and N is not given.
        """
        if self.max_tokens is None:
            return None
        if tokens_per_sample is None:
            raise InputError(
                f"{argument('max_tokens')} needs tokens_per_sample: pass the backbone's num_patches(context_length)."
            )
        if self.max_tokens < tokens_per_sample:
            raise InputError(
                f"Expected {argument('max_tokens')} of at least {tokens_per_sample}, found {self.max_tokens}: one "
                f"window has {tokens_per_sample} tokens. Allow more, or shorten the context."
            )
        return self.max_tokens // tokens_per_sample
