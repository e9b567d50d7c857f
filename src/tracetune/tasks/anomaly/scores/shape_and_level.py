"""Distances of windows in shape and in level, the shape weighted by how well normal windows repeat each other."""

import numpy as np

from tracetune.tasks.anomaly.scores.features import LevelFeatures, WindowFeatures
from tracetune.tasks.anomaly.scores.members import of_member
from tracetune.tasks.anomaly.scores.neighbour_scorer import fit_neighbour_scorer
from tracetune.tasks.anomaly.scores.scorer import NormalChannel
from tracetune.tasks.anomaly.scores.sliding import window_widths
from tracetune.tasks.anomaly.scores.weighted import WeightedScorer

_NO_SHAPE, _ALL_SHAPE = 0.3, 0.5
_LEVEL_BESIDE_SHAPE = 0.125


def fit_shape_and_level(
    normal: NormalChannel,
    shape_features: WindowFeatures,
    widths: tuple[int, ...] | None = None,
    *,
    neighbours: int = 3,
) -> WeightedScorer:
    """Learn the normal part of one channel.

    Where the shapes of normal windows do not repeat each other (repeatability up to 0.3), the shape weighs 0 and the
    level 1; where they do (from 0.5 on), the shape weighs 1 and the level an eighth: levels drift more often than
    shapes do. In between, weights lie in between.

    Args:
        normal: to learn; see `fit_neighbour_scorer` for parts with anomalies.
        shape_features: how shapes are told apart.
        widths: of windows in steps; None for one and two periods.
        neighbours: how many nearest windows a distance is averaged over.

    Raises:
        InputError: too few values.
    """
    widths = window_widths(normal.values) if widths is None else widths
    features: dict[str, WindowFeatures] = {"shape": shape_features, "level": LevelFeatures()}
    members = {
        name: fit_neighbour_scorer(of_member(normal, name), each, widths, neighbours=neighbours)
        for name, each in features.items()
    }
    if normal.calibration is not None:
        weights = map(float, normal.calibration["weights"])
        return WeightedScorer.of(members, dict(zip(members, weights, strict=True)))
    shape = float(np.clip((members["shape"].repeatability - _NO_SHAPE) / (_ALL_SHAPE - _NO_SHAPE), 0, 1))
    return WeightedScorer.of(members, {"shape": shape, "level": 1 - (1 - _LEVEL_BESIDE_SHAPE) * shape})
