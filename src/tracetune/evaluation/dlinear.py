"""DLinear, the strongest small model of long-horizon forecasting, trained from scratch as a baseline."""

import copy
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional
from torch.utils.data import DataLoader, Dataset

from tracetune.base.errors import InputError
from tracetune.base.seeds import seed_everything

Batch = dict[str, Tensor]


class DLinear(nn.Module):
    """Trend and remainder of the context, each through its own linear layer, shared by all channels.

    Zeng et al. (2023), "Are Transformers Effective for Time Series Forecasting?". The trend is the centred moving
    average, with the first and the last value repeated beyond the ends. 2 (T H + H) parameters.

    Args:
        context_length: T.
        prediction_length: H.
        kernel: steps of the moving average, odd.

    Raises:
        InputError: an even ``kernel``, or one below 1.
    """

    def __init__(self, context_length: int, prediction_length: int, kernel: int = 25) -> None:
        super().__init__()
        if kernel < 1 or kernel % 2 == 0:
            raise InputError(f"Expected an odd moving-average kernel of at least 1, found {kernel}.")
        self.kernel = kernel
        self.trend = nn.Linear(context_length, prediction_length)
        self.remainder = nn.Linear(context_length, prediction_length)

    def forward(self, past_values: Tensor) -> Tensor:
        """Forecast [B, C, H] from past values [B, C, T], 0 where missing."""
        trend = self.moving_average(past_values)
        return self.trend(trend) + self.remainder(past_values - trend)

    def moving_average(self, past_values: Tensor) -> Tensor:
        """Return the centred moving average [B, C, T] of [B, C, T]."""
        half = self.kernel // 2
        padded = functional.pad(past_values, (half, half), mode="replicate")
        return functional.avg_pool1d(padded, self.kernel, stride=1)


@dataclass(frozen=True)
class DLinearConfig:
    """Training of DLinear; its authors' recipe, with windows of single channels.

    Attributes:
        learning_rate: of Adam in the first epoch; halved after each epoch.
        num_train_epochs: at most so many passes over the training windows.
        batch_size: windows per step.
        patience: epochs without a lower validation loss before training stops.
        kernel: steps of the moving average.
        seed: of the initial weights and the order of the windows.
    """

    learning_rate: float = 5e-3
    num_train_epochs: int = 10
    batch_size: int = 256
    patience: int = 3
    kernel: int = 25
    seed: int = 0

    def __post_init__(self) -> None:
        for name in ("learning_rate", "num_train_epochs", "batch_size", "patience"):
            if not getattr(self, name) > 0:
                raise InputError(f"Expected {name} above 0, found {getattr(self, name)!r}.")


def fit_dlinear(
    train: Dataset,
    validation: Dataset,
    context_length: int,
    prediction_length: int,
    config: DLinearConfig | None = None,
    on_epoch: Callable[[int, float], None] | None = None,
) -> DLinear:
    """Train DLinear; returned are the weights of the epoch with the lowest validation loss, in evaluation mode.

    Args:
        train: windows; ``__getitems__(indices)`` gives a batch ``past_values`` [B, 1, T], ``future_values`` and
            ``future_mask`` [B, 1, H].
        validation: windows of the same form.
        context_length: T.
        prediction_length: H.
        config: the recipe.
        on_epoch: called after each epoch with its number, from 1, and the validation loss.

    Raises:
        InputError: no epoch has a finite validation loss.
    """
    config = config or DLinearConfig()
    seed_everything(config.seed)
    model = DLinear(context_length, prediction_length, config.kernel)
    optimizer = torch.optim.Adam(model.parameters(), lr=config.learning_rate)
    schedule = torch.optim.lr_scheduler.ExponentialLR(optimizer, gamma=0.5)
    best_loss, best_epoch, best_state = float("inf"), 0, model.state_dict()
    for epoch in range(1, config.num_train_epochs + 1):
        _train_epoch(model, optimizer, _batches(train, config.batch_size, shuffle=True))
        schedule.step()
        loss = _mean_loss(model, _batches(validation, config.batch_size, shuffle=False))
        if on_epoch is not None:
            on_epoch(epoch, loss)
        if loss < best_loss:
            best_loss, best_epoch, best_state = loss, epoch, copy.deepcopy(model.state_dict())
        if epoch - best_epoch >= config.patience:
            break
    if best_epoch == 0:
        raise InputError(
            f"DLinear's validation loss was {loss} after each epoch. Check that the validation windows have observed "
            "values and that all values are finite, or lower the learning_rate."
        )
    model.load_state_dict(best_state)
    return model.eval()


def _train_epoch(model: DLinear, optimizer: torch.optim.Optimizer, batches: Iterator[Batch]) -> None:
    model.train()
    for batch in batches:
        total, steps = _squared_errors(model, batch)
        optimizer.zero_grad()
        (total / steps.clamp(min=1)).backward()
        optimizer.step()


def _mean_loss(model: DLinear, batches: Iterator[Batch]) -> float:
    """Return the mean squared error over all observed steps of all batches."""
    model.eval()
    with torch.inference_mode():
        sums = [torch.stack(_squared_errors(model, batch)).double() for batch in batches]
    total, steps = torch.stack(sums).sum(dim=0)
    return float(total / steps)


def _squared_errors(model: DLinear, batch: Batch) -> tuple[Tensor, Tensor]:
    """Return the sum of the squared errors over observed future steps, and how many those are."""
    errors = model(batch["past_values"]) - batch["future_values"]
    return (errors.square() * batch["future_mask"]).sum(), batch["future_mask"].sum()


def _batches(dataset: Dataset, batch_size: int, shuffle: bool) -> Iterator[Batch]:
    return iter(DataLoader(dataset, batch_size=batch_size, shuffle=shuffle, collate_fn=_as_it_is))


def _as_it_is(batch: object) -> Any:
    return batch
