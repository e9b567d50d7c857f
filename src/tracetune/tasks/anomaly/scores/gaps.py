"""Missing steps: how windows with some are filled, and which have too many to be scored."""

import numpy as np

_MOST_MISSING = 0.25
_LONGEST_GAP = 0.05


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
    """Return which windows [K] of values [T] have few gaps.

    They lack at most a quarter of their ``width`` steps, and nowhere more than one step, or a twentieth of them, in a
    row: a longer straight line would be an odd shape by itself.
    """
    gap = max(int(_LONGEST_GAP * width), 1)
    missing = np.concatenate([[0], np.cumsum(~np.isfinite(values))])
    # A step ends a gap that is too long where it and as many before it as are allowed are missing.
    too_long = np.zeros(len(values) + 1, dtype=int)
    too_long[gap + 1 :] = np.cumsum(missing[gap + 1 :] - missing[: -gap - 1] == gap + 1)
    few = missing[starts + width] - missing[starts] <= _MOST_MISSING * width
    return few & (too_long[starts + width] - too_long[np.minimum(starts + gap, starts + width)] == 0)
