"""Classes that are never named: found, and said in a sentence."""

import logging

import numpy as np
import pytest

from tracetune.estimators.named_classes import classes_never_named, say_never_named, say_never_named_in_fit

CLASSES = ["a", "b", "c"]
LABELS = np.array([0, 0, 1, 2, 2, 2])


@pytest.mark.parametrize(
    ("chosen", "labels", "never"),
    [
        ([0, 0, 1, 2, 2, 2], LABELS, []),
        ([1, 1, 1, 1, 1, 1], LABELS, ["c", "a"]),
        ([0, 0, 0, 1, 1, 1], LABELS, ["c"]),
        ([1, 1], np.array([1, 1]), []),  # what does not occur need not be named
    ],
)
def test_they_are_found_the_frequent_ones_first(chosen: list[int], labels: np.ndarray, never: list[str]) -> None:
    assert classes_never_named(np.eye(3)[chosen], labels, CLASSES) == never


def test_they_are_said(caplog: pytest.LogCaptureFixture) -> None:
    def said() -> str:
        text, _ = caplog.text, caplog.clear()
        return text

    with caplog.at_level(logging.WARNING):
        say_never_named(np.eye(3)[LABELS], LABELS, CLASSES, "6 texts")
        assert not said()
        say_never_named(np.eye(3)[[0] * 6], LABELS, CLASSES, "6 texts")
        assert "On 6 texts the model names class 'a' whatever it is given: it tells no classes apart." in said()
        say_never_named(np.eye(3)[[0, 1, 1, 1, 1, 1]], LABELS, CLASSES, "6 texts")
        assert "On 6 texts the model never names class 'c'." in said()
        say_never_named_in_fit({"never_named": ["c"], "classes": CLASSES, "class_weights": [1, 1, 1]}, "6 texts")
        assert "never names class 'c'. What may help: give rare classes more weight (class_weights='bal" in said()
        say_never_named_in_fit({"never_named": ["c"], "classes": CLASSES, "class_weights": [1, 1, 2]}, "6 texts")
        assert "class_weights" not in said()
