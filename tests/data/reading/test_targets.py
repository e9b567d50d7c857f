"""Columns that are channels, and columns that are not."""

import numpy as np
import pandas as pd
import pytest

from tracetune.base.errors import InputError
from tracetune.data.reading.read import read_table


def test_empty_columns_are_not_proposed_as_targets():
    frame = pd.DataFrame({"when": pd.date_range("2024-01-01", periods=6, freq="h"), "a": np.nan, "b": 1.0})
    with pytest.raises(InputError, match=r"a: empty; b: constant\)\. Name it: target='b'\.$"):
        read_table(frame)
    with pytest.raises(InputError, match=r"a: empty\)\. Fill in values"):
        read_table(frame.drop(columns="b"))


def test_months_as_columns_are_warned_of():
    months = pd.DataFrame(
        np.random.default_rng(0).normal(size=(30, 12)),
        columns=[*pd.date_range("2024", periods=12, freq="MS").strftime("%b").str.upper()],
    )
    reading = read_table(months.assign(YEAR=range(1960, 1990)))
    assert any("JAN to DEC are months" in str(warning) for warning in reading.warnings)
    assert not any(
        "are months" in str(warning)
        for warning in read_table(months.assign(YEAR=range(1960, 1990)).drop(columns="MAY")).warnings
    )
