"""Forecasting data: series scaled by their training part, and the windows of each part."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor, nn

from tracetune.base.errors import InputError
from tracetune.data.frames import Panel
from tracetune.data.splits import PanelSplit, Scaler
from tracetune.data.windows import BatchSource, Windows


@dataclass(frozen=True)
class ScaledPanel:
    """Series of a panel, each channel scaled by a range of its own series.

    Scaling makes the losses of series of any magnitude comparable; forecasts are mapped back.

    Attributes:
        values: one [C, L] float32 array a series, NaN where missing.
        scalers: one a series.
    """

    values: tuple[np.ndarray, ...]
    scalers: tuple[Scaler, ...]


def scale_panel(panel: Panel, ranges: Sequence[tuple[int, int]] | None = None) -> ScaledPanel:
    """Scale every series by mean and deviation of its range (start, stop); None takes all of it."""
    ranges = [(0, series.values.shape[1]) for series in panel.series] if ranges is None else ranges
    scalers = tuple(
        Scaler.fit(series.values, start, stop) for series, (start, stop) in zip(panel.series, ranges, strict=True)
    )
    values = tuple(
        scaler.transform(series.values).astype(np.float32) for series, scaler in zip(panel.series, scalers, strict=True)
    )
    return ScaledPanel(values, scalers)


@dataclass(frozen=True)
class ForecastData:
    """Training and validation windows of one panel."""

    train: BatchSource
    validation: BatchSource


def forecast_data(
    panel: Panel,
    split: PanelSplit,
    context_length: int,
    prediction_length: int,
    stride: int = 1,
    min_context: int | None = None,
    validation_windows: int | None = None,
) -> ForecastData:
    """Windows of a split panel; the scaler sees the training ranges only.

    Args:
        panel: the series.
        split: ranges of target steps of each part.
        context_length: T.
        prediction_length: H.
        stride: steps between the origins of training windows.
        min_context: least number of real context steps in a training window; None for full contexts where they fit.
        validation_windows: about how many validation windows to keep, evenly spread; None keeps all.

    Raises:
        InputError: no window fits, no value is observed in a part, or a number is below 1.
    """
    if validation_windows is not None and validation_windows < 1:
        raise InputError(f"Expected validation_windows of at least 1, found {validation_windows}.")
    scaled = scale_panel(panel, split.train)
    require_observed(scaled.values, split.train, "training")
    require_observed(scaled.values, split.validation, "validation")
    train = Windows(scaled.values, context_length, prediction_length, split.train, stride, min_context)
    validation = Windows(scaled.values, context_length, prediction_length, split.validation)
    if validation_windows is not None and len(validation) > validation_windows:
        step = -(-len(validation) // validation_windows)
        validation = Windows(scaled.values, context_length, prediction_length, split.validation, step)
    return ForecastData(train, validation)


def require_observed(values: Sequence[np.ndarray], ranges: Sequence[tuple[int, int]], part: str) -> None:
    """Raise InputError if every value [C, L] of every series is missing in its range."""
    if all(np.isnan(array[:, start:stop]).all() for array, (start, stop) in zip(values, ranges, strict=True)):
        raise InputError(
            f"Every value of the {part} part is missing: nothing can be learned or measured there. Leave out the empty "
            "end of the series, or give data with values in that part."
        )


def batches(dataset: BatchSource, batch_size: int, device: torch.device | str = "cpu") -> Iterator[dict[str, Tensor]]:
    """All rows of a data set in order, in whole batches; the last one may be smaller."""
    if batch_size < 1:
        raise InputError(f"Expected batch_size of at least 1, found {batch_size}.")
    size = len(dataset)
    for start in range(0, size, batch_size):
        batch = dataset.__getitems__(list(range(start, min(start + batch_size, size))))
        yield {name: tensor.to(device) for name, tensor in batch.items()}


def validation_loss(model: nn.Module, dataset: BatchSource, batch_size: int = 256) -> float:
    """Mean of the per-sample losses over a whole data set, in evaluation mode."""
    device = next(model.parameters()).device
    model.eval()
    total = torch.zeros((), dtype=torch.float64)
    with torch.inference_mode():
        for batch in batches(dataset, batch_size, device):
            total += model(**batch).sample_losses.double().sum().cpu()
    return float(total / len(dataset))
