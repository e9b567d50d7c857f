"""Affiliation F1: how near predictions and anomalies are to each other, against a random prediction.

Huet, Navarro and Rossi, "Local Evaluation of Time Series Anomaly Detection Algorithms" (KDD 2022). Time is continuous:
step t is the interval [t, t + 1). Each anomaly J has a zone E, up to the middle between it and its neighbours.

- Precision in a zone: the mean over predicted points x of P(dist(U, J) > dist(x, J)), U uniform in the zone; 1 in J.
- Recall of J: the mean over its points y of P(dist(U, y) > dist(y, nearest predicted point of the zone)).

Precision is the mean over zones with a prediction, recall the mean over all anomalies. All borders of zones are
multiples of a half and all kinks of the integrands multiples of a quarter, so that sums over the middles of quarters of
a step are the exact integrals.
"""

import numpy as np

from tracetune.evaluation.anomaly.segments import checked, segments

THRESHOLDS = 100


def affiliation_f1(scores: np.ndarray, labels: np.ndarray) -> float:
    """Return the highest affiliation F1 of scores [T] for labels [T] over 100 thresholds, evenly spaced (as TSB-AD)."""
    scores, labels = checked(scores, labels)
    zones = _Zones(labels)
    thresholds = np.linspace(scores.min(), scores.max(), THRESHOLDS)
    return max((zones.f1(scores > threshold) for threshold in thresholds), default=0.0)


def affiliation(predicted: np.ndarray, labels: np.ndarray) -> tuple[float, float]:
    """Return affiliation precision (NaN without a prediction) and recall of predicted steps [T] for labels [T]."""
    predicted, labels = checked(predicted, labels)
    return _Zones(labels).precision_and_recall(predicted.astype(bool))


class _Zones:
    """The zones of the anomalies, and the precision of a random prediction at every half step."""

    def __init__(self, labels: np.ndarray) -> None:
        first, last = segments(labels)
        self.start, self.stop = first.astype(float), last + 1.0  # of the anomalies
        middles = (self.stop[:-1] + self.start[1:]) / 2
        self.left = np.concatenate([[0.0], middles])
        self.right = np.concatenate([middles, [float(len(labels))]])
        halves = np.arange(2 * len(labels)) / 2 + 0.25  # the middles of half steps
        self.zone = np.searchsorted(middles, halves, side="right")
        self.random_precision = self._farther_from_anomaly(halves)
        quarters = np.arange(4 * len(labels)) / 4 + 0.125
        self.anomalous = quarters[np.repeat(labels, 4)]
        self.anomalous_zone = np.searchsorted(middles, self.anomalous, side="right")

    def f1(self, predicted: np.ndarray) -> float:
        """Return the harmonic mean of precision and recall of predicted steps [T]; 0 without a prediction."""
        if not predicted.any():
            return 0.0
        precision, recall = self.precision_and_recall(predicted)
        return 2 * precision * recall / (precision + recall) if precision + recall > 0 else 0.0

    def precision_and_recall(self, predicted: np.ndarray) -> tuple[float, float]:
        """Return the two means over zones for predicted steps [T]."""
        if not predicted.any():
            return float("nan"), 0.0
        halves = np.repeat(predicted, 2)
        zones, count = self.zone[halves], len(self.start)
        sizes = np.bincount(zones, minlength=count)
        precisions = np.bincount(zones, self.random_precision[halves], count)
        precision = float(np.mean(precisions[sizes > 0] / sizes[sizes > 0]))
        near = self._nearer_than_random(self._distance(halves))
        recalls = np.bincount(self.anomalous_zone, near, count) / np.bincount(self.anomalous_zone, minlength=count)
        return precision, float(recalls.mean())

    def _farther_from_anomaly(self, points: np.ndarray) -> np.ndarray:
        """Return P(dist(U, J) > dist(x, J)) of points x [K], each in its own zone."""
        start, stop, left, right = (bound[self.zone] for bound in (self.start, self.stop, self.left, self.right))
        distance = np.maximum(np.maximum(start - points, points - stop), 0)
        nearer = (stop - start) + np.minimum(distance, start - left) + np.minimum(distance, right - stop)
        return np.where(distance > 0, 1 - nearer / (right - left), 1.0)

    def _distance(self, halves: np.ndarray) -> np.ndarray:
        """Return the distance of each anomalous point to the nearest predicted point of its zone; infinite without."""
        cells = np.flatnonzero(halves)
        zones = self.zone[cells]
        distance = np.full(len(self.anomalous), np.inf)
        after = np.searchsorted(cells / 2, self.anomalous, side="right")  # the first cell that begins after the point
        for index, edge in ((after - 1, 0.5), (after, 0.0)):
            inside = np.clip(index, 0, len(cells) - 1)
            usable = (index == inside) & (zones[inside] == self.anomalous_zone)
            gap = np.maximum((self.anomalous - cells[inside] / 2 - edge) * (1 if edge else -1), 0)
            distance = np.where(usable, np.minimum(distance, gap), distance)
        return distance

    def _nearer_than_random(self, distance: np.ndarray) -> np.ndarray:
        """Return P(dist(U, y) > distance) of the anomalous points y; 0 where the distance is infinite."""
        left, right = self.left[self.anomalous_zone], self.right[self.anomalous_zone]
        covered = np.minimum(self.anomalous + distance, right) - np.maximum(self.anomalous - distance, left)
        return np.where(np.isfinite(distance), np.where(distance > 0, 1 - covered / (right - left), 1.0), 0.0)
