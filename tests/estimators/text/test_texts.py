"""Texts from lists: what is refused."""

from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pytest

from tracetune.base.errors import InputError
from tracetune.estimators.text.texts import checked_texts


@pytest.mark.parametrize(
    ("values", "pairs", "message"),
    [
        ("one text", None, "put it into a list"),
        ([], None, "at least one text"),
        (["good", " "], None, "row 1, found an empty one"),
        (["good", None], None, "text in row 1, found None"),
        (["good", None, "", "fine"], None, "row 1, found None. Leave the row out, and 1 more like it"),
        ([("a", "b"), ("c", "")], None, "row 1, found an empty one"),
        ([("a", "b"), "c"], None, "two texts in row 1"),
        ({"a", "b"}, None, "in the order of their labels, found set"),
        ({"a": 1}, None, "found dict"),
        (None, None, "found NoneType"),
        (["a"], True, "pairs of texts, as in training, found single"),
        ([("a", "b")], False, "single texts, as in training, found pairs"),
    ],
)
def test_what_is_no_text_is_refused(values: Any, pairs: bool | None, message: str) -> None:
    with pytest.raises(InputError, match=message):
        checked_texts(values, pairs)


def test_arrays_are_lists_of_texts_and_of_pairs() -> None:
    of_libraries: list[Any] = [np.array(["a", "b"]), pa.array(["a", "b"]), pd.Series(["a", "b"]), iter("ab")]
    for values in of_libraries:
        assert checked_texts(values).first == ["a", "b"]
    assert checked_texts(np.array([["a", "b"], ["c", "d"]])).second == ["b", "d"]
