"""Distances of windows in shape and in level, the shape weighted by how well normal windows repeat each other."""

import numpy as np

from tracetune.tasks.anomaly.scores.features import LevelFeatures, WindowFeatures
from tracetune.tasks.anomaly.scores.members import of_member
from tracetune.tasks.anomaly.scores.neighbour_scorer import fit_neighbour_scorer
from tracetune.tasks.anomaly.scores.scorer import Calibration
from tracetune.tasks.anomaly.scores.sliding import window_widths
from tracetune.tasks.anomaly.scores.weighted import WeightedScorer

_NO_SHAPE, _ALL_SHAPE = 0.3, 0.5
_LEVEL_BESIDE_SHAPE = 0.125


def fit_shape_and_level(
    normal: np.ndarray,
    shape_features: WindowFeatures,
    widths: tuple[int, ...] | None = None,
    *,
    neighbours: int = 3,
    contamination: float = 0.0,
    calibration: Calibration | None = None,
) -> WeightedScorer:
    """Learn the normal part of one channel, values [T].

    Where the shapes of normal windows do not repeat each other (repeatability up to 0.3), the shape weighs 0 and the
    level 1; where they do (from 0.5 on), the shape weighs 1 and the level an eighth: levels drift more often than
    shapes do. In between, weights lie in between.

    Args:
        normal: values to learn, NaN where missing; see `fit_neighbour_scorer` for parts with anomalies.
        shape_features: how shapes are told apart.
        widths: of windows in steps; None for one and two periods.
        neighbours: how many nearest windows a distance is averaged over.
        contamination: share of the windows that may be anomalous.
        calibration: of an earlier fit to the same.

    Raises:
        InputError: too few values.
    """
    widths = window_widths(normal) if widths is None else widths
    features: dict[str, WindowFeatures] = {"shape": shape_features, "level": LevelFeatures()}
    members = {
        name: fit_neighbour_scorer(
            normal,
            each,
            widths,
            neighbours=neighbours,
            contamination=contamination,
            calibration=of_member(calibration, name),
        )
        for name, each in features.items()
    }
    if calibration is not None:
        return WeightedScorer.of(members, dict(zip(members, map(float, calibration["weights"]), strict=True)))
    shape = float(np.clip((members["shape"].repeatability - _NO_SHAPE) / (_ALL_SHAPE - _NO_SHAPE), 0, 1))
    return WeightedScorer.of(members, {"shape": shape, "level": 1 - (1 - _LEVEL_BESIDE_SHAPE) * shape})
