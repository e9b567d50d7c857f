"""Forecasts that need no model, and their losses over windows: no window dropped, none counted twice."""

from collections.abc import Callable, Mapping
from functools import partial

import numpy as np
import torch
from torch import Tensor

from tracetune.base.errors import InputError
from tracetune.data.batch_source import BatchSource
from tracetune.data.windows import batches
from tracetune.evaluation.baselines import repeat_last, seasonal_naive
from tracetune.tasks.forecasting.losses import squared_error_per_sample

_BATCH = 1024

Batch = Mapping[str, Tensor]
BatchForecaster = Callable[[Batch], Tensor]


def naive_forecasters(prediction_length: int, season: int) -> dict[str, BatchForecaster]:
    """Return the forecasts that need no model: the last value, and the last season where there is one.

    Raises:
        InputError: a season below 1.
    """
    if season < 1:
        raise InputError(f"Expected a season of at least 1 step (1: none), found {season}.")
    naive: dict[str, BatchForecaster] = {"repeat last": partial(_repeat_last, prediction_length=prediction_length)}
    if season > 1:
        naive[f"seasonal naive ({season})"] = partial(
            _seasonal_naive, season=season, prediction_length=prediction_length
        )
    return naive


def naive_losses(validation: BatchSource, prediction_length: int, season: int) -> dict[str, float]:
    """Return validation losses of the naive forecasts: means over windows, as those of models, of the same windows.

    They see the context only, as the model does; a season longer than it is left out.

    Args:
        validation: windows of one or more channels.
        prediction_length: H.
        season: steps of one season; 1 for none.
    """
    losses: dict[str, list[np.ndarray]] = {}
    for batch in batches(validation, _BATCH):
        fits = season if season <= batch["past_values"].shape[-1] else 1
        for name, forecaster in naive_forecasters(prediction_length, fits).items():
            found = squared_error_per_sample(forecaster(batch), batch["future_values"], batch["future_mask"])
            losses.setdefault(name, []).append(found.double().cpu().numpy())
    return {name: float(np.concatenate(parts).mean()) for name, parts in losses.items()}


def _repeat_last(batch: Batch, prediction_length: int) -> Tensor:
    return _forecast_tensor(repeat_last(_past_with_gaps(batch), prediction_length))


def _seasonal_naive(batch: Batch, season: int, prediction_length: int) -> Tensor:
    return _forecast_tensor(seasonal_naive(_past_with_gaps(batch), season, prediction_length))


def _past_with_gaps(batch: Batch) -> np.ndarray:
    return torch.where(batch["input_mask"] > 0, batch["past_values"], torch.nan).cpu().numpy()


def _forecast_tensor(forecast: np.ndarray) -> Tensor:
    """Return forecasts with 0, the mean of scaled series, where a context without observations gave NaN."""
    return torch.from_numpy(np.nan_to_num(forecast)).float()
