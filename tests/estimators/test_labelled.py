"""Labelled series as classifiers take them: what is said of labels and values, and settings that are refused."""

import numpy as np
import pytest

from tracetune.base.errors import InputError
from tracetune.estimators.labelled import class_numbers, require_folds, require_share, say_lost_digits


def test_classes_that_are_one_number_are_said(caplog: pytest.LogCaptureFixture) -> None:
    _, classes = class_numbers([1, "1.0", "b", "1e3", 1000], 5, None)
    assert classes == ["1", "1.0", "1000", "1e3", "b"]
    assert "are one number or differ in case" in caplog.text
    assert "'1', '1.0', '1000', '1e3'." in caplog.text


def test_series_that_hardly_vary_beside_their_level_are_said(caplog: pytest.LogCaptureFixture) -> None:
    wave = np.sin(np.arange(40.0))[None]
    constant = np.full((1, 40), 1e9)
    say_lost_digits([wave, wave + 1e5, constant])
    assert not caplog.text
    say_lost_digits([wave, wave + 1e9, constant])
    assert "1 of 3 series vary by a few ten-millionths of their level at most (the first is series 1)" in caplog.text


def test_folds_that_are_no_number_of_parts_are_refused() -> None:
    with pytest.raises(InputError, match="folds of at least 1, found 0"):
        require_folds(0)


@pytest.mark.parametrize("share", [0, 1, float("nan")])
def test_shares_that_are_none_are_refused(share: float) -> None:
    with pytest.raises(InputError, match="between 0 and 1"):
        require_share(share)
