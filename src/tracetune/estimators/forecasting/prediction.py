"""Forecasts of a stream of series: full batches across series, results in order, memory independent of their number."""

from collections import deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from itertools import islice

import numpy as np
import pandas as pd
import torch

from tracetune.base.errors import InputError
from tracetune.data.batch_source import Batch
from tracetune.data.forecast_frame import frame_from_forecasts
from tracetune.data.panels import Panel, Series
from tracetune.data.splits import Scaler, require_magnitude
from tracetune.data.windows import context_batch
from tracetune.estimators.forecasting.recalibration import Recalibration, earlier_origins
from tracetune.estimators.series_arrays import numbers_of, question_order, refuse_infinite
from tracetune.tasks.forecasting.output import ForecastOutput


@dataclass(frozen=True, eq=False)
class Scaled:
    """Scale of a series, kept until its forecast is there.

    Attributes:
        scaler: by mean and deviation of each channel's context.
        constant: [C], the value of a channel that is constant in its context; NaN where it varies.
    """

    scaler: Scaler
    constant: np.ndarray


@dataclass(frozen=True, eq=False)
class SeriesForecast:
    """The forecast of one series.

    Attributes:
        forecast: [C, H] in the units of the scaled series.
        deviation: [C, 1] of its context, in the same units.
        scaled: leads back to the units of the series.
        lowest: no forecast is below.
        model_quantiles: [C, H, Q] in the same units, where the model forecasts quantiles.
    """

    forecast: np.ndarray
    deviation: np.ndarray
    scaled: Scaled
    lowest: float = -np.inf
    model_quantiles: np.ndarray | None = None

    def points(self) -> np.ndarray:
        """Forecast [C, H] in the units of the series.

        Raises:
            InputError: it is beyond the largest number.
        """
        return self._in_units(self.forecast)

    def quantiles(self, offsets: np.ndarray | None, widths: np.ndarray | None = None) -> np.ndarray:
        """Return quantiles [C, H, Q], given offsets [H, Q] in deviations of the context; None for those of the model.

        ``widths`` [C] multiplies the offsets of each channel.

        Raises:
            InputError: one is beyond the largest number.
        """
        if offsets is None:
            assert self.model_quantiles is not None, "without offsets the model forecasts quantiles"
            return np.moveaxis(self._in_units(np.moveaxis(self.model_quantiles, -1, 0)), 0, -1)
        deviation = self.deviation if widths is None else self.deviation * widths[:, None]
        return np.moveaxis(self._in_units(self.forecast + deviation * offsets.T[:, None, :]), 0, -1)

    def errors(self, truth: np.ndarray) -> np.ndarray:
        """Return truth [C, H], in the units of the series, less the forecast, in deviations of the context.

        NaN where the truth is missing, and where the context was constant.
        """
        scaled = self.scaled.scaler.transform(truth)
        varies = np.isnan(self.scaled.constant)[:, None]
        with np.errstate(divide="ignore", invalid="ignore"):
            return np.where(varies, (scaled - self.forecast) / self.deviation, np.nan)

    def _in_units(self, values: np.ndarray) -> np.ndarray:
        """Return scaled values [..., C, H] in the units of the series; those of constant channels are that constant."""
        constant = self.scaled.constant[:, None]
        with np.errstate(over="ignore"):
            restored = self.scaled.scaler.inverse_transform(values.astype(np.float64))
        restored = np.maximum(np.where(np.isnan(constant), restored, constant), self.lowest)
        if not np.isfinite(restored).all():
            raise InputError(
                "A forecast is not finite: the series has values near the largest number there is, or the model is "
                "damaged. Divide the series by a constant first, or try another model."
            )
        return restored


Model = Callable[[Batch], ForecastOutput]


def forecast_series(
    model: Model, values: Iterable[np.ndarray], context_length: int, batch_size: int, lowest: float = -np.inf
) -> Iterator[SeriesForecast]:
    """Forecast series as they come; each channel is scaled by mean and deviation of its context, in float64.

    What is constant in the context is forecast as that constant, quantiles too.

    Rows of neighbouring series share batches, so many small series run at full batch size, and the same series in the
    same order give the same numbers however they are handed over. Reads at most one batch ahead of what it yields; of
    a series that waits, its last T steps are kept.

    Args:
        model: forecasts a batch of ``past_values`` and ``input_mask`` [B, 1, T].
        values: one array [C, L] a series, NaN where missing.
        context_length: T.
        batch_size: series and channels per forward pass.
        lowest: no forecast is below.

    Raises:
        InputError: a batch size below 1.
    """
    waiting: deque[Scaled] = deque()
    forecasts, deviations = np.empty((0, 0), np.float32), np.empty((0, 1), np.float32)
    quantiles: np.ndarray | None = None  # [rows, H, Q]
    for batch in context_batch(_scaled_contexts(values, context_length, waiting), context_length, batch_size):
        with torch.inference_mode():
            output = model(batch)
        forecasts = _after(forecasts, output["forecast"])  # [rows, H], those of a series cut by the batch first
        deviations = _after(deviations, output["scale"])
        if output.quantiles is not None:
            quantiles = _after(np.empty(0) if quantiles is None else quantiles, output.quantiles)
        done = 0
        while waiting and done + len(waiting[0].constant) <= len(forecasts):
            scaled = waiting.popleft()
            rows = slice(done, done := done + len(scaled.constant))
            of_series = None if quantiles is None else quantiles[rows]
            yield SeriesForecast(forecasts[rows], deviations[rows], scaled, lowest, of_series)
        forecasts, deviations = forecasts[done:], deviations[done:]
        quantiles = None if quantiles is None else quantiles[done:]


def recalibrated_series(
    model: Model,
    values: Iterable[np.ndarray],
    context_length: int,
    batch_size: int,
    lowest: float = -np.inf,
    recalibration: Recalibration | None = None,
) -> Iterator[tuple[SeriesForecast, np.ndarray | None]]:
    """Yield the forecast of each series as `forecast_series` does, and the factors [C] of its widths.

    Args:
        model: forecasts a batch of ``past_values`` and ``input_mask`` [B, 1, T].
        values: one array [C, L] a series, NaN where missing.
        context_length: T.
        batch_size: series and channels per forward pass.
        lowest: no forecast is below.
        recalibration: from which earlier origins each series is forecast, too; None leaves widths as they are.
    """
    if recalibration is None:
        yield from ((each, None) for each in forecast_series(model, values, context_length, batch_size, lowest))
        return
    length = len(recalibration.half_widths)
    known: deque[list[np.ndarray]] = deque()  # of each series, what came after its earlier origins

    def pasts() -> Iterator[np.ndarray]:
        for array in values:
            origins = earlier_origins(array, length, context_length, recalibration.origins)
            known.append([array[:, origin : origin + length].copy() for origin in origins])
            yield from (array[:, max(0, origin - context_length) : origin] for origin in origins)
            yield array

    forecasts = forecast_series(model, pasts(), context_length, batch_size, lowest)
    for first in forecasts:
        truths = known.popleft()
        *earlier, last = [first, *islice(forecasts, len(truths))]
        errors = (forecast.errors(truth) for forecast, truth in zip(earlier, truths, strict=True))
        yield last, recalibration.factors(errors, len(last.forecast))


def forecast_panels(
    model: Model,
    panels: Iterable[Panel],
    context_length: int,
    batch_size: int,
    quantile_levels: Sequence[float] = (),
    offsets: np.ndarray | None = None,
    lowest: float = -np.inf,
    recalibration: Recalibration | None = None,
) -> Iterator[pd.DataFrame]:
    """Forecast panels one after the other, each as a table; see `forecast_series`.

    Args:
        model: forecasts a batch of ``past_values`` and ``input_mask`` [B, 1, T].
        panels: read as needed.
        context_length: T.
        batch_size: series and channels per forward pass.
        quantile_levels: Q levels, whose columns the tables get too.
        offsets: [H, Q], where these quantiles lie in deviations of the context; None where the model forecasts them.
        lowest: no forecast is below.
        recalibration: by which widths follow the last steps of each series; None leaves them as they are.

    Raises:
        InputError: a panel without series.
    """
    waiting: deque[Panel] = deque()
    points: list[np.ndarray] = []
    quantiles: list[np.ndarray] = []
    values = _values_of(panels, waiting)
    for forecast, widths in recalibrated_series(model, values, context_length, batch_size, lowest, recalibration):
        points.append(forecast.points())
        if quantile_levels:
            quantiles.append(forecast.quantiles(offsets, widths))
        if len(points) == len(waiting[0]):
            panel = waiting.popleft()
            yield frame_from_forecasts(panel, points, quantiles=quantiles or None, quantile_levels=quantile_levels)
            points, quantiles = [], []


def last_steps(panel: Panel, steps: int = 2) -> Panel:
    """Return the end of every series, copied, so that the rest can be freed: enough to tell what comes after it."""
    return replace(panel, series=tuple(_copied(series.cut(-steps, None)) for series in panel))


def checked_arrays(values: Iterable[np.ndarray]) -> Iterator[np.ndarray]:
    """Yield the arrays [C, L] as float64, refused where no table could hold such a series.

    Raises:
        InputError: another shape, time before channels, something else than numbers, an infinity, values beyond 1e300,
            or a channel without any value.
    """
    known = isinstance(values, (np.ndarray, Sequence))  # others are there once they are read: the first one tells
    if known:
        question_order([np.shape(array) for array in values])
    for index, array in enumerate(values):
        series = numbers_of(array, index)
        if index == 0 and not known:
            question_order([series.shape])
        if series.ndim != 2 or len(series) == 0:
            raise InputError(
                f"Expected series {index} to have shape [channels, steps], found {list(series.shape)}. "
                "A univariate series is values[None, :]."
            )
        refuse_infinite(series, index)
        require_usable(series, f"series {index}")
        yield series


def scaled_context(past: np.ndarray, context_length: int) -> tuple[np.ndarray, Scaled]:
    """Return the last T steps [C, T] of a series [C, L] as float32, scaled by their mean and deviation, and the scale.

    Where a channel has no value in its last T steps, mean and deviation are those of all its values.
    """
    context = past[:, -context_length:]
    seen = ~np.isnan(context)
    scaler = Scaler.fit(context)
    if not (in_context := seen.any(axis=1)).all():
        whole = Scaler.fit(past)
        scaler = Scaler(np.where(in_context, scaler.mean, whole.mean), np.where(in_context, scaler.scale, whole.scale))
    lowest, highest = np.where(seen, context, np.inf).min(axis=1), np.where(seen, context, -np.inf).max(axis=1)
    constant = np.where(lowest == highest, lowest, np.nan)
    scaler = replace(scaler, mean=np.where(np.isnan(constant), scaler.mean, constant))  # a mean may round
    return scaler.transform(context).astype(np.float32), Scaled(scaler, constant)


def require_usable(past: np.ndarray, name: str) -> None:
    """Refuse a series [C, L] that cannot be forecast.

    Raises:
        InputError: a channel without any value, or values beyond 1e300.
    """
    observed = ~np.isnan(past)
    if (empty := ~observed.any(axis=1)).any():
        where = f"in channel {int(np.argmax(empty)) + 1} of {len(past)} " if len(past) > 1 else ""
        raise InputError(f"Expected values to forecast from, found none {where}in {name}. Leave it out.")
    require_magnitude(past, name)


def _scaled_contexts(values: Iterable[np.ndarray], context_length: int, waiting: deque[Scaled]) -> Iterator[np.ndarray]:
    """Yield the last T steps of every series, scaled, and append their scale to ``waiting``."""
    for array in values:
        series = np.ascontiguousarray(array, dtype=np.float64)  # the last bits of sums depend on the order in memory
        context, scaled = scaled_context(series, context_length)
        waiting.append(scaled)
        yield context


def _after(kept: np.ndarray, rows: torch.Tensor | None) -> np.ndarray:
    """Return new rows [B, 1, ...] after those [k, ...] that were kept."""
    assert rows is not None, "forecast models give forecast and scale"
    new = rows.squeeze(1).cpu().numpy()
    return np.concatenate([kept, new]) if len(kept) else new


def _copied(series: Series) -> Series:
    return replace(series, timestamps=series.timestamps.copy(), values=series.values.copy())  # noqa: PD011 - as above


def _values_of(panels: Iterable[Panel], waiting: deque[Panel]) -> Iterator[np.ndarray]:
    """Yield values [C, L] of every series, and append the end of each panel to ``waiting``."""
    for panel in panels:
        if len(panel) == 0:
            raise InputError("Expected panels with series, found an empty one. Leave it out.")
        waiting.append(last_steps(panel))
        for series in panel:
            require_usable(series.values, f"item {series.item_id!r}")
            yield series.values  # noqa: PD011 - not a pandas object
        del panel, series  # releases it before the next one is read
