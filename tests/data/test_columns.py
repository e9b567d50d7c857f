import numpy as np
import pandas as pd
import pytest

from tracetune.base.errors import InputError
from tracetune.data.columns import Layout, channel_values, find_layout, item_codes, parse_timestamps


def table(*columns):
    return pd.DataFrame({name: [1.0, 2.0] for name in columns})


@pytest.mark.parametrize(
    ("columns", "named", "expected"),
    [
        (("item_id", "timestamp", "target"), {}, Layout("item_id", "timestamp", ("target",))),
        (("ds", "y", "price", "unique_id"), {}, Layout("unique_id", "ds", ("y", "price"))),
        (("date", "0", "OT"), {}, Layout(None, "date", ("0", "OT"))),
        (("timestamp", "price", "target"), {}, Layout(None, "timestamp", ("target", "price"))),
        (("a", "b", "c"), {"timestamp": "b", "target": ["c", "a"]}, Layout(None, "b", ("c", "a"))),
        (("item_id", "ds", "y", "date"), {"timestamp": "date"}, Layout("item_id", "date", ("y", "ds"))),
        (("item_id", "timestamp", "target"), {"target": "item_id"}, Layout(None, "timestamp", ("item_id",))),
    ],
)
def test_layouts(columns, named, expected):
    given = {"item": None, "timestamp": None, "target": None} | named
    assert find_layout(table(*columns), **given) == expected


def test_items_are_numbered_in_order_of_appearance():
    codes, items = item_codes(pd.DataFrame({"shop": ["b", "a", "b"]}), "shop")
    assert (codes.tolist(), items) == ([0, 1, 0], ["b", "a"])


@pytest.mark.parametrize(
    "written",
    [
        ["2024-03-01", "2024-03-02"],
        ["2024-03-01 00:00:00+00:00", "2024-03-02T01:00:00+01:00"],
        ["2024/3/1 0:00", "2024/3/2 0:00"],
        ["03/01/2024", "03/02/2024"],
        [pd.Timestamp("2024-03-01").date(), pd.Timestamp("2024-03-02").date()],
        pd.to_datetime(["2024-03-01", "2024-03-02"]).astype("datetime64[s]"),
    ],
)
def test_dates_in_many_forms(written):
    parsed = parse_timestamps(pd.Series(written))
    assert parsed.dtype == np.dtype("datetime64[ns]")
    np.testing.assert_array_equal(parsed, np.array(["2024-03-01", "2024-03-02"], dtype="datetime64[ns]"))


def test_numbers_written_as_text_are_numbers():
    values = channel_values(pd.DataFrame({"x": ["1.5", None]}), ["x"])
    np.testing.assert_array_equal(values, [[1.5, np.nan]])


def test_integers_that_pandas_may_leave_empty():
    frame = pd.DataFrame({"x": pd.array([1, None], dtype="Int64"), "flag": [True, False]})
    np.testing.assert_array_equal(channel_values(frame, ["x", "flag"]), [[1, np.nan], [1, 0]])


def test_long_lists_of_columns_are_shortened():
    with pytest.raises(InputError, match=r"'c11', \.\.\. \(30 in all\)\. Recognised layouts"):
        find_layout(table(*(f"c{i}" for i in range(30))), None, None, None)
