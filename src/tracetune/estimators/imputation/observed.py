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


def unit_of_errors(scale: np.ndarray, values: np.ndarray) -> np.ndarray:
    """Return the units [C] in which fills of a series [C, L] err, 0 of a channel that is constant.

    They are the deviations in training, or those of the values now where they are more than five times or less than a
    fifth of these: a table without items has the same name whatever it holds.

    Args:
        scale: [C], deviations in training, or of a series that was not there its own.
        values: [C, L], NaN where missing.
    """
    observed = ~np.isnan(values)
    now = Scaler.fit(values).scale
    another = np.maximum(now / scale, scale / now) > _ANOTHER
    unit = np.where(another & (observed.sum(axis=1) >= _FEW), now, scale)
    highest, least = np.nanmax(values, axis=1, initial=-np.inf), np.nanmin(values, axis=1, initial=np.inf)
    return np.where(highest == least, 0.0, unit)
