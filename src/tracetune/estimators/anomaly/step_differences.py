"""How far single steps are from the nearest normal windows: where in an event an anomaly lies.

A score is of windows, so that a short anomaly raises the scores of all steps around it. Step by step, a window with it
differs from the nearest normal window only where the anomaly is. This says nothing about whether a window is normal:
scores do.

What is nearest is not to depend on the anomaly itself: by squared differences a window with a shift of twenty steps is
nearest to one at another phase, whose crest lies where the shift is, and differs from it everywhere. So the distance of
two windows is the sum of those of their eighths, of which a few that are odd decide little. And rows that drifted since
the normal part differ from it at every step, so that the level of the steps beside an event is taken away first.

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
_PARTS = 8  # of a window, whose distances add up
_TILE = 128, 512  # windows, and those of the bank
_BESIDE = 2  # windows on either side of a run of alarms, which tell the level there
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

    def of(self, values: np.ndarray, first: int, stop: int, at: int | None, alarms: tuple[int, int]) -> np.ndarray:
        """Return the differences of steps [first, stop), in units of the 0.999 quantile of those of normal steps.

        Args:
            values: [T], NaN where missing. Such steps have no difference (NaN), nor have those in no window with few of
                them.
            first: the first step.
            stop: the step behind the last.
            at: steps from the first one that was learned to the first of ``values``, where these are of the same data:
                windows that overlap are not compared. None for other values.
            alarms: the first step of the run of alarms that these steps are of, and that behind the last.
        """
        beside = _BESIDE * self.width
        begin, end = max(min(first, alarms[0]) - beside, 0), min(max(stop, alarms[1]) + beside, len(values))
        scaled, place = self.scaling.scaled(values[begin:end]), None if at is None else at + begin
        scaled -= self._level_beside(scaled, place, (alarms[0] - begin, alarms[1] - begin))
        near = max(first - self.width - begin, 0)
        found = self._differences(scaled[near : stop + self.width - begin], None if place is None else place + near)
        return found[first - begin - near :][: stop - first] / self.usual

    def _level_beside(self, scaled: np.ndarray, place: int | None, alarms: tuple[int, int]) -> float:
        """Return how far scaled steps [L] beside a run of alarms lie above the normal windows of the nearest shape.

        Of the two sides that counts which is nearer to the normal level: the other one may follow a shift that lasts.
        """
        steps, levels = _BESIDE * self.width, []
        for first, stop in ((max(alarms[0] - steps, 0), alarms[0]), (alarms[1], min(alarms[1] + steps, len(scaled)))):
            starts, windows = self._windows_of(scaled[first:stop])
            if len(starts):
                places = None if place is None else starts + first + place
                shapes, of_bank = (each - each.mean(1, keepdims=True) for each in (windows, self.bank))
                nearest = self._nearest(shapes, of_bank, places)
                levels.append(float(np.median(windows.mean(1) - self.bank[nearest].mean(1))))
        return min(levels, key=abs, default=0.0)

    def _differences(self, scaled: np.ndarray, place: int | None) -> np.ndarray:
        """Return the mean differences [L] of scaled steps [L] over the windows that cover them."""
        sums, counts = np.zeros(len(scaled)), np.zeros(len(scaled))
        starts, windows = self._windows_of(scaled)
        for first in range(0, len(starts), _CHUNK):
            part, looked_at = starts[first : first + _CHUNK], windows[first : first + _CHUNK]
            nearest = self._nearest(looked_at, self.bank, None if place is None else part + place)
            steps = (part[:, None] + np.arange(self.width)).ravel()
            sums += np.bincount(steps, np.abs(looked_at - self.bank[nearest]).ravel(), len(scaled))
            counts += np.bincount(steps, minlength=len(scaled))
        known = (counts > 0) & np.isfinite(scaled)
        return np.where(known, sums / np.maximum(counts, 1), np.nan)

    def _windows_of(self, scaled: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Return first steps [K] and windows [K, W] of scaled steps [L] that lack few; none where there is no bank."""
        if len(scaled) < self.width or not len(self.starts):
            return np.empty(0, int), np.empty((0, self.width))
        starts = scattered_starts(len(scaled), self.width, max(self.width // _WINDOWS_OVER_A_STEP, 1))
        starts = starts[well_observed(scaled, starts, self.width)]
        return starts, _windows(filled_gaps(scaled, self.width), self.width)[starts]

    def _nearest(self, windows: np.ndarray, bank: np.ndarray, places: np.ndarray | None) -> np.ndarray:
        """Return which [K] window of a bank [M, W] is nearest to each of windows [K, W]; none that overlaps it.

        One that overlaps all of the bank, at its place [K], compares with the farthest in time.
        """
        distances = summed_distances(windows, bank)
        if places is not None:
            gaps = np.abs(places[:, None] - self.starts)
            distances[gaps < np.minimum(self.width, gaps.max(1, keepdims=True))] = np.inf
        return distances.argmin(1)


def summed_distances(windows: np.ndarray, bank: np.ndarray) -> np.ndarray:
    """Return the sums [K, M] of the distances of the eighths of windows [K, W] from those of a bank [M, W].

    The square of an eighth's distance is the product (-2 x, |x|^2, 1) (y, 1, |y|^2). Sums are made a tile at a time,
    as large as stays in a processor's cache: that halves the time.
    """
    eighths = np.array_split(np.arange(windows.shape[1]), min(_PARTS, windows.shape[1]))
    factors = [_factors(windows[:, steps], bank[:, steps]) for steps in eighths]
    sums = np.zeros((len(windows), len(bank)))
    for first in range(0, len(windows), _TILE[0]):
        for start in range(0, len(bank), _TILE[1]):
            tile = sums[first : first + _TILE[0], start : start + _TILE[1]]
            squares = np.empty(tile.shape)
            for one, other in factors:
                np.matmul(one[first : first + _TILE[0]], other[:, start : start + _TILE[1]], out=squares)
                tile += np.sqrt(np.maximum(squares, 0.0, out=squares), out=squares)
    return sums


def _factors(part: np.ndarray, other: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return what [K, S + 2] and [S + 2, M] multiply to the squared distances of steps [K, S] from steps [M, S]."""
    lengths, of_other = np.square(part).sum(1), np.square(other).sum(1)
    left = np.column_stack([-2 * part, lengths, np.ones(len(part))])
    return left, np.vstack([other.T, np.ones(len(other)), of_other])


def _windows(values: np.ndarray, width: int) -> np.ndarray:
    return np.lib.stride_tricks.sliding_window_view(values, width)
