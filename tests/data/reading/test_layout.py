"""Layouts: what numbered columns are."""

import numpy as np
import pandas as pd
import pytest

from tracetune.base.errors import InputError
from tracetune.data.reading.options import ReadingOptions
from tracetune.data.reading.read import read_table


@pytest.mark.parametrize("time", ["t", "step", "timestamp_(min)", "index"])
def test_numbered_channels_beside_a_column_that_counts_are_channels(time):
    frame = pd.DataFrame(np.random.default_rng(0).normal(size=(200, 25)), columns=[f"feature_{i}" for i in range(25)])
    panel = read_table(frame.assign(**{time: range(200)})).panel
    assert panel.lengths == (200,) and panel.channels == tuple(frame.columns)
    other = read_table(frame.add_prefix("x_").assign(**{time: range(200)}))
    assert other.panel.lengths == (200,) or time == "index"


def test_numbered_channels_without_a_time_are_not_taken_for_steps():
    frame = pd.DataFrame(np.random.default_rng(0).normal(size=(50, 8)), columns=[f"sensor{i}" for i in range(8)])
    with pytest.raises(InputError, match="each row is one step, give layout='rows'"):
        read_table(frame)
    assert read_table(frame, ReadingOptions(layout="rows")).panel.lengths == (50,)
    assert len(read_table(frame, ReadingOptions(layout="steps_in_header")).panel) == 50


def test_many_rows_that_nothing_names_under_numbered_columns_are_refused_with_both_readings():
    frame = pd.DataFrame(np.random.default_rng(0).normal(size=(50, 8)), columns=[f"Data{i}" for i in range(8)])
    with pytest.raises(InputError, match="layout='rows' if each row is one step of 8 channels, or layout='steps_in_he"):
        read_table(frame)
    assert read_table(frame, ReadingOptions(layout="rows")).panel.channels == tuple(frame.columns)
    assert read_table(frame, ReadingOptions(layout="steps_in_header")).panel.lengths == (8,) * 50
    assert read_table(frame.head(8)).panel.lengths == (8,) * 8  # as many series as steps
    assert read_table(frame.assign(shop=[f"shop {i}" for i in range(50)])).panel.lengths == (8,) * 50


def test_day_numbers_of_a_workbook_in_the_header_are_told_of():
    values = np.random.default_rng(0).normal(size=(3, 30))
    frame = pd.DataFrame(values, columns=[str(45292 + day) for day in range(30)])
    found = read_table(frame.assign(shop=list("abc")))
    assert found.panel.lengths == (30,) * 3
    assert any("day numbers of a workbook (45292: 2024-01-01), write dates there" in str(each) for each in found.notes)
    plain = read_table(frame.set_axis([str(day) for day in range(30)], axis=1).assign(shop=list("abc")))
    assert not any("workbook" in str(each) for each in plain.notes)
