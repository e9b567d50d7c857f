"""Weights of classes: those of scikit-learn, named as the classes are."""

from typing import Any

import numpy as np
import pytest
from sklearn.utils.class_weight import compute_class_weight

from tracetune.base.errors import InputError
from tracetune.estimators.class_weights import require_weights, weights_of_classes

NUMBERS = np.array([0, 1, 1, 2, 2, 2, 2, 1])


def test_balanced_weights_are_those_of_scikit_learn() -> None:
    expected = compute_class_weight("balanced", classes=np.arange(3), y=NUMBERS)
    np.testing.assert_allclose(weights_of_classes("balanced", NUMBERS, ["0", "1", "2"]), expected)
    assert weights_of_classes(None, NUMBERS, ["0", "1", "2"]) == (1.0, 1.0, 1.0)


def test_weights_are_found_however_the_number_of_a_class_is_written() -> None:
    wanted: Any = {2.0: 3, 0: 1, "1": 0.5}
    assert weights_of_classes(wanted, NUMBERS, ["0", "1", "2"]) == (1.0, 0.5, 3.0)


@pytest.mark.parametrize(
    ("wanted", "message"),
    [
        ("even", "'balanced' or a weight"),
        ([1, 2], "or a mapping"),
        ({"0": 1}, "of the classes 0, 1"),
        ({"0": 1, "1": 0}, "above 0"),
    ],
)
def test_other_weights_are_refused(wanted: Any, message: str) -> None:
    with pytest.raises(InputError, match=message):
        weights_of_classes(wanted, NUMBERS[:3], ["0", "1"])
    with pytest.raises(InputError, match="above 0 for each class"):
        require_weights([1.0], ["0", "1"])
