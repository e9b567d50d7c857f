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
        (("Date", "Close"), {}, Layout(None, "Date", ("Close",))),
        ((" Item_ID", "TIMESTAMP ", "Y", "y"), {}, Layout(" Item_ID", "TIMESTAMP ", ("y", "Y"))),
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


@pytest.mark.parametrize(
    "moments",
    [
        pd.Series(pd.date_range("2024-03-29", periods=5, freq="D", tz="Europe/Berlin")),
        pd.Series(pd.date_range("2024-03-29", periods=5, freq="D", tz="Europe/Berlin")).astype(str),
        pd.Series([20240329, 20240330, 20240331, 20240401, 20240402]),
    ],
)
def test_days_stay_days_when_the_clocks_change(moments):
    expected = pd.date_range("2024-03-29", periods=5, freq="D").to_numpy("datetime64[ns]")
    np.testing.assert_array_equal(parse_timestamps(moments), expected)


@pytest.mark.parametrize("as_text", [False, True])
def test_hours_of_a_zone_are_turned_into_utc_when_the_clocks_change(as_text):
    moments = pd.Series(pd.date_range("2024-03-30 22:00", periods=6, freq="h", tz="Europe/Berlin"))
    expected = pd.date_range("2024-03-30 21:00", periods=6, freq="h").to_numpy("datetime64[ns]")
    np.testing.assert_array_equal(parse_timestamps(moments.astype(str) if as_text else moments), expected)


@pytest.mark.parametrize("numbers", [[20240101, 20240132], [18991231, 18990101], [1, 2]])
def test_integers_that_are_not_all_dates_stay_integers(numbers):
    assert parse_timestamps(pd.Series(numbers)).tolist() == numbers


def test_quarters_are_read_without_a_warning(recwarn):
    parsed = parse_timestamps(pd.Series(["2023Q4", "2024Q1"]))
    np.testing.assert_array_equal(parsed, np.array(["2023-10-01", "2024-01-01"], dtype="datetime64[ns]"))
    assert not [warning for warning in recwarn if issubclass(warning.category, UserWarning)]


def test_integers_beyond_64_bits_are_refused():
    with pytest.raises(InputError, match="integers of 64 bits, found 18446744073709551615"):
        parse_timestamps(pd.Series([0, 2**64 - 1], dtype="uint64"))


def test_numbers_written_as_text_are_numbers():
    values = channel_values(pd.DataFrame({"x": ["1.5", None]}), ["x"])
    np.testing.assert_array_equal(values, [[1.5, np.nan]])


def test_integers_that_pandas_may_leave_empty():
    frame = pd.DataFrame({"x": pd.array([1, None], dtype="Int64"), "flag": [True, False]})
    np.testing.assert_array_equal(channel_values(frame, ["x", "flag"]), [[1, np.nan], [1, 0]])


def test_long_lists_of_columns_are_shortened():
    with pytest.raises(InputError, match=r"'c11', \.\.\. \(30 in all\)\. Recognised layouts"):
        find_layout(table(*(f"c{i}" for i in range(30))), None, None, None)
