"""Numbers in texts: what any program writes, and nothing of what Python alone takes for one."""

from typing import Any

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.base.no_numbers import NO_NUMBERS
from tracetune.base.errors import InputError
from tracetune.base.plain_numbers import plain_number
from tracetune.data.reading.numbers import as_numbers
from tracetune.data.reading.raw import RawTable
from tracetune.estimators.labelled import class_numbers
from tracetune.estimators.series_arrays import numbers_of

ONLY_PYTHON = ("1_000", "1e5_0", "１２", "٣", "1e999", "infinity", "nan", "-inf", "1\u00a0")


@given(st.floats(allow_nan=False, allow_infinity=False) | st.integers(-(2**70), 2**70))
def test_what_is_written_for_a_number_is_that_number(number: float) -> None:
    assert plain_number(f" {number!r}\n") == float(number)


@pytest.mark.parametrize("text", [*NO_NUMBERS, *ONLY_PYTHON, "", ".", "e5", "1e", "nan(1)", "½", "True"])
def test_nothing_else_is_one(text: str) -> None:
    assert plain_number(text) is None


def test_marks_of_missing_values_are_no_such_numbers_either() -> None:
    raw = RawTable(pd.DataFrame({"a": [1000, 1, 2]}), 2)
    assert not np.isnan(as_numbers(raw.frame["a"], raw, ("1_000",)).values).any()
    assert np.isnan(as_numbers(raw.frame["a"], raw, ("1e3",)).values).tolist() == [True, False, False]


def test_whole_numbers_beyond_the_largest_float_are_none() -> None:
    raw = RawTable(pd.DataFrame({"a": pd.Series([1, 10**400, "x", None, 2.5], dtype=object)}))
    assert as_numbers(raw.frame["a"], raw).wrong.tolist() == [False, True, True, False, False]


def test_classes_called_nan_or_1_0_have_an_order() -> None:
    names = ["nan", "b", "10", "1_0", "9", "nan", "inf"]
    assert class_numbers(names, 7, None)[1] == ["9", "10", "1_0", "b", "inf", "nan"]


@pytest.mark.parametrize("array", [["1_000", "2"], np.array([["1", "2"]]), np.array([1.0, "2"], object), [b"1", b"2"]])
def test_arrays_of_texts_are_no_series(array: Any) -> None:
    with pytest.raises(InputError, match="Expected numbers in series 3, found the text"):
        numbers_of(array, 3)
