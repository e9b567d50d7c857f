"""A series whose gaps are filled, and what filled them.

Shapes: C channels, L steps.
"""

from dataclasses import dataclass

import numpy as np

from tracetune.estimators.imputation.weighed_fill import Mixture


@dataclass(frozen=True, eq=False)
class FilledSeries:
    """A series whose gaps are filled.

    Attributes:
        filled: [C, L]; channels without any value stay NaN where nothing is known of their level.
        units: [C], in which fills err, see `unit_of_errors`.
        mixtures: of each channel, what fills gaps of each class of length; none after a fit.
    """

    filled: np.ndarray
    units: np.ndarray
    mixtures: tuple[tuple[Mixture, ...], ...] = ()
