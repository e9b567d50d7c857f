"""Evaluation of classes: scores beside those of the most frequent class, the confusion matrix, a report by class.

Shapes: S samples, K classes.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd
from sklearn.metrics import confusion_matrix, f1_score, precision_recall_fscore_support

_BINS = 10  # of the calibration error
_LEAST_PROBABILITY = np.finfo(np.float64).eps  # in the log loss, as scikit-learn has it

Scores = Callable[[np.ndarray, np.ndarray], dict[str, float]]
"""From probabilities [S, K] and the numbers [S] of the true classes to scores by name."""


@dataclass(frozen=True, eq=False)
class ClassEvaluation:
    """Scores of probabilities on labelled samples.

    Attributes:
        scores: a row for the model and one for always naming the class that is most frequent among the samples:
            accuracy, balanced accuracy (mean recall of the classes that occur), macro F1 (mean over the classes that
            occur or are named), what the task measures besides, log loss (mean cross-entropy), Brier score (mean over
            samples of the squared error summed over classes, between 0 and 2; Brier 1950; scikit-learn halves it for
            two classes), expected calibration error (10 bins of equal width; Guo et al. 2017), number of samples.
        per_class: precision, recall, F1 and number of samples of each class.
        confusion: [K, K] counts, true classes in rows, predicted ones in columns.
    """

    scores: pd.DataFrame
    per_class: pd.DataFrame
    confusion: pd.DataFrame

    @classmethod
    def of(
        cls, probabilities: np.ndarray, labels: np.ndarray, classes: Sequence[str], more: Scores | None = None
    ) -> "ClassEvaluation":
        """Compare probabilities with the true classes.

        Args:
            probabilities: [S, K] of the model; the row beside it has the shares of the classes for each sample.
            labels: [S] numbers of the true classes.
            classes: [K] names.
            more: further scores.
        """
        numbers = np.arange(len(classes))
        chosen = probabilities.argmax(axis=1)
        precision, recall, f1, samples = precision_recall_fscore_support(
            labels, chosen, labels=numbers, zero_division=0.0
        )
        shares = np.tile(np.bincount(labels, minlength=len(classes)) / len(labels), (len(labels), 1))
        rows = {"model": probabilities, "most frequent class": shares}
        matrix = confusion_matrix(labels, chosen, labels=numbers)
        index = pd.Index(classes, name="true class")
        return cls(
            pd.DataFrame([{"classifier": name} | _scores(found, labels, more) for name, found in rows.items()]),
            pd.DataFrame(
                {"class": list(classes), "precision": precision, "recall": recall, "f1": f1, "samples": samples}
            ),
            pd.DataFrame(matrix, index=index, columns=pd.Index(classes, name="predicted")),
        )

    @property
    def accuracy(self) -> float:
        """Return the share of samples whose class was named."""
        return float(self.scores["accuracy"][0])


def _scores(probabilities: np.ndarray, labels: np.ndarray, more: Scores | None) -> dict[str, float]:
    chosen = probabilities.argmax(axis=1)
    present = np.unique(labels)
    return {
        "accuracy": float((chosen == labels).mean()),
        "balanced_accuracy": float(np.mean([(chosen[labels == label] == label).mean() for label in present])),
        "macro_f1": float(f1_score(labels, chosen, average="macro", zero_division=0.0)),
        **({} if more is None else more(probabilities, labels)),
        "log_loss": _log_loss(probabilities, labels),
        "brier_score": _brier_score(probabilities, labels),
        "calibration_error": _calibration_error(probabilities, labels),
        "samples": len(labels),
    }


def _log_loss(probabilities: np.ndarray, labels: np.ndarray) -> float:
    of_truth = np.maximum(probabilities[np.arange(len(labels)), labels], _LEAST_PROBABILITY)
    return float(np.log(1 / of_truth).mean())


def _brier_score(probabilities: np.ndarray, labels: np.ndarray) -> float:
    truth = np.eye(probabilities.shape[1])[labels]
    return float(((probabilities - truth) ** 2).sum(axis=1).mean())


def _calibration_error(probabilities: np.ndarray, labels: np.ndarray) -> float:
    """Return the mean distance between how sure and how often right, over bins of how sure."""
    sure, right = probabilities.max(axis=1), probabilities.argmax(axis=1) == labels
    bins = np.minimum((sure * _BINS).astype(np.int64), _BINS - 1)
    gaps = np.bincount(bins, right.astype(float) - sure, minlength=_BINS)
    return round(float(np.abs(gaps).sum() / len(labels)), 12)  # without the rounding errors of the sums
