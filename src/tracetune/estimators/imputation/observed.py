"""Classes of gaps, units of errors and lowest fills of a series, from its observed values.

Shapes: C channels, L steps of a series.
"""

import numpy as np
import torch

from tracetune.data.splits import Scaler
from tracetune.tasks.imputation.gaps import gap_classes

_FEW = 32  # values; with fewer, a deviation says little
_ANOTHER = 5.0  # times the deviation in training: another series; a part of a walk varies two or three times less


def lowest(values: np.ndarray) -> np.ndarray:
    """Return the lowest fill of each channel of a series [C, L]: 0 where none of its values is below 0; [C, 1].

    Counts, sales and rain are never negative, and neither are their fills.
    """
    least = np.nanmin(values, axis=1, initial=np.inf, keepdims=True)
    return np.where((least >= 0) & np.isfinite(least), 0.0, -np.inf)


def classes_of_gaps(values: np.ndarray) -> np.ndarray:
    """Return the class of gap length of each step of a series [C, L]."""
    return gap_classes(torch.from_numpy(~np.isnan(values)))[0].numpy()


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
