"""The errors of forecasters over rolling origins: of each item in its own units, of all items together, by period.

Shapes: C channels, L steps of a series, H prediction length, Q quantiles.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np
import pandas as pd

from tracetune.evaluation.metrics import naive_scale

_PERIODS = 4


@dataclass(frozen=True)
class Evaluation:
    """Results of a backtest; tables in the order of the forecasters, the model first.

    >>> from tracetune import Forecaster
    >>> timestamps = pd.date_range("2024-01-01", periods=200, freq="h")
    >>> frame = pd.DataFrame({"timestamp": timestamps, "target": np.sin(np.arange(200) * np.pi / 12)})
    >>> found = Forecaster.from_pretrained("tracetune/tiny", prediction_length=24, device="cpu").evaluate(frame)
    >>> found.overall["forecaster"].tolist()
    ['model', 'repeat last', 'seasonal naive (24)']

    Attributes:
        overall: a row per forecaster. ``mse`` and ``mae`` are pooled over all steps, in deviations of each series;
            ``mase``, ``wape``, ``smape`` and ``relative_bias`` are means over items that have them; ``windows`` were
            forecast.
        items: a row per item, channel and forecaster. ``mae``, ``rmse`` and ``bias`` (mean of forecast - truth) are in
            the units of the item; ``mase`` is relative to the seasonal naive error within the past, ``wape`` and
            ``relative_bias`` to the sum of |truth|, ``smape`` goes from 0 to 200. NaN where a ratio has no
            denominator.
        coverage: a row per interval and period: the share of the truth inside the model's interval, which should be
            ``level``. Empty where the model has no quantiles.
    """

    overall: pd.DataFrame
    items: pd.DataFrame
    coverage: pd.DataFrame

    def worst_items(self, count: int = 3) -> pd.DataFrame:
        """Return the rows of ``items`` where the model has its largest errors, by ``mase`` (else ``wape``)."""
        return self._ranked().tail(count)[::-1]

    def median_item(self) -> pd.DataFrame:
        """Return the row of ``items`` with the model's median error."""
        ranked = self._ranked()
        return ranked.iloc[[(len(ranked) - 1) // 2]] if len(ranked) else ranked

    def _ranked(self) -> pd.DataFrame:
        model = self.items[self.items["forecaster"] == "model"]
        by = "mase" if model["mase"].notna().any() else "wape"
        return model.dropna(subset=[by]).sort_values(by, kind="stable")


@dataclass(frozen=True)
class Scale:
    """Units in which the errors of one item are measured.

    Attributes:
        deviation: [C, 1] of the past, for pooled errors; positive.
        naive: [C, 1] mean absolute error of the seasonal naive forecast within the past, for ``mase``.
    """

    deviation: np.ndarray
    naive: np.ndarray

    @classmethod
    def of(cls, past: np.ndarray, season: int, deviation: np.ndarray) -> "Scale":
        """Return the scale of an item with past [C, L] and deviation [C]."""
        return cls(
            deviation[:, None], naive_scale(past, season) if past.shape[1] > season else deviation[:, None] * np.nan
        )


class ErrorSums:
    """Sums over the windows of one forecaster, for every item and channel.

    Args:
        items: how many.
        channels: C.
    """

    def __init__(self, items: int, channels: int) -> None:
        names = ("steps", "absolute", "signed", "truth", "smape", "scaled_absolute", "scaled_square")
        self._sums = {name: np.zeros((items, channels)) for name in names}
        self._deviation = np.full((items, channels), np.nan)
        self._naive = np.full((items, channels), np.nan)
        self.windows = np.zeros((items, channels), dtype=np.int64)

    def add(self, item: int, truth: np.ndarray, forecast: np.ndarray, scale: Scale) -> None:
        """Add a window: truth (NaN where missing) and forecast [C, H]."""
        seen = ~np.isnan(truth)
        truth = np.where(seen, truth, 0.0)
        error = np.where(seen, forecast - truth, 0.0)
        scaled = error / scale.deviation
        size = np.abs(truth) + np.abs(np.where(seen, forecast, 0.0))
        parts = {
            "steps": seen,
            "absolute": np.abs(error),
            "signed": error,
            "truth": np.abs(truth),
            "smape": 200 * np.abs(error) / np.where(size > 0, size, 1.0),
            "scaled_absolute": np.abs(scaled),
            "scaled_square": np.square(scaled),
        }
        for name, part in parts.items():
            self._sums[name][item] += part.sum(axis=-1)
        self.windows[item] += seen.any(axis=-1)
        self._deviation[item], self._naive[item] = scale.deviation[:, 0], scale.naive[:, 0]

    def items(self) -> pd.DataFrame:
        """Return the errors of each item and channel, by row; see `Evaluation`."""
        sums, steps = self._sums, self._sums["steps"]
        mae = _ratio(sums["absolute"], steps)
        table = {
            "windows": self.windows,
            "mae": mae,
            "rmse": np.sqrt(_ratio(sums["scaled_square"], steps)) * self._deviation,
            "mase": _ratio(mae, self._naive),
            "wape": _ratio(sums["absolute"], sums["truth"]),
            "smape": _ratio(sums["smape"], steps),
            "bias": _ratio(sums["signed"], steps),
            "relative_bias": _ratio(sums["signed"], sums["truth"]),
        }
        return pd.DataFrame({name: values.ravel() for name, values in table.items()})

    def overall(self) -> dict[str, float]:
        """Return the errors of all items together; see `Evaluation`."""
        steps, items = self._sums["steps"].sum(), self.items()
        return {
            "mse": float(_ratio(self._sums["scaled_square"].sum(), steps)),
            "mae": float(_ratio(self._sums["scaled_absolute"].sum(), steps)),
            **{name: float(items[name].mean()) for name in ("mase", "wape", "smape", "relative_bias")},
            "windows": int(self.windows.sum()),
        }


@dataclass
class Coverage:
    """Shares of the truth that lie inside intervals, in equal periods of the time that was forecast.

    Args:
        levels: nominal shares of the truth inside, e.g. (0.5, 0.8).
        start: first timestamp that was forecast, as an integer.
        stop: last one.
    """

    levels: Sequence[float]
    start: int
    stop: int
    _inside: np.ndarray = field(init=False)
    _steps: np.ndarray = field(init=False)

    def __post_init__(self) -> None:
        self._inside = np.zeros((len(self.levels), _PERIODS))
        self._steps = np.zeros(_PERIODS)

    def quantile_levels(self) -> list[float]:
        """Return lower and upper quantile of each interval, in turn."""
        return [round(0.5 + sign * level / 2, 6) for level in self.levels for sign in (-1, 1)]

    def add(self, timestamps: np.ndarray, truth: np.ndarray, quantiles: np.ndarray) -> None:
        """Add a window: timestamps [H] as integers, truth [C, H], quantiles [C, H, Q] in order of the levels above."""
        share = (timestamps - self.start) / max(self.stop - self.start, 1)
        period = np.minimum((share * _PERIODS).astype(int), _PERIODS - 1)
        seen = ~np.isnan(truth)
        self._steps += np.bincount(period, seen.sum(axis=0), _PERIODS)
        for index in range(len(self.levels)):
            inside = seen & (truth >= quantiles[..., 2 * index]) & (truth <= quantiles[..., 2 * index + 1])
            self._inside[index] += np.bincount(period, inside.sum(axis=0), _PERIODS)

    def table(self, datetimes: bool) -> pd.DataFrame:
        """Return a row per interval for all of the time (period "all"), then one a period; see `Evaluation`."""
        borders = np.linspace(self.start, self.stop, _PERIODS + 1).astype(np.int64)
        moments = borders.astype("datetime64[ns]") if datetimes else borders
        rows = []
        for level, inside in zip(self.levels, self._inside, strict=True):
            whole = ("all", moments[0], moments[-1], _ratio(inside.sum(), self._steps.sum()), self._steps.sum())
            parts = (
                (str(number + 1), moments[number], moments[number + 1], _ratio(inside[number], steps), steps)
                for number, steps in enumerate(self._steps)
                if steps
            )
            rows += [(level, *row) for row in (whole, *parts)]
        table = pd.DataFrame(rows, columns=["level", "period", "start", "end", "coverage", "steps"])
        return table.astype({"coverage": float, "steps": int})


def _ratio(part: np.ndarray, whole: np.ndarray) -> np.ndarray:
    """Return ``part / whole``, NaN where the whole is 0 or NaN."""
    whole = np.asarray(whole, dtype=np.float64)
    return np.where(whole > 0, part / np.where(whole > 0, whole, 1.0), np.nan)
