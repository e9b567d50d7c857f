"""What the observed values of a series say of its gaps: how long each is, and what no fill falls below.

Shapes: C channels, L steps of a series.
"""

import numpy as np
import torch

from tracetune.tasks.gaps import gap_classes


def lowest(values: np.ndarray) -> np.ndarray:
    """Return the lowest fill of each channel of a series [C, L]: 0 where none of its values is below 0; [C, 1].

    Counts, sales and rain are never negative, and neither are their fills.
    """
    least = np.nanmin(values, axis=1, initial=np.inf, keepdims=True)
    return np.where((least >= 0) & np.isfinite(least), 0.0, -np.inf)


def classes_of_gaps(values: np.ndarray) -> np.ndarray:
    """Return the class of gap length of each step of a series [C, L]."""
    return gap_classes(torch.from_numpy(~np.isnan(values)))[0].numpy()
