"""Facts about series before training on them: lengths, gaps, seasons, and which are odd."""

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

_LONGEST_LAG = 400
_MOST_SERIES = 200  # more do not change the median of their autocorrelations
_LEAST_CORRELATION = 0.2
_LEAST_RISE = 0.2  # from the lowest point before a peak
_LEAST_SPREAD = 0.6  # of the logarithms of sizes: a factor of 4 between items is usual
_PERIODS = 40  # that say together how long one is
_HARMONICS = 8
_NEAR = 0.06  # of a lag: so far noise moves a peak
_ODD_SPIKE, _ODD_SHIFT, _ODD_SCALE = 12.0, 3.0, 2.5


@dataclass(frozen=True)
class SeriesFacts:
    """One series.

    Attributes:
        item: number of its item.
        channel: number of its channel.
        steps: from its first observed value to its last.
        missing: share of these steps without a value.
        longest_gap: most missing steps in a row.
        mean: of what was observed.
        deviation: of what was observed.
        zeros: share of what was observed that is 0.
        oddities: what is unusual about it, in words; the first is the strongest.
        oddness: how unusual it is; 0 is not.
    """

    item: int
    channel: int
    steps: int
    missing: float
    longest_gap: int
    mean: float
    deviation: float
    zeros: float
    oddities: tuple[str, ...] = ()
    oddness: float = 0.0


def examine(values: Sequence[np.ndarray]) -> list[SeriesFacts]:
    """Return the facts of every series.

    Args:
        values: one array [C, L] an item, NaN where missing.
    """
    scales = np.array([_scale(row) for item in values for row in item])
    usual, spread = _median_and_spread(np.log(scales[scales > 0])) if (scales > 0).any() else (0.0, 0.0)
    spread = max(spread, _LEAST_SPREAD)
    facts = []
    for item, rows in enumerate(values):
        for channel, row in enumerate(rows):
            scale = float(np.log(_scale(row))) if _scale(row) > 0 else None
            apart = abs(scale - usual) / spread if scale is not None else 0.0
            facts.append(_facts(item, channel, row, apart if len(scales) >= 8 else 0.0))
    return facts


def seasons(values: Sequence[np.ndarray], most: int = 3, usual: int = 1) -> list[tuple[int, float]]:
    """Return the lags at which series repeat themselves, strongest first, with their autocorrelations.

    They are peaks of the median autocorrelation of the series without their trend, above the noise and well above the
    lowest point before them; multiples of a season that was found are left out. The top of a peak is flat, and noise
    moves it: the lag is the whole number nearest to the period that fits all lags best, see `_period_near`; where the
    season of the calendar is within a hundredth of it, that one. Autocorrelations are those of the pairs that there
    are: an exact repetition has 1, however few periods there are.

    Args:
        values: one array [C, L] an item, NaN where missing.
        most: how many at most.
        usual: the season of their frequency, such as 96 quarters of an hour; 1 for none.
    """
    curve, count = _median_curve(values, _PERIODS * _LONGEST_LAG)
    median = curve[: min(_LONGEST_LAG, len(curve) // 3) + 1]
    length = len(median)
    if length < 4:
        return []
    repeats = median / (1 - np.arange(length) / len(curve))
    lowest = np.minimum.accumulate(median)
    least = max(_LEAST_CORRELATION, 4 / np.sqrt(3 * length * min(count, 25)))
    peaks = [
        lag
        for lag in range(2, length - 1)
        if median[lag] >= max(median[lag - 1], median[lag + 1])
        and median[lag] > least
        and median[lag] - lowest[lag] > _LEAST_RISE
    ]
    found: list[tuple[int, float]] = []
    for lag in sorted(peaks, key=lambda lag: -repeats[lag]):
        shortest = min((other for other in peaks if _explains(other, lag, repeats)), default=lag)
        if not any(_is_multiple(shortest, other) or _is_multiple(other, shortest) for other, _ in found):
            nearest = round(_period_near(shortest, curve))
            nearest = usual if abs(nearest - usual) <= max(1, 0.01 * usual) and usual > 1 else nearest
            found.append((nearest, float(curve[nearest] / (1 - nearest / len(curve)))))
    return found[:most]


def median_autocorrelation(values: Sequence[np.ndarray]) -> np.ndarray:
    """Return the median autocorrelation of series without their trend, by lag from 0; empty where none varies.

    Args:
        values: one array [C, L] an item, NaN where missing.
    """
    return _median_curve(values, None)[0]


def _median_curve(values: Sequence[np.ndarray], longest: int | None) -> tuple[np.ndarray, int]:
    """Return the median autocorrelation of series without their trend, and of how many series it is."""
    rows = [row for item in values for row in item]
    spread = np.unique(np.linspace(0, len(rows) - 1, min(len(rows), _MOST_SERIES)).astype(int))
    curves = [
        curve for index in spread if (curve := autocorrelation(_detrended(_filled(rows[index])), longest)) is not None
    ]
    if not curves:
        return np.zeros(0), 0
    length = int(np.median([len(curve) for curve in curves]))
    stacked = np.full((len(curves), length), np.nan)
    for index, curve in enumerate(curves):
        stacked[index, : min(length, len(curve))] = curve[:length]
    return np.nanmedian(stacked, axis=0), len(curves)


def _period_near(lag: int, curve: np.ndarray) -> float:
    """Return the period near a lag whose first harmonics have the most power.

    The power at a frequency is the cosine transform of the autocorrelation, so that all lags of many periods say
    together where the peak is. Of white noise around a periodic mean, the period with the largest sum over harmonics is
    that of least squares (Quinn & Thomson 1991, Biometrika 78).
    """
    lags = np.arange(min(len(curve), _PERIODS * lag))
    weighted = curve[: len(lags)] * (1 - lags / len(lags))
    reach = max(_NEAR * lag, 1.0)
    count = 8 * _HARMONICS * math.ceil(2 * reach * len(lags) / lag**2) + 1
    periods = np.linspace(max(lag - reach, 2.0), lag + reach, count)
    angles = 2 * np.pi * np.outer(1 / periods, lags)
    power = sum(np.cos(order * angles) @ weighted for order in range(1, min(_HARMONICS, lag // 2) + 1))
    return float(periods[np.argmax(power)])


def autocorrelation(row: np.ndarray, longest: int | None = None) -> np.ndarray | None:
    """Return the autocorrelation at lags 0, 1, ... up to the longest one; None where nothing varies.

    Args:
        row: values [L].
        longest: lag; None for a third of the length, at most 400.
    """
    lags = min(_LONGEST_LAG, len(row) // 3) if longest is None else min(longest, len(row) - 1)
    centred = row - row.mean() if len(row) else row
    if lags < 3 or not (centred**2).sum() > 0:
        return None
    size = 2 ** int(np.ceil(np.log2(2 * len(row))))
    spectrum = np.fft.rfft(centred, size)
    covariance = np.fft.irfft(spectrum * spectrum.conj(), size)[: lags + 1]
    return covariance / covariance[0]


def _explains(shorter: int, lag: int, repeats: np.ndarray) -> bool:
    """Return whether a peak is there because a shorter season, almost as strong, repeats."""
    return shorter < lag and _is_multiple(lag, shorter) and bool(repeats[shorter] > 0.8 * repeats[lag])


def _is_multiple(lag: int, season: int) -> bool:
    """Return whether a lag is a multiple of a season, as near as noise lets a peak be."""
    times = round(lag / season)
    return times >= 1 and abs(lag - times * season) <= max(1, 0.03 * lag)


def _detrended(row: np.ndarray) -> np.ndarray:
    """Return the series without the straight line that fits it best."""
    steps = np.arange(len(row))
    return row - np.polyval(np.polyfit(steps, row, 1), steps) if len(row) > 2 else row


def _facts(item: int, channel: int, row: np.ndarray, scale_apart: float) -> SeriesFacts:
    seen = np.flatnonzero(~np.isnan(row))
    if not len(seen):
        return SeriesFacts(item, channel, 0, 1.0, len(row), np.nan, np.nan, 0.0, ("has no value",), np.inf)
    inner = row[seen[0] : seen[-1] + 1]
    observed = inner[~np.isnan(inner)]
    oddities = _oddities(observed, scale_apart)
    return SeriesFacts(
        item,
        channel,
        len(inner),
        float(np.isnan(inner).mean()),
        int(np.diff(seen).max(initial=1)) - 1,
        float(observed.mean()),
        float(observed.std()),
        float((observed == 0).mean()),
        tuple(text for _, text in oddities),
        oddities[0][0] if oddities else 0.0,
    )


def _oddities(observed: np.ndarray, scale_apart: float) -> list[tuple[float, str]]:
    """Return what is unusual, each with its strength in units of its threshold, strongest first."""
    if len(observed) > 2 and not np.ptp(observed) > 0:
        return [(1.0, f"is constant ({observed[0]:g})")]
    found = []
    centre, spread = _median_and_spread(observed)
    if spread > 0:
        far = np.abs(observed - centre) / spread
        if far.max() > _ODD_SPIKE:
            worst = observed[far.argmax()]
            found.append((far.max() / _ODD_SPIKE, f"has a spike ({worst:,.4g}, usually {centre:,.4g})"))
    third = len(observed) // 3
    if third >= 8:
        early, late = observed[:third], observed[-third:]
        deviation = max(float(np.sqrt((early.var() + late.var()) / 2)), 1e-12 * (1 + abs(centre)))
        shift = abs(late.mean() - early.mean()) / deviation
        if shift > _ODD_SHIFT:
            found.append((shift / _ODD_SHIFT, f"changes its level (from {early.mean():,.4g} to {late.mean():,.4g})"))
    if scale_apart > _ODD_SCALE:
        found.append((scale_apart / _ODD_SCALE, f"has another size than most (about {np.abs(observed).mean():,.4g})"))
    return sorted(found, reverse=True)


def _median_and_spread(values: np.ndarray) -> tuple[float, float]:
    """Return the median, and the deviation that the median distance from it stands for."""
    centre = float(np.median(values))
    return centre, 1.4826 * float(np.median(np.abs(values - centre)))


def _scale(row: np.ndarray) -> float:
    return float(np.nanmean(np.abs(row))) if not np.isnan(row).all() else 0.0


def _filled(row: np.ndarray) -> np.ndarray:
    """Return the series from its first value to its last, gaps filled by straight lines."""
    seen = np.flatnonzero(~np.isnan(row))
    if not len(seen):
        return row[:0]
    return np.interp(np.arange(seen[0], seen[-1] + 1), seen, row[seen])
