"""Stretches of true values, against itertools."""

from itertools import groupby

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from tracetune.base.stretches import stretches_of


@given(st.lists(st.booleans()))
def test_stretches_are_those_of_groupby(flags: list[bool]) -> None:
    expected, start = [], 0
    for value, group in groupby(flags):
        length = len(list(group))
        expected += [[start, start + length]] if value else []
        start += length
    assert stretches_of(np.array(flags, dtype=bool)).tolist() == expected
