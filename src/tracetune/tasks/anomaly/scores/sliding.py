"""Sliding windows over one series, their scores spread over steps, the dominant period, and widths by it."""

import numpy as np
from scipy.signal import find_peaks

_GOLDEN_RATIO = (5**0.5 - 1) / 2
_SHORTEST_WINDOW = 8


def window_starts(length: int, width: int, stride: int, at: int = 0) -> np.ndarray:
    """Return the first steps [K] of windows of ``width`` steps, ``stride`` apart; the first and last step are covered.

    Args:
        length: steps T of the series.
        width: steps of a window, at most T.
        stride: steps between windows.
        at: place of the first step on the grid of windows, whose windows start at multiples of the stride.
    """
    last = length - width
    starts = np.arange(-at % stride, last + 1, stride)
    return np.unique(np.concatenate([[0], starts, [last]]))


def scattered_starts(length: int, width: int, stride: int, at: int = 0) -> np.ndarray:
    """Return the first steps [K] of windows about ``stride`` apart; the first and last step are covered.

    On a grid, windows of a series whose period is a multiple of the stride begin at a few phases only, and later
    windows at other phases would be unlike all of them. So one begins somewhere in each stride: in the k-th where the
    k-th multiple of the golden ratio lies, which fill an interval evenly (Weyl).

    Args:
        length: steps T of the series.
        width: steps of a window, at most T.
        stride: steps in which one window begins.
        at: place of the first step among strides that begin at 0; windows are the same wherever a series is cut.
    """
    last = length - width
    strides = np.arange(at // stride, (at + last) // stride + 1)
    starts = strides * stride + (strides * _GOLDEN_RATIO % 1 * stride).astype(int) - at
    return np.unique(np.concatenate([[0], starts[(starts >= 0) & (starts <= last)], [last]]))


def spread(starts: np.ndarray, scores: np.ndarray, width: int, length: int) -> np.ndarray:
    """Return scores [T] of steps: the mean over the windows [K] that cover a step, NaN where none does."""
    sums, counts = np.zeros(length + 1), np.zeros(length + 1)
    for edges, sign in ((starts, 1.0), (starts + width, -1.0)):
        np.add.at(sums, edges, sign * scores)
        np.add.at(counts, edges, sign)
    covering = np.cumsum(counts)[:length]
    return np.where(covering > 0, np.cumsum(sums)[:length] / np.maximum(covering, 1), np.nan)


def dominant_period(values: np.ndarray, longest: int = 300) -> int | None:
    """Return the lag of the highest peak of the autocorrelation of values [T] between 4 and ``longest``; None without.

    Missing values count as the mean; where there is nothing else, there is no period. The lag is looked for as TSB-AD
    does, so that windows are those of its tables.
    """
    if np.isnan(values).all():
        return None
    centred = np.nan_to_num(values - np.nanmean(values))[:20_000]
    centred = np.ldexp(centred, -np.frexp(np.abs(centred).max())[1])  # squares of values like 1e200 would overflow
    length = len(centred)
    spectrum = np.fft.rfft(centred, 2 * length)
    correlation = np.fft.irfft(spectrum * spectrum.conj())[:length]
    if correlation[0] <= 0:
        return None
    lags = correlation[3 : longest + 2] / correlation[0]
    peaks, _ = find_peaks(lags)
    return None if not len(peaks) else int(peaks[np.argmax(lags[peaks])]) + 3


def window_widths(values: np.ndarray, shortest: int = 64, longest: int = 400) -> tuple[int, ...]:
    """Return one and two periods of values [T] in steps; periods below ``shortest`` steps count as that.

    Windows have at least 8 steps, where two of them fit, and at most half of the series.
    """
    half = max(len(values) // 2, 1)
    period = max(dominant_period(values) or shortest, shortest)
    bounds = min(_SHORTEST_WINDOW, half), min(longest, half)
    return tuple(sorted({int(np.clip(period * share, *bounds)) for share in (1, 2)}))
