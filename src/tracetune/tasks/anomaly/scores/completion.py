"""Complete windows that lack steps as the normal window goes that is nearest to what was observed.

A straight line through a gap is an odd shape by itself where a series switches or has sharp turns, and what lies beyond
the border of a window says nothing about a gap that reaches across it. So a window with gaps takes the course of the
normal window that agrees best with its observed steps, level aside, moved to meet them: what is missing is no evidence
of an anomaly.
"""

from dataclasses import dataclass

import numpy as np

from tracetune.tasks.anomaly.scores.gaps import filled_gaps

_CHUNK = 512


@dataclass(frozen=True, eq=False)
class Completion:
    """The normal windows that windows of one width are completed by.

    Attributes:
        normal: [T] the normal part, its own gaps filled.
        starts: [M] first steps of the windows in it.
        width: W, steps of a window.
    """

    normal: np.ndarray
    starts: np.ndarray
    width: int

    def completed(self, windows: np.ndarray, places: np.ndarray | None = None) -> np.ndarray:
        """Return windows [K, W] without missing steps; observed steps stay as they are.

        Args:
            windows: NaN where missing; they have some observed step each.
            places: [K] their first steps on the time axis of the normal part: windows that overlap complete nothing.
                None for other values.
        """
        lacking = np.flatnonzero(np.isnan(windows).any(1))
        if not len(lacking):
            return windows
        whole = np.array(windows)
        bank = np.lib.stride_tricks.sliding_window_view(self.normal, self.width)[self.starts]
        for first in range(0, len(lacking), _CHUNK):
            part = lacking[first : first + _CHUNK]
            misfit = _misfit(windows[part], bank)
            if places is not None:
                misfit[np.abs(places[part][:, None] - self.starts) < self.width] = np.inf
            usable = np.isfinite(misfit.min(1))  # else a straight line
            courses = np.where(usable[:, None], bank[misfit.argmin(1)], 0.0)
            moved = np.stack([filled_gaps(row) for row in windows[part] - courses])
            whole[part] = np.where(np.isnan(windows[part]), courses + moved, windows[part])
        return whole


def _misfit(windows: np.ndarray, bank: np.ndarray) -> np.ndarray:
    """Return the squared distance [K, M] of windows [K, W] from those of the bank [M, W], levels aside.

    Over the observed steps: the sum of squared differences less that of their mean.
    """
    observed = ~np.isnan(windows)
    values, weights = np.where(observed, windows, 0.0), observed.astype(float)
    differences = values.sum(1)[:, None] - weights @ bank.T
    squares = (values**2).sum(1)[:, None] - 2 * values @ bank.T + weights @ (bank**2).T
    return squares - differences**2 / weights.sum(1)[:, None]
