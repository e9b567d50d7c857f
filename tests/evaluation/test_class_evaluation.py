"""Scores of probabilities, beside scikit-learn's."""

import numpy as np
import pytest
from sklearn.metrics import balanced_accuracy_score, brier_score_loss, f1_score, log_loss

from tracetune.evaluation.class_evaluation import ClassEvaluation


def test_scores_matrix_and_report_agree_with_scikit_learn() -> None:
    rng = np.random.default_rng(0)
    labels = rng.choice(3, size=60, p=[0.6, 0.3, 0.1])
    probabilities = rng.dirichlet(np.ones(3), size=60) + 0.5 * np.eye(3)[labels]
    probabilities /= probabilities.sum(axis=1, keepdims=True)
    found = ClassEvaluation.of(probabilities, labels, ["a", "b", "c"])
    chosen = probabilities.argmax(axis=1)
    model = found.scores.set_index("classifier").loc["model"]
    assert model["accuracy"] == found.accuracy == (chosen == labels).mean()
    assert model["balanced_accuracy"] == pytest.approx(balanced_accuracy_score(labels, chosen))
    assert model["macro_f1"] == pytest.approx(f1_score(labels, chosen, average="macro"))
    assert model["log_loss"] == pytest.approx(log_loss(labels, probabilities))
    assert model["brier_score"] == pytest.approx(brier_score_loss(labels, probabilities, scale_by_half=False))
    frequent = found.scores.set_index("classifier").loc["most frequent class"]
    assert frequent["accuracy"] == np.bincount(labels).max() / 60
    assert found.confusion.loc["b", "a"] == ((labels == 1) & (chosen == 0)).sum()
    assert found.per_class["samples"].tolist() == np.bincount(labels).tolist()
    assert found.per_class["recall"][2] == pytest.approx((chosen[labels == 2] == 2).mean())


def test_a_class_that_is_named_but_does_not_occur_counts_in_macro_f1_as_for_scikit_learn() -> None:
    labels, chosen = np.array([0, 0, 1, 1, 1]), np.array([0, 2, 1, 1, 0])
    found = ClassEvaluation.of(np.eye(4)[chosen], labels, ["a", "b", "c", "d"])
    assert found.scores["macro_f1"][0] == pytest.approx(f1_score(labels, chosen, average="macro"))
    assert found.scores["macro_f1"][0] < f1_score(labels, chosen, average="macro", labels=[0, 1])


def test_the_log_loss_of_sure_and_right_ones_is_no_negative_zero() -> None:
    found = ClassEvaluation.of(np.eye(2)[[0, 1]], np.array([0, 1]), ["a", "b"])
    assert str(found.scores["log_loss"][0]) == "0.0"


def test_the_log_loss_of_sure_and_wrong_ones_is_that_of_scikit_learn() -> None:
    found = ClassEvaluation.of(np.eye(2)[[0, 1]], np.array([0, 0]), ["a", "b"])
    assert found.scores["log_loss"][0] == pytest.approx(log_loss([0, 0], np.eye(2)[[0, 1]], labels=[0, 1]))


def test_further_scores_stand_in_the_same_table() -> None:
    found = ClassEvaluation.of(np.eye(2)[[0, 1]], np.array([0, 1]), ["a", "b"], lambda p, labels: {"size": p.size})
    assert found.scores["size"].tolist() == [4, 4]


def test_the_calibration_error_is_the_distance_of_sure_and_right() -> None:
    sure = np.tile([0.9, 0.1], (10, 1))
    right_six_times = np.array([0] * 6 + [1] * 4)
    found = ClassEvaluation.of(sure, right_six_times, ["a", "b"])
    assert found.scores["calibration_error"][0] == pytest.approx(0.3)
