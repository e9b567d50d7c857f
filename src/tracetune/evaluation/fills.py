"""Fills of gaps that need no model, the references of every imputation.

Each takes a channel [L] with NaN where missing and returns it without gaps; a channel without any value stays as it is.
"""

from collections.abc import Callable

import numpy as np
from scipy.interpolate import CubicSpline

_SEASONS = 3  # on either side, of which the seasonal median is taken
LINEAR, CUBIC, LAST, SEASONAL = "linear", "cubic", "last value", "seasonal median"


def linear(values: np.ndarray) -> np.ndarray:
    """Return the straight line over each gap; at the ends the nearest value."""
    known = np.flatnonzero(~np.isnan(values))
    if not len(known):
        return values.copy()
    return np.interp(np.arange(len(values)), known, values[known])


def cubic(values: np.ndarray) -> np.ndarray:
    """Return the cubic spline through all values; at the ends, and with fewer than four values, as `linear`."""
    known = np.flatnonzero(~np.isnan(values))
    filled = linear(values)
    if len(known) >= 4:
        inside = np.arange(known[0], known[-1] + 1)
        filled[inside] = CubicSpline(known, values[known])(inside)
        filled[known] = values[known]
    return filled


def last_value(values: np.ndarray) -> np.ndarray:
    """Return the last value before each gap; before the first value that one."""
    known = np.flatnonzero(~np.isnan(values))
    if not len(known):
        return values.copy()
    return values[known[np.maximum(np.searchsorted(known, np.arange(len(values)), side="right") - 1, 0)]]


def seasonal_median(values: np.ndarray, season: int) -> np.ndarray:
    """Return the median of the values one, two and three seasons before and after each gap; where none is, the line."""
    filled = linear(values)
    if season < 2:
        return filled
    gaps = np.flatnonzero(np.isnan(values))
    counts = np.array([count for count in range(-_SEASONS, _SEASONS + 1) if count])
    places = gaps[:, None] + season * counts
    inside = (places >= 0) & (places < len(values))
    found = np.where(inside, values[np.clip(places, 0, len(values) - 1)], np.nan)
    some = ~np.isnan(found).all(axis=1)
    filled[gaps[some]] = np.nanmedian(found[some], axis=1)
    return filled


def simple_fills(season: int) -> dict[str, Callable[[np.ndarray], np.ndarray]]:
    """Return the fills by name; the seasonal one only where there is a season."""
    fills: dict[str, Callable[[np.ndarray], np.ndarray]] = {LINEAR: linear, CUBIC: cubic, LAST: last_value}
    return fills if season < 2 else fills | {SEASONAL: lambda values: seasonal_median(values, season)}
