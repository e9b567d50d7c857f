"""Backtests of a forecaster: forecasts from rolling origins beside the naive ones, measured.

Every forecaster sees the whole past of a series up to the origin; the model takes its context from it.
"""

import logging
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import groupby
from operator import itemgetter

import numpy as np
import pandas as pd

from tracetune.base.errors import InputError, Remark, argument
from tracetune.data.examination import seasons
from tracetune.data.panels import Panel
from tracetune.data.splits import Scaler
from tracetune.data.windows import Batch
from tracetune.estimators.forecasting.backtest_part import BacktestPart, Ranges
from tracetune.estimators.forecasting.prediction import SeriesForecast, forecast_series, require_usable
from tracetune.estimators.forecasting.recalibration import TRACKED, Recalibration, earlier_origins, origins_before
from tracetune.estimators.intervals import ResidualQuantiles
from tracetune.evaluation.backtest import Coverage, ErrorSums, Evaluation, Scale
from tracetune.evaluation.baselines import repeat_last, seasonal_naive
from tracetune.tasks.forecasting.output import ForecastOutput

logger = logging.getLogger(__name__)

_INTERVALS = (0.5, 0.8, 0.9)
QuantileModel = Callable[[Batch, Sequence[float]], ForecastOutput]
"""From a batch of windows and quantile levels to forecasts; quantiles at these levels where the model has some."""


@dataclass(frozen=True)
class BacktestModel:
    """The parts of a forecaster that a backtest needs.

    Attributes:
        model: forecasts a batch of windows; with quantiles at the levels it is given, where it forecasts quantiles.
        context_length: T.
        prediction_length: H.
        intervals: where its quantiles lie by validation errors; None if there are no such.
        lowest: no forecast is below.
        recalibrate: by how many earlier origins widths of intervals follow each series, see recalibration.py.
        model_levels: levels of the quantiles that the model forecasts, which count without ``intervals``; None where
            it forecasts points.
    """

    model: QuantileModel
    context_length: int
    prediction_length: int
    intervals: ResidualQuantiles | None
    lowest: float
    recalibrate: int = 0
    model_levels: tuple[float, ...] | None = None

    def interval_shares(self) -> list[float]:
        """Return the nominal shares of the intervals that its quantiles reach; none without quantiles."""
        known = self.model_levels if self.intervals is None else self.intervals.levels
        if known is None:
            return []
        outer = max(known[0], 1 - known[-1])
        return [share for share in _INTERVALS if round(0.5 - share / 2, 6) >= round(outer, 6)]

    def recalibration(self) -> Recalibration | None:
        """Return the rule by which widths of intervals follow each series; None for widths that do not."""
        if self.intervals is None or self.recalibrate == 0:
            return None
        return Recalibration(self.intervals.at(TRACKED), self.recalibrate)


def suggest_season(panel: Panel) -> None:
    """Log after how many steps series repeat whose steps are numbered, since no frequency says it."""
    for lag, _ in seasons(_values(panel), most=1) if panel.freq is None else []:
        told = f"Steps are numbered, so no season is assumed, but the series repeat after {lag}"
        logger.warning(Remark(f"{told}: {argument('season', lag)} compares with the seasonal naive forecast."))


def backtest(model: BacktestModel, part: BacktestPart, batch_size: int) -> Evaluation:
    """Forecast from every origin whose H targets lie in its series' range, and measure.

    Args:
        model: what is measured.
        part: what it forecasts.
        batch_size: windows and channels per forward pass.

    Raises:
        InputError: no window fits, or every target is missing.
    """
    panel, season = part.panel, part.season
    values = _values(panel)
    origins = _origins(panel, values, part.ranges, part.stride, model.prediction_length)
    naive = _naive_forecasters(origins, season, model.prediction_length)
    sums = {name: ErrorSums(len(panel), len(panel.channels)) for name in ("model", *naive)}
    bounds = [None] * len(panel) if part.counted is None else part.counted
    spans = zip(values, part.scaler_ranges, bounds, strict=True)
    scales = [_scale(one, season, *span, bound) for one, span, bound in spans]
    shares = model.interval_shares()
    coverage = _coverage(panel, origins, model.prediction_length, shares) if shares else None
    levels = [] if coverage is None else coverage.quantile_levels()
    offsets = model.intervals.at(levels) if levels and model.intervals is not None else None
    for item, origin, forecast, widths in _forecasts(model, levels, values, origins, batch_size):
        past, steps = values[item][:, :origin], slice(origin, origin + model.prediction_length)
        truth = values[item][:, steps]
        sums["model"].add(item, truth, forecast.points(), scales[item])
        for name, forecaster in naive.items():
            sums[name].add(item, truth, forecaster(past), scales[item])
        if coverage is not None:
            moments = panel.series[item].timestamps[steps].astype(np.int64)
            coverage.add(moments, truth, forecast.quantiles(offsets, widths))
    items = _items(panel, sums)
    _say_without_mase(items, season)
    return Evaluation(
        overall=pd.DataFrame([{"forecaster": name, **total.overall()} for name, total in sums.items()]),
        items=items,
        coverage=pd.DataFrame() if coverage is None else coverage.table(panel.freq is not None),
    )


def _forecasts(
    model: BacktestModel,
    levels: Sequence[float],
    values: Sequence[np.ndarray],
    origins: Sequence[tuple[int, int]],
    batch_size: int,
) -> Iterator[tuple[int, int, SeriesForecast, np.ndarray | None]]:
    """Yield item, origin, the forecast from there, and the factors of its widths, by what came before the origin."""
    recalibration = model.recalibration()

    def forecasts(starts: Iterable[tuple[int, int]]) -> Iterator[SeriesForecast]:
        pasts = (values[item][:, :origin] for item, origin in starts)
        return forecast_series(
            lambda batch: model.model(batch, levels), pasts, model.context_length, batch_size, model.lowest
        )

    if recalibration is None:
        for (item, origin), forecast in zip(origins, forecasts(origins), strict=True):
            yield item, origin, forecast, None
    else:
        yield from _recalibrated(model, recalibration, values, origins, forecasts)


def _recalibrated(
    model: BacktestModel,
    recalibration: Recalibration,
    values: Sequence[np.ndarray],
    origins: Sequence[tuple[int, int]],
    forecasts: Callable[[Iterable[tuple[int, int]]], Iterator[SeriesForecast]],
) -> Iterator[tuple[int, int, SeriesForecast, np.ndarray]]:
    """Yield as `_forecasts` with factors of widths, for which earlier origins of each item are forecast too."""
    length = model.prediction_length
    asked = [(item, [origin for _, origin in group]) for item, group in groupby(origins, key=itemgetter(0))]
    available: dict[int, list[int]] = {}
    for item, item_origins in asked:
        before = earlier_origins(
            values[item][:, : item_origins[0]], length, model.context_length, recalibration.origins
        )
        available[item] = before + item_origins
    made = forecasts((item, origin) for item, item_origins in available.items() for origin in item_origins)
    for item, item_origins in asked:
        wanted, errors = set(item_origins), {}
        for origin in available[item]:
            forecast = next(made)
            errors[origin] = forecast.errors(values[item][:, origin : origin + length])
            if origin in wanted:
                chain = origins_before(origin, available[item], length, recalibration.origins)
                widths = recalibration.factors((errors[each] for each in chain), len(forecast.forecast))
                yield item, origin, forecast, widths


def _values(panel: Panel) -> list[np.ndarray]:
    return [series.values for series in panel]  # noqa: PD011 - not a pandas object


def _origins(
    panel: Panel, values: Sequence[np.ndarray], ranges: Ranges, stride: int, prediction_length: int
) -> list[tuple[int, int]]:
    """Return item and origin of every window with something to forecast from and something to compare with."""
    origins = [
        (item, origin)
        for item, (one, (start, stop)) in enumerate(zip(values, ranges, strict=True))
        for origin in range(max(start, 1), stop - prediction_length + 1, stride)
        if not np.isnan(one[:, origin : origin + prediction_length]).all()
        and (~np.isnan(one[:, :origin])).any(axis=1).all()
    ]
    if not origins:
        raise InputError(
            "Every value of the test part is missing, or there is none before it: nothing can be measured there. Leave "
            f"out the empty end of the series, or give a larger {argument('test_length')}."
        )
    measured = sorted({item for item, _ in origins})
    if len(measured) < len(panel):
        logger.warning("%d of %d items are too short or empty for a test.", len(panel) - len(measured), len(panel))
    for item in measured:
        require_usable(values[item], f"item {panel.series[item].item_id!r}")
    return origins


def _say_without_mase(items: pd.DataFrame, season: int) -> None:
    """Log how many series the mean of ``mase`` leaves out: their pasts have no seasonal naive error to divide by."""
    model = items[(items["forecaster"] == "model") & (items["windows"] > 0)]
    left_out = int(model["mase"].isna().sum())
    if left_out:
        shorter = f", or not longer than a season of {season} steps" if season > 1 else ""
        logger.warning(
            "mase is a mean over %d of %d series: the pasts of the others are constant%s.",
            len(model) - left_out, len(model), shorter,
        )  # fmt: skip


def _naive_forecasters(
    origins: Sequence[tuple[int, int]], season: int, prediction_length: int
) -> dict[str, Callable[[np.ndarray], np.ndarray]]:
    """Return functions from a past [C, L] to naive forecasts [C, H]; a seasonal one where pasts hold a season."""
    naive: dict[str, Callable[[np.ndarray], np.ndarray]] = {
        "repeat last": lambda past: repeat_last(_recent(past, 1), prediction_length)
    }
    if season == 1:
        return naive
    name = f"seasonal naive ({season})"
    short = sum(origin < season for _, origin in origins)
    if 2 * short > len(origins):
        logger.warning("%s is left out: most series have less than one season before their targets.", name)
        return naive
    if short:
        logger.warning(
            "%s: %d of %d windows have less than one season before them; there the last values stand in.",
            name, short, len(origins),
        )  # fmt: skip
    naive[name] = lambda past: seasonal_naive(_recent(past, season), season, prediction_length)
    return naive


def _recent(past: np.ndarray, season: int) -> np.ndarray:
    """Return the end of a past [C, L] that holds a value for each phase of the season, or all of it where none does."""
    steps = season
    while steps < past.shape[1]:
        recent = past[:, -steps:]
        phases = recent.reshape(len(past), -1, season)
        if (~np.isnan(phases)).any(axis=1).all():
            return recent
        steps *= 2
    return past


def _scale(values: np.ndarray, season: int, start: int, stop: int, counted: tuple[int, int] | None) -> Scale:
    return Scale.of(values[:, start:stop], season, Scaler.fit(values, start, stop, counted).scale)


def _coverage(
    panel: Panel, origins: Sequence[tuple[int, int]], prediction_length: int, shares: Sequence[float]
) -> Coverage:
    firsts = [panel.series[item].timestamps[origin] for item, origin in origins]
    lasts = [panel.series[item].timestamps[origin + prediction_length - 1] for item, origin in origins]
    return Coverage(shares, int(min(firsts).astype(np.int64)), int(max(lasts).astype(np.int64)))


def _items(panel: Panel, sums: dict[str, ErrorSums]) -> pd.DataFrame:
    """Return one table of the errors of every item, channel and forecaster that was measured."""
    channels = len(panel.channels)
    tables = []
    for name, total in sums.items():
        table = total.items()
        table.insert(0, "forecaster", name)
        table.insert(0, "target_name", np.tile(np.array(panel.channels, dtype=object), len(panel)))
        table.insert(0, panel.item_column, np.repeat(np.array(panel.item_ids, dtype=object), channels))
        tables.append(table)
    whole = pd.concat(tables)
    return whole[whole["windows"] > 0].sort_index(kind="stable").reset_index(drop=True)
