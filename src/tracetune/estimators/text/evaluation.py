"""Scores that benchmarks of texts report besides those of every classifier.

Shapes: S samples, K classes.
"""

import numpy as np
from sklearn.metrics import f1_score, matthews_corrcoef


def text_scores(probabilities: np.ndarray, labels: np.ndarray) -> dict[str, float]:
    """Return F1 and Matthews correlation of probabilities [S, K] for classes [S].

    F1 of two classes is that of the second one, of more the mean over those that occur or are named. The correlation is
    0 where only one class occurs and is named.
    """
    chosen = probabilities.argmax(axis=1)
    average = "binary" if probabilities.shape[1] == 2 else "macro"
    return {
        "f1": float(f1_score(labels, chosen, zero_division=0, average=average)),
        "matthews": float(matthews_corrcoef(labels, chosen)) if len(np.unique([labels, chosen])) > 1 else 0.0,
    }
