"""Scores of a text classifier, as benchmarks of texts report them.

Shapes: S samples, K classes.
"""

import numpy as np
from sklearn.metrics import f1_score, matthews_corrcoef

from tracetune.evaluation.class_scores import log_loss


def text_scores(probabilities: np.ndarray, labels: np.ndarray) -> dict[str, float]:
    """Return accuracy, F1, Matthews correlation and log loss of probabilities [S, K] for classes [S].

    F1 of two classes is that of the second one, of more the mean over those that occur or are named. The correlation is
    0 where only one class occurs and is named.
    """
    chosen = probabilities.argmax(axis=1)
    average = "binary" if probabilities.shape[1] == 2 else "macro"
    return {
        "accuracy": float((chosen == labels).mean()),
        "f1": float(f1_score(labels, chosen, zero_division=0, average=average)),
        "matthews": float(matthews_corrcoef(labels, chosen)) if len(np.unique([labels, chosen])) > 1 else 0.0,
        "log_loss": log_loss(probabilities, labels),
        "samples": len(labels),
    }
