"""Sliding windows over one series, their scores spread over steps, and the dominant period."""

import numpy as np
from scipy.signal import find_peaks


def window_starts(length: int, width: int, stride: int) -> np.ndarray:
    """Return the first steps [K] of windows of ``width`` steps, ``stride`` apart; the last window ends the series."""
    starts = np.arange(0, length - width + 1, stride)
    return starts if starts[-1] == length - width else np.append(starts, length - width)


def spread(starts: np.ndarray, scores: np.ndarray, width: int, length: int) -> np.ndarray:
    """Return scores [T] of steps: the mean over the windows [K] that cover a step."""
    sums, counts = np.zeros(length + 1), np.zeros(length + 1)
    for edges, sign in ((starts, 1.0), (starts + width, -1.0)):
        np.add.at(sums, edges, sign * scores)
        np.add.at(counts, edges, sign)
    return np.cumsum(sums)[:length] / np.cumsum(counts)[:length]


def dominant_period(values: np.ndarray, longest: int = 300) -> int | None:
    """Return the lag of the highest peak of the autocorrelation of values [T] between 4 and ``longest``; None without.

    Missing values count as the mean. The lag is looked for as TSB-AD does, so that windows are those of its tables.
    """
    centred = np.nan_to_num(values - np.nanmean(values))[:20_000]
    length = len(centred)
    spectrum = np.fft.rfft(centred, 2 * length)
    correlation = np.fft.irfft(spectrum * spectrum.conj())[:length]
    if correlation[0] <= 0:
        return None
    lags = correlation[3 : longest + 2] / correlation[0]
    peaks, _ = find_peaks(lags)
    return None if not len(peaks) else int(peaks[np.argmax(lags[peaks])]) + 3
