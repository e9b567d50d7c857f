"""Missing steps: how windows with some are filled, and which have too many to be scored."""

import numpy as np

_MOST_MISSING = 0.25


def filled_gaps(values: np.ndarray, longest: int | None = None) -> np.ndarray:
    """Return values [T] with missing ones interpolated linearly; all zeros where nothing was observed.

    Gaps of more than ``longest`` steps repeat the value before them: what follows later does not change them.
    """
    values = np.asarray(values, float)
    observed = np.flatnonzero(np.isfinite(values))
    if not len(observed):
        return np.zeros_like(values)
    filled = np.interp(np.arange(len(values)), observed, values[observed])
    if longest is not None:
        for gap in np.flatnonzero(np.diff(observed) > longest + 1):
            filled[observed[gap] + 1 : observed[gap + 1]] = values[observed[gap]]
    return filled


def well_observed(values: np.ndarray, starts: np.ndarray, width: int) -> np.ndarray:
    """Return which windows [K] of values [T] lack at most a quarter of their ``width`` steps."""
    missing = np.concatenate([[0], np.cumsum(~np.isfinite(values))])
    return missing[starts + width] - missing[starts] <= _MOST_MISSING * width
