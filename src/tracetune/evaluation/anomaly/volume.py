"""Volumes under the surface of range-aware ROC and precision-recall curves (VUS-ROC and VUS-PR).

Paparrizos et al., "Volume Under the Surface: A New Accuracy Evaluation Measure for Time-Series Anomaly Detection"
(VLDB 2022), in the form that TSB-AD's `RangeAUC_volume_opt` computes. For each window l = 0 ... L:

- the floor(l / 2) steps on either side of a segment get the label sqrt(1 - distance / l); labels add up to at most 1;
- a threshold is the score at position linspace(0, T - 1, 250) of the descending scores; steps at or above it are
  predicted;
- TP is the sum of the labels of predicted steps; extended labels count as positive only where they are predicted, so
  P = (labelled steps + labelled steps + predicted extended labels) / 2;
- TPR = min(TP / P, 1) x the share of extended segments with a predicted step, FPR = (predicted - TP) / (T - P),
  precision = TP / predicted;
- the area under the ROC curve is by trapezoids from (0, 0) to (1, 1), that under the precision-recall curve the sum of
  precision x growth of TPR.

The volumes are means over the L + 1 windows.
"""

from numbers import Integral

import numpy as np

from tracetune.base.errors import InputError, argument
from tracetune.evaluation.anomaly.segments import checked, segments

THRESHOLDS = 250


def volume_under_surface(scores: np.ndarray, labels: np.ndarray, window: int) -> tuple[float, float]:
    """Return VUS-PR and VUS-ROC of scores [T] for labels [T], over windows from 0 to ``window`` steps.

    Raises:
        InputError: unusable scores or labels, or a window that is negative or no whole number.
    """
    scores, labels = checked(scores, labels)
    if not isinstance(window, Integral) or window < 0:
        raise InputError(f"Expected {argument('window')} of at least 0 steps, a whole number, found {window}.")
    surface = _Surface(scores, labels, window)
    areas = np.array([surface.areas(width) for width in range(window + 1)])
    precision_recall, roc = areas.mean(0)
    return float(precision_recall), float(roc)


class _Surface:
    """Everything about scores and labels that does not change with the window."""

    def __init__(self, scores: np.ndarray, labels: np.ndarray, window: int) -> None:
        self.scores, self.labels = scores, labels
        self.first, self.last = segments(labels)
        descending = -np.sort(-scores)
        self.thresholds = descending[np.linspace(0, len(scores) - 1, THRESHOLDS).astype(int)]
        self.predicted = np.searchsorted(-descending, -self.thresholds, side="right").astype(float)  # [thresholds]
        self.labelled_hits = self._cumulative(scores[labels], np.ones(int(labels.sum())))
        steps, distances = _around(self.first, self.last, window // 2, len(scores))
        outside = ~labels[steps]
        order = np.argsort(distances[outside], kind="stable")
        self.distances = distances[outside][order]
        self.steps, self.places = np.unique(steps[outside][order], return_inverse=True)

    def areas(self, window: int) -> tuple[float, float]:
        """Return the areas under the precision-recall and the ROC curve for one window."""
        near = int(np.searchsorted(self.distances, window // 2, side="right"))
        extended = np.zeros(len(self.steps))
        if near:
            values = np.sqrt(1 - self.distances[:near] / window)
            extended = np.minimum(np.bincount(self.places[:near], values, len(self.steps)), 1.0)
        extended_hits = self._cumulative(self.scores[self.steps], extended)
        hits = self.labelled_hits + extended_hits
        positive = int(self.labels.sum()) + extended_hits / 2
        recall = np.minimum(hits / positive, 1) * self._found(window // 2)
        false_alarms = (self.predicted - hits) / (len(self.scores) - positive)
        precision = hits / self.predicted
        recall, false_alarms = np.concatenate([[0], recall, [1]]), np.concatenate([[0], false_alarms, [1]])
        roc = np.sum(np.diff(false_alarms) * (recall[1:] + recall[:-1]) / 2)
        return float(np.sum(np.diff(recall[:-1]) * precision)), float(roc)

    def _cumulative(self, scores: np.ndarray, weights: np.ndarray) -> np.ndarray:
        """Return the sums [thresholds] of the weights of scores that are predicted at each threshold."""
        reached = np.searchsorted(-self.thresholds, -scores, side="left")  # the first threshold at or below the score
        return np.cumsum(np.bincount(reached, weights, THRESHOLDS + 1)[:THRESHOLDS])

    def _found(self, reach: int) -> np.ndarray:
        """Return the share [thresholds] of segments, each side extended by ``reach`` steps, with a predicted step."""
        apart = np.flatnonzero(self.last[:-1] + reach < self.first[1:] - reach)
        first = np.maximum(self.first[np.concatenate([[0], apart + 1])] - reach, 0)
        last = np.minimum(self.last[np.concatenate([apart, [len(self.last) - 1]])] + reach, len(self.scores) - 1)
        bounds = np.stack([first, last + 1], 1).ravel()
        padded = np.concatenate([self.scores, [-np.inf]])  # the last bound may be the end
        highest = np.maximum.reduceat(padded, bounds)[::2]
        return self._cumulative(highest, np.full(len(highest), 1 / len(highest)))


def _around(first: np.ndarray, last: np.ndarray, reach: int, length: int) -> tuple[np.ndarray, np.ndarray]:
    """Return steps [K] within ``reach`` of each segment, and their distances [K]; a step may occur more than once."""
    away = np.arange(1, reach + 1)
    steps = np.concatenate([(last[:, None] + away).ravel(), (first[:, None] - away).ravel()])
    distances = np.tile(away, 2 * len(first))
    inside = (steps >= 0) & (steps < length)
    return steps[inside], distances[inside]
