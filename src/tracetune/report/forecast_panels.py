"""Panels of a picture from series and the table of their forecasts."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace

import numpy as np
import pandas as pd

from tracetune.data.forecast_frame import shown_times
from tracetune.data.panels import Panel
from tracetune.report.forecast_plots import MOST_PANELS, ForecastPanel, shown_history

Row = tuple[int, int]
"""Number of a series in its panel, and of one of its channels."""


def forecasts_to_draw(
    panel: Panel,
    forecast: pd.DataFrame,
    rows: Sequence[Row] | None = None,
    *,
    truth: Panel | None = None,
    notes: Mapping[Row, str] | None = None,
) -> list[ForecastPanel]:
    """Return what to draw of a forecast table: the end of each history, the forecast, its quantiles.

    Args:
        panel: the histories that were forecast.
        forecast: as a forecaster's ``predict_df`` gives it: items in the order of ``panel``, their channels one after
            the other, H steps each, one column a quantile.
        rows: which series and channels; None takes up to six, evenly spread.
        truth: the same series with the steps that came in the end.
        notes: words beside the titles.
    """
    channels = len(panel.channels)
    horizon = len(forecast) // (len(panel) * channels)
    points = _steps_of(forecast, "predictions", len(panel), channels, horizon)
    quantiles = {level: _steps_of(forecast, name, len(panel), channels, horizon) for name, level in _levels(forecast)}
    drawn = []
    for item, channel in spread_rows(len(panel), channels) if rows is None else rows:
        series = panel.series[item]
        shown = shown_history(len(series), horizon)
        came = None if truth is None else _channel(truth, item, channel)[len(series) : len(series) + horizon]
        drawn.append(
            ForecastPanel(
                _title(panel, item, channel),
                shown_times(panel, series.timestamps[-shown:]),
                _channel(panel, item, channel)[-shown:],
                shown_times(panel, panel.future_timestamps(series, horizon)),
                points[item, channel],
                came,
                {level: values[item, channel] for level, values in quantiles.items()},
                (notes or {}).get((item, channel), ""),
            )
        )
    return drawn


def forecasts_of(
    predict: Callable[[Panel], pd.DataFrame],
    panel: Panel,
    rows: Sequence[Row] | None = None,
    hold_back: int = 0,
    notes: Mapping[Row, str] | None = None,
) -> list[ForecastPanel]:
    """Forecast the series that are to be drawn, and no others, and return what to draw of them.

    Args:
        predict: from a panel to its forecast table.
        panel: all series.
        rows: as for `forecasts_to_draw`.
        hold_back: forecast this many steps before the end of each series; they are drawn as the truth.
        notes: words beside the titles.
    """
    drawn = spread_rows(len(panel), len(panel.channels)) if rows is None else list(rows)
    items = list(dict.fromkeys(item for item, _ in drawn))
    whole = replace(panel, series=tuple(panel.series[item] for item in items))
    past = whole.cut(None, -hold_back) if hold_back else whole
    places = [(items.index(item), channel) for item, channel in drawn]
    words = {place: (notes or {}).get(row, "") for place, row in zip(places, drawn, strict=True)}
    return forecasts_to_draw(past, predict(past), places, truth=whole if hold_back else None, notes=words)


def spread_rows(items: int, channels: int, most: int = MOST_PANELS) -> list[Row]:
    """Return up to ``most`` series and channels, evenly spread over all of them, the first and the last included."""
    count = items * channels
    chosen = np.unique(np.linspace(0, count - 1, min(most, count)).round().astype(int))
    return [divmod(int(number), channels) for number in chosen]


def _channel(panel: Panel, item: int, channel: int) -> np.ndarray:
    values: np.ndarray = panel.series[item].values  # noqa: PD011 - not a pandas object
    return values[channel]


def _title(panel: Panel, item: int, channel: int) -> str:
    name, target = panel.series[item].item_id, panel.channels[channel]
    if len(panel.channels) == 1:
        return target if len(panel) == 1 else name
    return target if len(panel) == 1 else f"{name}, {target}"


def _levels(forecast: pd.DataFrame) -> list[tuple[str, float]]:
    """Return the columns that are quantiles, with their levels."""
    after = list(forecast.columns)[list(forecast.columns).index("predictions") + 1 :]
    return [(str(name), float(name)) for name in after]


def _steps_of(forecast: pd.DataFrame, column: str, items: int, channels: int, horizon: int) -> np.ndarray:
    """Return a column [items, C, H]."""
    return forecast[column].to_numpy(np.float64).reshape(items, channels, horizon)
