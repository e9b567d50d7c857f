"""How far the steps of gaps are from what is observed around them.

Shapes: C channels, L steps of a series.
"""

import numpy as np


def gap_distances(values: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return the distance of each missing step of a series [C, L] to observed ones, and whether these are on one side.

    With observed steps a before and b after it is 1 / (1 / a + 1 / b), the variance of a Brownian bridge of a + b steps
    (Karatzas & Shreve 1991, section 5.6.B); at an end it is the distance to the only side. So one number says how hard
    a step is to fill, whatever the length of its gap. It is NaN where a step is observed, inf where none of its channel
    is.
    """
    observed = ~np.isnan(values)
    steps = np.arange(values.shape[-1], dtype=float)
    before = np.maximum.accumulate(np.where(observed, steps, -np.inf), axis=-1)
    after = np.minimum.accumulate(np.where(observed, steps, np.inf)[..., ::-1], axis=-1)[..., ::-1]
    with np.errstate(divide="ignore"):
        distances = 1 / (1 / (steps - before) + 1 / (after - steps))
    one_sided = np.isinf(before) ^ np.isinf(after)
    return np.where(observed, np.nan, distances), one_sided
