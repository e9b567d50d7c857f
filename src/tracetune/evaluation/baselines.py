"""Naive forecasts without training, the references of every result."""

from collections.abc import Sequence

import numpy as np
import pandas as pd

from tracetune.base.errors import InputError

_SEASONALITY_THRESHOLD = 1.645  # standard errors of the autocorrelation: 90 % of a normal distribution, as in M4


def repeat_last(past: np.ndarray, prediction_length: int) -> np.ndarray:
    """Return the last observed value, H times.

    Args:
        past: [..., T], NaN where missing.
        prediction_length: H.

    Returns:
        [..., H]; NaN for series without an observed value.
    """
    last = _forward_filled(past)[..., -1:]
    return np.repeat(last, prediction_length, axis=-1)


def seasonal_naive(past: np.ndarray, season: int, prediction_length: int) -> np.ndarray:
    """Return the last season again and again; each phase takes its last observed value.

    Args:
        past: [..., T], NaN where missing.
        season: steps of one season; 1 makes it `repeat_last`.
        prediction_length: H.

    Returns:
        [..., H]. A phase that was never observed takes the last observed value of the series.
    """
    if season < 1:
        raise InputError(f"Expected a season of at least 1 step, found {season}.")
    past = np.asarray(past, dtype=np.float64)
    padding = [(0, 0)] * (past.ndim - 1) + [(-past.shape[-1] % season, 0)]
    seasons = np.pad(past, padding, constant_values=np.nan)
    seasons = seasons.reshape(*past.shape[:-1], -1, season)  # [..., seasons, season]
    last = _forward_filled(seasons.swapaxes(-1, -2))[..., -1]  # [..., season]
    last = np.where(np.isnan(last), repeat_last(past, 1), last)
    return last[..., np.arange(prediction_length) % season]


def naive2(past: np.ndarray, season: int, prediction_length: int) -> np.ndarray:
    """Return the forecast of Naive2, the reference of M4: the last seasonally adjusted value, times the season.

    A series is adjusted by classical multiplicative decomposition where it is positive, holds at least three
    seasons, and its autocorrelation at the seasonal lag is significant at 90 % (Makridakis et al. 2020).

    Args:
        past: [T], without missing values.
        season: steps of one season.
        prediction_length: H.

    Returns:
        [H].
    """
    past = np.asarray(past, dtype=np.float64)
    if not _is_seasonal(past, season):
        return repeat_last(past, prediction_length)
    indices = _seasonal_indices(past, season)
    steps = np.arange(len(past), len(past) + prediction_length)
    return past[-1] / indices[(len(past) - 1) % season] * indices[steps % season]


def auto_ets(series: Sequence[np.ndarray], season: int, prediction_length: int, workers: int = 1) -> np.ndarray:
    """Return the forecast of exponential smoothing, its form chosen by AICc for each series (statsforecast's AutoETS).

    Args:
        series: arrays [T] of any lengths; gaps are filled forward, then backward.
        season: steps of one season.
        prediction_length: H.
        workers: processes to share the series among.

    Returns:
        [len(series), H]. A series that no model can be fitted to gets its seasonal naive forecast.

    Raises:
        InputError: a series without an observed value.
    """
    from statsforecast.models import AutoETS  # heavy: compiles on import

    return _statsforecast(AutoETS(season_length=season), series, season, prediction_length, workers)


def auto_theta(series: Sequence[np.ndarray], season: int, prediction_length: int, workers: int = 1) -> np.ndarray:
    """Return the forecast of the Theta method, its form chosen by its error in each series (statsforecast's AutoTheta).

    Arguments, result and errors are those of `auto_ets`. Seasonal series are adjusted before (multiplicatively where
    they are positive), as in the original method (Assimakopoulos & Nikolopoulos 2000).
    """
    from statsforecast.models import AutoTheta

    return _statsforecast(AutoTheta(season_length=season), series, season, prediction_length, workers)


def _statsforecast(
    model: object, series: Sequence[np.ndarray], season: int, prediction_length: int, workers: int
) -> np.ndarray:
    """Return forecasts [len(series), H] of one of statsforecast's models; the seasonal naive one where it fails."""
    from statsforecast import StatsForecast
    from statsforecast.models import SeasonalNaive

    filled = [_filled(values, index) for index, values in enumerate(series)]
    frame = pd.DataFrame(
        {
            "unique_id": np.repeat(np.arange(len(filled)), [len(values) for values in filled]),
            "ds": np.concatenate([np.arange(len(values)) for values in filled]),
            "y": np.concatenate(filled),
        }
    )
    forecaster = StatsForecast([model], freq=1, n_jobs=workers, fallback_model=SeasonalNaive(season))
    forecast = forecaster.forecast(df=frame, h=prediction_length)
    return forecast[str(model)].to_numpy().reshape(len(filled), prediction_length)


def _forward_filled(values: np.ndarray) -> np.ndarray:
    """Return each NaN of [..., T] replaced by the last observed value before it."""
    values = np.asarray(values, dtype=np.float64)
    position = np.where(np.isnan(values), 0, np.arange(values.shape[-1]))
    return np.take_along_axis(values, np.maximum.accumulate(position, axis=-1), axis=-1)


def _filled(values: np.ndarray, index: int) -> np.ndarray:
    filled = pd.Series(np.asarray(values, dtype=np.float64)).ffill().bfill().to_numpy()
    if len(filled) == 0 or np.isnan(filled[0]):
        raise InputError(f"Series {index} has no observed value to forecast from. Leave it out.")
    return filled


def _is_seasonal(past: np.ndarray, season: int) -> bool:
    if season == 1 or len(past) < 3 * season or past.min() <= 0:
        return False
    centred = past - past.mean()
    energy = centred @ centred
    if energy == 0:
        return False
    correlations = np.array([centred[lag:] @ centred[:-lag] for lag in range(1, season + 1)]) / energy
    limit = _SEASONALITY_THRESHOLD * np.sqrt((1 + 2 * (correlations[:-1] ** 2).sum()) / len(past))
    return bool(abs(correlations[-1]) > limit)


def _seasonal_indices(past: np.ndarray, season: int) -> np.ndarray:
    """Return the factor [season] of each phase, of mean 1: mean ratio to the centred moving average of one season."""
    weights = np.ones(season) if season % 2 else np.array([0.5, *np.ones(season - 1), 0.5])
    trend = np.convolve(past, weights / season, mode="valid")
    start = (len(weights) - 1) // 2
    phase = np.arange(start, start + len(trend)) % season
    ratios = np.bincount(phase, past[start : start + len(trend)] / trend) / np.bincount(phase)
    return ratios / ratios.mean()
