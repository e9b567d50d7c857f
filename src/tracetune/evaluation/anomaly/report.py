"""All metrics of one series' anomaly scores, by the names under which papers report them."""

import numpy as np
from sklearn.metrics import average_precision_score, roc_auc_score

from tracetune.evaluation.anomaly.affiliation import affiliation_f1
from tracetune.evaluation.anomaly.oracle import event_f1, point_adjusted_f1, standard_f1
from tracetune.evaluation.anomaly.segments import checked
from tracetune.evaluation.anomaly.volume import volume_under_surface

METRICS = ("VUS-PR", "VUS-ROC", "AUC-PR", "AUC-ROC", "Standard-F1", "PA-F1", "Event-F1", "Affiliation-F1")


def anomaly_metrics(scores: np.ndarray, labels: np.ndarray, window: int) -> dict[str, float]:
    """Return every metric of scores [T], higher is more anomalous, for labels [T].

    VUS-PR is the one to look at first; F1 scores are those of the best threshold, which needs the labels.

    Args:
        scores: one finite score a step.
        labels: 1 where anomalous, else 0.
        window: the largest window of the volumes in steps; state it beside the numbers.

    Raises:
        InputError: unusable scores, labels or window.
    """
    scores, labels = checked(scores, labels)
    vus_pr, vus_roc = volume_under_surface(scores, labels, window)
    found = (
        vus_pr,
        vus_roc,
        float(average_precision_score(labels, scores)),
        float(roc_auc_score(labels, scores)),
        standard_f1(scores, labels),
        point_adjusted_f1(scores, labels),
        event_f1(scores, labels),
        affiliation_f1(scores, labels),
    )
    return dict(zip(METRICS, found, strict=True))
