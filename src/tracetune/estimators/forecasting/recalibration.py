"""Recalibration of intervals: wider for a series whose last forecasts missed, narrower where they held.

Validation errors say how wide intervals are on average, over all items and at the time of the fit. How wide they should
be for one series now, its last steps say: they are forecast, too, from origins one horizon apart, the oldest first, and
after each of them a factor w on all offsets of the series' quantiles moves,

    log w <- log w + RATE * (share of the steps outside the 80 % interval, w times as wide  -  0.2).

This is adaptive conformal inference (Gibbs & Candes 2021), which moves the level of an interval by the same error, in
the form that moves the width instead (Angelopoulos, Candes & Tibshirani 2023, "Conformal PID control", quantile
tracking; on the logarithm, because widths are positive and of any magnitude). docs/results/intervals.md says what it
does.

Shapes: C channels, L steps, H prediction length.
"""

from bisect import bisect_right
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np

from tracetune.base.errors import InputError, argument, shown

TRACKED = (0.1, 0.9)  # the interval whose misses move the width
RATE = 0.5
ORIGINS = 8


@dataclass(frozen=True, eq=False)
class Recalibration:
    """The rule by which widths of intervals follow the last steps of a series.

    Attributes:
        half_widths: [H, 2] lower and upper offset of the tracked interval from the forecast, in deviations of the
            context.
        origins: most earlier origins to forecast from.
    """

    half_widths: np.ndarray
    origins: int = ORIGINS

    def factors(self, errors: Iterable[np.ndarray], channels: int) -> np.ndarray:
        """Return the factor [C] after forecasts with these errors [C, H], oldest first."""
        return width_factors((error_sizes(each, self.half_widths) for each in errors), channels)


def earlier_origins(past: np.ndarray, prediction_length: int, context_length: int, count: int) -> list[int]:
    """Return up to ``count`` origins inside a past [C, L], oldest first: from each of them H known steps follow.

    They are H steps apart, the last one H steps before the end. None has less than H steps of context, or a channel
    without a value in it.
    """
    last = past.shape[1] - prediction_length
    origins = [last - number * prediction_length for number in range(count)]
    seen = ~np.isnan(past)
    return [
        origin
        for origin in reversed(origins)
        if origin >= prediction_length and seen[:, max(0, origin - context_length) : origin].any(axis=1).all()
    ]


def origins_before(origin: int, available: Sequence[int], prediction_length: int, count: int) -> list[int]:
    """Return up to ``count`` of the ``available`` origins (ascending), oldest first, whose H steps end by ``origin``.

    The latest one, then the latest one that ends by that one, and so on: the windows share no step.
    """
    found: list[int] = []
    while len(found) < count:
        place = bisect_right(available, origin - prediction_length)
        if place == 0:
            break
        origin = available[place - 1]
        found.append(origin)
    return found[::-1]


def error_sizes(errors: np.ndarray, half_widths: np.ndarray) -> np.ndarray:
    """Return |errors| [C, H] over the half of the interval on their side, NaN where an error is.

    Args:
        errors: truth - forecast, in deviations of the context.
        half_widths: [H, 2] lower and upper offset of the tracked interval from the forecast.
    """
    below, above = half_widths.T
    half = np.where(errors < 0, below, above)
    with np.errstate(divide="ignore", invalid="ignore"):
        return np.where(errors == 0, 0.0, np.abs(errors / half))


def width_factors(sizes: Iterable[np.ndarray], channels: int) -> np.ndarray:
    """Return the factor w [C] after forecasts whose error sizes [C, H] are given, oldest first."""
    share = TRACKED[0] + 1 - TRACKED[1]
    log_width = np.zeros(channels)
    for one in sizes:
        seen = ~np.isnan(one)
        outside = (seen & (one > np.exp(log_width)[:, None])).sum(axis=1)
        counts = seen.sum(axis=1)
        log_width += np.where(counts > 0, RATE * (outside / np.maximum(counts, 1) - share), 0.0)
    return np.exp(log_width)


def checked_origins(count: object) -> int:
    """Return the number of earlier origins, refused where it is none.

    Raises:
        InputError: below 0, or no whole number.
    """
    if isinstance(count, bool) or not isinstance(count, (int, np.integer)) or count < 0:
        raise InputError(
            f"Expected {argument('recalibrate')} to be a number of earlier origins, such as {ORIGINS}, or 0 for none, "
            f"found {shown(count)}."
        )
    return int(count)
