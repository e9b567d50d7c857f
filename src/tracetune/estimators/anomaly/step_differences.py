"""How far single steps are from the nearest normal windows: where in an event an anomaly lies.

A score is of windows, so that a short anomaly raises the scores of all steps around it. Step by step, a window with it
differs from the nearest normal window only where the anomaly is. This says nothing about whether a window is normal:
scores do.

Shapes: T steps of a series, L of the part that is looked at, K windows, M windows of a bank, W steps of a window.
"""

import math

import numpy as np

from tracetune.tasks.anomaly.scores.gaps import filled_gaps, well_observed
from tracetune.tasks.anomaly.scores.scaling import LEAST_UNIT, Scaling
from tracetune.tasks.anomaly.scores.sliding import scattered_starts, window_widths

_BANK_SIZE = 4000
_CHUNK = 512
_WINDOWS_OVER_A_STEP = 8
_USUAL = 0.999  # share of the normal steps that differ by less


class StepDifferences:
    """Differences of the steps of one channel from the nearest windows of its normal part, in raw values.

    Args:
        normal: [T] the part that was learned, NaN where missing.
        widest: the most that W may be; else it is the lesser of the part's `window_widths`.

    Attributes:
        scaling: of raw values.
        width: W.
        starts: [M] first steps of the windows of the bank, in the normal part.
        bank: [M, W] these windows, scaled.
        usual: the difference that 0.999 of the normal steps are below, in scaled units; NaN where none is known.
    """

    def __init__(self, normal: np.ndarray, widest: int) -> None:
        self.scaling = Scaling.of(normal)
        self.width = max(min(window_widths(normal)[0], widest), 1)
        scaled = self.scaling.scaled(normal)
        starts = scattered_starts(len(scaled), self.width, max(math.ceil(len(scaled) / _BANK_SIZE), 1))
        self.starts = starts[well_observed(scaled, starts, self.width)]
        self.bank = _windows(filled_gaps(scaled, self.width), self.width)[self.starts]
        normal_ones = self._differences(scaled, 0)
        known = normal_ones[np.isfinite(normal_ones)]
        self.usual = max(float(np.quantile(known, _USUAL)), LEAST_UNIT) if len(known) else np.nan

    def of(self, values: np.ndarray, first: int, stop: int, at: int | None) -> np.ndarray:
        """Return the differences of steps [first, stop), in units of the 0.999 quantile of those of normal steps.

        Args:
            values: [T], NaN where missing. Such steps have no difference (NaN), nor have those in no window with few of
                them.
            first: the first step.
            stop: the step behind the last.
            at: steps from the first one that was learned to the first of ``values``, where these are of the same data:
                windows that overlap are not compared. None for other values.
        """
        begin, end = max(first - self.width, 0), min(stop + self.width, len(values))
        scaled = self.scaling.scaled(values[begin:end])
        found = self._differences(scaled, None if at is None else at + begin)
        return found[first - begin : stop - begin] / self.usual

    def _differences(self, scaled: np.ndarray, place: int | None) -> np.ndarray:
        """Return the mean differences [L] of scaled steps [L] over the windows that cover them."""
        sums, counts = np.zeros(len(scaled)), np.zeros(len(scaled))
        if len(scaled) >= self.width and len(self.starts):
            starts = scattered_starts(len(scaled), self.width, max(self.width // _WINDOWS_OVER_A_STEP, 1))
            starts = starts[well_observed(scaled, starts, self.width)]
            windows = _windows(filled_gaps(scaled, self.width), self.width)
            for part in np.split(starts, range(_CHUNK, len(starts), _CHUNK)):
                nearest = self._nearest(windows[part], None if place is None else part + place)
                steps = (part[:, None] + np.arange(self.width)).ravel()
                sums += np.bincount(steps, np.abs(windows[part] - nearest).ravel(), len(scaled))
                counts += np.bincount(steps, minlength=len(scaled))
        known = (counts > 0) & np.isfinite(scaled)
        return np.where(known, sums / np.maximum(counts, 1), np.nan)

    def _nearest(self, windows: np.ndarray, places: np.ndarray | None) -> np.ndarray:
        """Return the nearest window [K, W] of the bank to each of windows [K, W]; none that overlaps it at its place.

        One that overlaps all of the bank compares with the farthest in time.
        """
        distances = np.square(self.bank).sum(1) - 2 * windows @ self.bank.T  # but for what is the same in a row
        if places is not None:
            gaps = np.abs(places[:, None] - self.starts)
            distances[gaps < np.minimum(self.width, gaps.max(1, keepdims=True))] = np.inf
        return self.bank[distances.argmin(1)]


def _windows(values: np.ndarray, width: int) -> np.ndarray:
    return np.lib.stride_tricks.sliding_window_view(values, width)
