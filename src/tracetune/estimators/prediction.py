"""Forecasts of a stream of series: full batches across series, out in order, nothing held that is not needed."""

from collections import deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, replace

import numpy as np
import pandas as pd
import torch

from tracetune.base.errors import InputError
from tracetune.data.frames import Panel, Series, frame_from_forecasts
from tracetune.data.splits import Scaler
from tracetune.data.windows import Batch, context_batch
from tracetune.tasks.forecasting import ForecastOutput


@dataclass(frozen=True, eq=False)
class SeriesForecast:
    """The forecast of one series.

    Attributes:
        forecast: [C, H] in the units of the scaled series.
        deviation: [C, 1] of its context, in the same units.
        scaler: leads back to the units of the series.
    """

    forecast: np.ndarray
    deviation: np.ndarray
    scaler: Scaler

    def points(self) -> np.ndarray:
        """Forecast [C, H] in the units of the series."""
        return self.scaler.inverse_transform(self.forecast)

    def quantiles(self, offsets: np.ndarray) -> np.ndarray:
        """Quantiles [C, H, Q], given offsets [H, Q] in deviations of the context."""
        spread = self.forecast + self.deviation * offsets.T[:, None, :]  # [Q, C, H]
        return np.moveaxis(self.scaler.inverse_transform(spread), 0, -1)


Model = Callable[[Batch], ForecastOutput]


def forecast_series(
    model: Model, values: Iterable[np.ndarray], context_length: int, batch_size: int
) -> Iterator[SeriesForecast]:
    """Forecast series as they come; each is scaled by its own mean and deviation.

    Rows of neighbouring series share batches, so many small series run at full batch size, and the same series in the
    same order give the same numbers however they are handed over. Reads at most one batch ahead of what it yields; of
    a series that waits, its last T steps are kept.

    Args:
        model: forecasts a batch of ``past_values`` and ``input_mask`` [B, 1, T].
        values: one array [C, L] a series, NaN where missing.
        context_length: T.
        batch_size: series and channels per forward pass.

    Raises:
        InputError: a batch size below 1.
    """
    scalers: deque[Scaler] = deque()
    forecasts, deviations = np.empty((0, 0), np.float32), np.empty((0, 1), np.float32)
    for batch in context_batch(_scaled_contexts(values, context_length, scalers), context_length, batch_size):
        with torch.inference_mode():
            output = model(batch)
        forecasts = _after(forecasts, output["forecast"])  # [rows, H], those of a series cut by the batch first
        deviations = _after(deviations, output["scale"])
        done = 0
        while scalers and done + len(scalers[0].mean) <= len(forecasts):
            scaler = scalers.popleft()
            rows = slice(done, done := done + len(scaler.mean))
            yield SeriesForecast(forecasts[rows], deviations[rows], scaler)
        forecasts, deviations = forecasts[done:], deviations[done:]


def forecast_panels(
    model: Model,
    panels: Iterable[Panel],
    context_length: int,
    batch_size: int,
    quantile_levels: Sequence[float] = (),
    offsets: np.ndarray | None = None,
) -> Iterator[pd.DataFrame]:
    """Forecast panels one after the other, each as a table; see :func:`forecast_series`.

    Args:
        model: forecasts a batch of ``past_values`` and ``input_mask`` [B, 1, T].
        panels: read as needed.
        context_length: T.
        batch_size: series and channels per forward pass.
        quantile_levels: Q levels, whose columns the tables get too.
        offsets: [H, Q], where these quantiles lie in deviations of the context; None for no quantiles.

    Raises:
        InputError: a panel without series.
    """
    waiting: deque[Panel] = deque()
    points: list[np.ndarray] = []
    quantiles: list[np.ndarray] = []
    for forecast in forecast_series(model, _values_of(panels, waiting), context_length, batch_size):
        points.append(forecast.points())
        if offsets is not None:
            quantiles.append(forecast.quantiles(offsets))
        if len(points) == len(waiting[0]):
            panel = waiting.popleft()
            yield frame_from_forecasts(panel, points, quantiles=quantiles or None, quantile_levels=quantile_levels)
            points, quantiles = [], []


def last_steps(panel: Panel, steps: int = 2) -> Panel:
    """The end of every series, copied, so that the rest can be freed: enough to tell what comes after it."""
    return replace(panel, series=tuple(_copied(series.cut(-steps, None)) for series in panel))


def checked_arrays(values: Iterable[np.ndarray]) -> Iterator[np.ndarray]:
    """The arrays [C, L] as float64, refused where no table could hold such a series.

    Raises:
        InputError: another shape, something else than numbers, an infinity, or not one value.
    """
    for index, array in enumerate(values):
        try:
            series = np.asarray(array, dtype=np.float64)
        except (TypeError, ValueError) as error:
            raise InputError(f"Expected numbers in series {index}, found something else: {error}") from error
        if series.ndim != 2 or len(series) == 0:
            raise InputError(
                f"Expected series {index} to have shape [channels, steps], found {list(series.shape)}. "
                "A univariate series is values[None, :]."
            )
        if np.isinf(series).any():
            raise InputError(f"Series {index} has infinite values. Put numbers or NaN: missing values are fine.")
        if np.isnan(series).all():
            raise InputError(f"Series {index} has no value at all. Leave it out.")
        yield series


def _scaled_contexts(values: Iterable[np.ndarray], context_length: int, scalers: deque[Scaler]) -> Iterator[np.ndarray]:
    """The last T steps of every series, scaled by all of it; each scaler is put into ``scalers``."""
    for array in values:
        series = np.ascontiguousarray(array, dtype=np.float64)  # sums depend on the order in memory in their last bits
        scaler = Scaler.fit(series)
        scalers.append(scaler)
        yield scaler.transform(series[:, -context_length:]).astype(np.float32)


def _after(kept: np.ndarray, rows: torch.Tensor | None) -> np.ndarray:
    """New rows [B, 1, n] after those [k, n] that were kept."""
    assert rows is not None, "forecast models give forecast and scale"
    new = rows.squeeze(1).cpu().numpy()
    return np.concatenate([kept, new]) if len(kept) else new


def _copied(series: Series) -> Series:
    return replace(series, timestamps=series.timestamps.copy(), values=series.values.copy())  # noqa: PD011 - as above


def _values_of(panels: Iterable[Panel], waiting: deque[Panel]) -> Iterator[np.ndarray]:
    """Values [C, L] of every series; what its forecast's frame needs of each panel is put into ``waiting``."""
    for panel in panels:
        if len(panel) == 0:
            raise InputError("Expected panels with series, found an empty one. Leave it out.")
        waiting.append(last_steps(panel))
        yield from (series.values for series in panel)  # noqa: PD011 - not a pandas object
        del panel  # or it would stay while the next one is read
