"""Score one channel of one series: shape and level of its windows, each weighted by what it can tell."""

from dataclasses import dataclass

import numpy as np

from tracetune.backbones.backbone import Backbone
from tracetune.tasks.anomaly_scores.features import LevelFeatures, ShapeFeatures
from tracetune.tasks.anomaly_scores.neighbour_scorer import NeighbourScorer, fit_neighbour_scorer, window_widths

_NO_SHAPE, _ALL_SHAPE = 0.3, 0.7


@dataclass(frozen=True)
class SeriesScorer:
    """Anomaly scores of one channel, in units of the spread of its normal scores.

    Attributes:
        shape: distances of patch embeddings.
        level: distances of mean, deviation and extremes.
        shape_weight: 0 where the shapes of normal windows do not repeat each other (repeatability up to 0.3), 1 where
            they do (from 0.7 on); the level always counts 1.
    """

    shape: NeighbourScorer
    level: NeighbourScorer
    shape_weight: float

    @property
    def normal_scores(self) -> np.ndarray:
        """Scores [T] of the part that was learned, each window compared with those that do not overlap it."""
        return self._weighted(self.shape.normal_scores, self.level.normal_scores)

    def score(self, values: np.ndarray) -> np.ndarray:
        """Return scores [T] of values [T]; steps without a value are scored as their interpolation."""
        filled = filled_gaps(values)
        return self._weighted(self.shape.score(filled), self.level.score(filled))

    def _weighted(self, shape: np.ndarray, level: np.ndarray) -> np.ndarray:
        return (self.shape_weight * shape + level) / (self.shape_weight + 1)


def fit_series_scorer(
    normal: np.ndarray, backbone: Backbone, widths: tuple[int, ...] | None = None, *, neighbours: int = 3
) -> SeriesScorer:
    """Learn the normal part of one channel, values [T]; missing ones are interpolated.

    Args:
        normal: values to learn, see `fit_neighbour_scorer` for parts with anomalies.
        backbone: whose patch embeddings tell shapes apart.
        widths: of windows in steps; None for half of, one and two periods.
        neighbours: how many nearest windows a distance is averaged over.

    Raises:
        InputError: too few values.
    """
    filled = filled_gaps(normal)
    widths = window_widths(filled) if widths is None else widths
    shape = fit_neighbour_scorer(filled, ShapeFeatures(backbone), widths, neighbours=neighbours)
    level = fit_neighbour_scorer(filled, LevelFeatures(), widths, neighbours=neighbours)
    weight = np.clip((shape.repeatability - _NO_SHAPE) / (_ALL_SHAPE - _NO_SHAPE), 0, 1)
    return SeriesScorer(shape, level, float(weight))


def filled_gaps(values: np.ndarray) -> np.ndarray:
    """Return values [T] with missing ones interpolated linearly; all zeros where nothing was observed."""
    values = np.asarray(values, float)
    observed = np.flatnonzero(np.isfinite(values))
    if not len(observed):
        return np.zeros_like(values)
    return np.interp(np.arange(len(values)), observed, values[observed])
