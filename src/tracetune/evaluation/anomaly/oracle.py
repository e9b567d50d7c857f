"""F1 scores at the best threshold, which only somebody with the labels could choose: for comparison with papers."""

import numpy as np

from tracetune.evaluation.anomaly.segments import checked, segments


def standard_f1(scores: np.ndarray, labels: np.ndarray) -> float:
    """Return the highest F1 score of single steps over all thresholds, for scores [T] and labels [T]."""
    scores, labels = checked(scores, labels)
    hits, alarms = _hits_and_alarms(scores, labels, np.unique(scores))
    return float((2 * hits / (alarms + labels.sum())).max())


def point_adjusted_f1(scores: np.ndarray, labels: np.ndarray) -> float:
    """Return the highest F1 score of single steps where one alarm in a segment counts for all of it.

    Xu et al. (WWW 2018). It overestimates: long segments are found by chance (Kim et al., AAAI 2022).
    """
    scores, labels = checked(scores, labels)
    first, last = segments(labels)
    thresholds, place = np.unique(_highest(scores, first, last), return_inverse=True)
    found = np.cumsum(np.bincount(place, last - first + 1)[::-1])[::-1]  # steps of segments that reach each threshold
    hits, alarms = _hits_and_alarms(scores, labels, thresholds)
    return float((2 * found / (found + (alarms - hits) + labels.sum())).max())


def event_f1(scores: np.ndarray, labels: np.ndarray) -> float:
    """Return the highest harmonic mean of the share of segments found and the precision of single steps.

    Garg et al., "An Evaluation of Anomaly Detection and Diagnosis in Multivariate Time Series" (TNNLS 2022).
    """
    scores, labels = checked(scores, labels)
    thresholds = np.unique(scores)
    highest = np.sort(_highest(scores, *segments(labels)))
    recall = 1 - np.searchsorted(highest, thresholds, side="left") / len(highest)
    hits, alarms = _hits_and_alarms(scores, labels, thresholds)
    precision = hits / alarms
    return float((2 * recall * precision / np.maximum(recall + precision, np.finfo(float).tiny)).max())


def _highest(scores: np.ndarray, first: np.ndarray, last: np.ndarray) -> np.ndarray:
    """Return the highest score [S] in each segment."""
    bounds = np.stack([first, last + 1], 1).ravel()
    return np.maximum.reduceat(np.concatenate([scores, [-np.inf]]), bounds)[::2]


def _hits_and_alarms(scores: np.ndarray, labels: np.ndarray, thresholds: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return how many labelled steps, and how many steps, score at least each of the ascending thresholds."""
    labelled, every = np.sort(scores[labels]), np.sort(scores)
    hits = len(labelled) - np.searchsorted(labelled, thresholds, side="left")
    return hits.astype(float), (len(every) - np.searchsorted(every, thresholds, side="left")).astype(float)
