"""Units of errors and bounds of fills of a series, from its observed values.

Shapes: C channels, L steps of a series.
"""

import numpy as np

from tracetune.data.splits import Scaler

_FEW_AT_A_BOUND = 3
_FEW_AT_A_WHOLE = 2
_FEW = 32  # values; with fewer, a deviation says little
_ANOTHER = 5.0  # times the deviation in training: another series; a part of a walk varies two or three times less


def within_bounds(fills: np.ndarray, values: np.ndarray) -> np.ndarray:
    """Return fills [C, L, ...] of a series [C, L] within the bounds that its observed values show.

    Counts, sales and rain are never negative: no fill is below 0 where no value is, nor above 0 where none is. Values
    that pile up at their extreme, as those of a full tank or of cloud cover do, go no further: an extreme is a bound
    where it occurs three times at least, and twice as often as the next value. So are 1 of values from 0 to 1 and 100
    of values from 0 to 100 that reach them twice: shares and percentages. A largest value of 1 or 100 that occurs once
    may be a count that is by chance as large, or the base of an index: in doubt there is no bound.
    """
    bounded = np.array(fills, float)
    for row, channel in zip(values, bounded, strict=True):
        observed = row[~np.isnan(row)]
        if len(observed):
            low, high = _bounds(observed)
            np.clip(channel, low, high, out=channel)
    return bounded


def _bounds(observed: np.ndarray) -> tuple[float, float]:
    """Return the least and the largest fill [-inf, inf] beside observed values [K]."""
    found, counts = np.unique(observed, return_counts=True)
    least, largest = float(found[0]), float(found[-1])
    low = 0.0 if least >= 0 else least if _piled_up(counts) else -np.inf
    is_share = least >= 0 and largest in (1.0, 100.0) and counts[-1] >= _FEW_AT_A_WHOLE
    high = 0.0 if largest <= 0 else largest if is_share or _piled_up(counts[::-1]) else np.inf
    return low, high


def _piled_up(counts: np.ndarray) -> bool:
    """Return whether the first of at least two values occurs as often as at a bound, by how often each does."""
    return len(counts) > 1 and bool(counts[0] >= max(_FEW_AT_A_BOUND, 2 * counts[1]))


def changes(values: np.ndarray) -> np.ndarray:
    """Return the root mean square [C] of the changes of a series [C, L] from one observed step to the next.

    NaN where fewer than 32 are observed.
    """
    steps = np.diff(values, axis=1)
    count = (~np.isnan(steps)).sum(axis=1)
    largest = np.nanmax(np.abs(steps), axis=1, initial=0.0)  # so that no square is too large
    shares = np.nan_to_num(steps / np.where(largest > 0, largest, 1.0)[:, None])
    return np.where(count >= _FEW, largest * np.sqrt((shares**2).sum(axis=1) / np.maximum(count, 1)), np.nan)


def unit_of_errors(known: np.ndarray | None, values: np.ndarray, per_deviation: np.ndarray) -> np.ndarray:
    """Return the units [C] in which fills of a series [C, L] err, 0 of a channel that is constant.

    They are the deviations in training. A series that was not there, or whose deviation is more than five times or less
    than a fifth of that (a table without items has the same name whatever it holds), has a unit of its own: its
    changes from step to step, over what these are in training beside a deviation. Where a level wanders, a short series
    deviates less than a long one, but its gaps are as hard to fill. Where too few changes are known, it is its
    deviation.

    Args:
        known: [C], deviations in training; None of a series that was not there.
        values: [C, L], NaN where missing.
        per_deviation: [C] or [1], changes in training over deviations there; 0 where not known.
    """
    now = Scaler.fit(values).scale
    by_changes = changes(values) / np.where(per_deviation > 0, per_deviation, np.nan)
    unit = np.where(by_changes > 0, by_changes, now)
    if known is not None:
        another = np.maximum(now / known, known / now) > _ANOTHER
        unit = np.where(another & ((~np.isnan(values)).sum(axis=1) >= _FEW), unit, known)
    highest, least = np.nanmax(values, axis=1, initial=-np.inf), np.nanmin(values, axis=1, initial=np.inf)
    return np.where(highest == least, 0.0, unit)
