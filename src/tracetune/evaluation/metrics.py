"""Forecast metrics as pure functions of arrays, and their exact mean over windows that come in batches.

Every metric has one signature: ``metric(y_true, y_pred, future_mask=None, axis=None)``, and where it needs more,
keywords after that. Arrays are [..., H]; a step counts if ``future_mask`` is not 0 and ``y_true`` is not NaN, and every
step that counts has the same weight. A mean over no step at all is NaN. Sums are in float64 whatever comes in.

Masked steps may hold anything; a NaN forecast of a step that counts makes the metric NaN.
"""

from collections.abc import Sequence

import numpy as np
from numpy.typing import ArrayLike

from tracetune.base.errors import InputError, unknown_name

Axis = int | tuple[int, ...] | None


def mse(y_true: ArrayLike, y_pred: ArrayLike, future_mask: ArrayLike | None = None, axis: Axis = None) -> np.ndarray:
    """Return the mean squared error."""
    return _mean(squared_error(y_true, y_pred), y_true, future_mask, axis)


def mae(y_true: ArrayLike, y_pred: ArrayLike, future_mask: ArrayLike | None = None, axis: Axis = None) -> np.ndarray:
    """Return the mean absolute error."""
    return _mean(absolute_error(y_true, y_pred), y_true, future_mask, axis)


def smape(y_true: ArrayLike, y_pred: ArrayLike, future_mask: ArrayLike | None = None, axis: Axis = None) -> np.ndarray:
    """Return the symmetric mean absolute percentage error of M4: mean of 200 |y - f| / (|y| + |f|), from 0 to 200."""
    return _mean(symmetric_percentage_error(y_true, y_pred), y_true, future_mask, axis)


def mase(
    y_true: ArrayLike,
    y_pred: ArrayLike,
    future_mask: ArrayLike | None = None,
    axis: Axis = None,
    *,
    scale: ArrayLike,
) -> np.ndarray:
    """Return the mean absolute scaled error (Hyndman & Koehler 2006): mean of |y - f| / scale.

    Args:
        y_true: [..., H].
        y_pred: [..., H].
        future_mask: [..., H], None where every step counts.
        axis: what to average over, None for everything.
        scale: `naive_scale` of each series, broadcast against ``y_true``. Series without a scale (0 or NaN,
            because they are constant or no longer than a season) are left out.
    """
    scale = np.broadcast_to(np.asarray(scale, dtype=np.float64), np.shape(y_true))
    usable = scale > 0
    errors = absolute_error(y_true, y_pred) / np.where(usable, scale, 1.0)
    return _mean(errors, np.where(usable, y_true, np.nan), future_mask, axis)


def naive_scale(past: ArrayLike, season: int = 1) -> np.ndarray:
    """Return the scale of `mase`: mean absolute error [..., 1] of the seasonal naive forecast in past values [..., T].

    Pairs with a missing value are left out; NaN where no pair is left.
    """
    past = np.asarray(past, dtype=np.float64)
    differences = np.abs(past[..., season:] - past[..., :-season])
    return _mean(differences, differences, None, -1)[..., None]


def owa(smape: float, mase: float, reference_smape: float, reference_mase: float) -> float:
    """Return the overall weighted average of M4: mean of sMAPE and MASE, each relative to that of Naive2.

    Each of the four is an average over all series first; for M4 the reference is `baselines.naive2`.
    """
    return (smape / reference_smape + mase / reference_mase) / 2


def quantile_loss(
    y_true: ArrayLike,
    y_pred: ArrayLike,
    future_mask: ArrayLike | None = None,
    axis: Axis = None,
    *,
    quantile: float,
) -> np.ndarray:
    """Return the pinball loss of a forecast of one quantile q: mean of max(q (y - f), (q - 1) (y - f))."""
    return _mean(pinball_error(y_true, y_pred, quantile), y_true, future_mask, axis)


def coverage(
    y_true: ArrayLike,
    lower: ArrayLike,
    upper: ArrayLike,
    future_mask: ArrayLike | None = None,
    axis: Axis = None,
) -> np.ndarray:
    """Return the share of the truth that lies in the interval [lower, upper], both [..., H]."""
    truth, low, high = _float(y_true), _float(lower), _float(upper)
    inside = np.where(np.isnan(low) | np.isnan(high), np.nan, (truth >= low) & (truth <= high))
    return _mean(inside, y_true, future_mask, axis)


def squared_error(y_true: ArrayLike, y_pred: ArrayLike) -> np.ndarray:
    """Return (y - f)^2 of each step."""
    return np.square(_difference(y_true, y_pred))


def absolute_error(y_true: ArrayLike, y_pred: ArrayLike) -> np.ndarray:
    """Return |y - f| of each step."""
    return np.abs(_difference(y_true, y_pred))


def symmetric_percentage_error(y_true: ArrayLike, y_pred: ArrayLike) -> np.ndarray:
    """Return 200 |y - f| / (|y| + |f|) of each step; 0 where truth and forecast are both 0."""
    size = np.abs(_float(y_true)) + np.abs(_float(y_pred))
    return 200 * absolute_error(y_true, y_pred) / np.where(size == 0, 1.0, size)


def pinball_error(y_true: ArrayLike, y_pred: ArrayLike, quantile: float) -> np.ndarray:
    """Return max(q (y - f), (q - 1) (y - f)) of each step.

    Raises:
        InputError: ``quantile`` is not between 0 and 1.
    """
    if not 0 < quantile < 1:
        raise InputError(f"Expected a quantile between 0 and 1, found {quantile}.")
    difference = _difference(y_true, y_pred)
    return np.maximum(quantile * difference, (quantile - 1) * difference)


POINTWISE = {"mse": squared_error, "mae": absolute_error, "smape": symmetric_percentage_error}


class MetricAccumulator:
    """Means of pointwise metrics over any number of batches, equal to the mean over all of them at once.

    It adds up errors and counts, so batches of unequal size or with missing steps keep their weight.

    >>> metrics = MetricAccumulator()
    >>> metrics.update([1.0, 2.0], [1.0, 4.0])
    >>> metrics.update([3.0], [4.0])
    >>> metrics.compute()
    {'mse': 1.6666666666666667, 'mae': 1.0}

    Args:
        metrics: names in `POINTWISE`.

    Raises:
        InputError: an unknown metric.
    """

    def __init__(self, metrics: Sequence[str] = ("mse", "mae")) -> None:
        for name in metrics:
            if name not in POINTWISE:
                raise unknown_name("metric", name, POINTWISE)
        self.steps = 0
        self._sums = dict.fromkeys(metrics, 0.0)

    def update(self, y_true: ArrayLike, y_pred: ArrayLike, future_mask: ArrayLike | None = None) -> None:
        """Add a batch: truth, forecast and mask of one shape [..., H]."""
        counted = _counted(y_true, future_mask)
        self.steps += int(counted.sum())
        for name in self._sums:
            self._sums[name] += float(POINTWISE[name](y_true, y_pred).sum(where=counted))

    def compute(self) -> dict[str, float]:
        """Return each metric over everything added so far; NaN before the first step."""
        return {name: total / self.steps if self.steps else float("nan") for name, total in self._sums.items()}


def _difference(y_true: ArrayLike, y_pred: ArrayLike) -> np.ndarray:
    truth, forecast = _float(y_true), _float(y_pred)
    if truth.shape != forecast.shape:
        raise InputError(
            f"Expected truth and forecast of one shape, found {list(truth.shape)} and {list(forecast.shape)}."
        )
    return truth - forecast


def _float(values: ArrayLike) -> np.ndarray:
    return np.asarray(values, dtype=np.float64)


def _counted(y_true: ArrayLike, future_mask: ArrayLike | None) -> np.ndarray:
    observed = ~np.isnan(_float(y_true))
    return observed if future_mask is None else observed & (np.asarray(future_mask) != 0)


def _mean(errors: np.ndarray, y_true: ArrayLike, future_mask: ArrayLike | None, axis: Axis) -> np.ndarray:
    counted = _counted(y_true, future_mask)
    total, count = errors.sum(axis=axis, where=counted), counted.sum(axis=axis)
    return np.where(count > 0, total / np.maximum(count, 1), np.nan)
