"""Tables of labelled series: long ones, a series in each row, files, and what is refused."""

from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import polars as pl
import pytest

from tracetune.base.errors import InputError
from tracetune.estimators.classification.labelled_tables import read_labelled

X = np.array([0.3, 1.2, -0.5, 2.2, 0.1, 1.7, 0.4, -2.0, 0.9, 1.1])


def long_table() -> pd.DataFrame:
    return pd.DataFrame(
        {
            "machine": np.repeat(["m1", "m2"], 5),
            "time": list(pd.date_range("2024-01-01", periods=5, freq="s")) * 2,
            "x": X,
            "y": -X,
            "state": np.repeat(["good", "worn"], 5),
        }
    )


def test_a_long_table_is_read_like_the_one_of_the_fit() -> None:
    found = read_labelled(long_table(), "state", {"id_column": "machine"})
    assert (list(found.items), found.labels, found.item_column) == (["m1", "m2"], ["good", "worn"], "machine")
    np.testing.assert_array_equal(found.series[1], [X[5:], -X[5:]])
    wider = long_table().assign(z=1.5)[["z", "state", "y", "time", "machine", "x"]]
    alike = read_labelled(pl.from_pandas(wider), remembered=found.columns, labelled=False)
    assert alike.kind == "polars"
    assert alike.labels is None
    np.testing.assert_array_equal(alike.series[1], found.series[1])


def test_how_dates_were_written_is_remembered_whatever_flags_are_left_out(tmp_path: Path) -> None:
    days = pd.date_range("2024-01-01", periods=20, freq="D")
    table = pd.DataFrame({"item": np.repeat(["p", "q"], 20), "day": [*days, *days], "x": np.arange(40.0), "label": 1})
    table["day"] = table["day"].dt.strftime("%d/%m/%Y")  # the 13th has no second reading
    found = read_labelled(table)
    later = table.groupby("item").head(12)
    left_out = {name: None for name in ("day_first", "freq", "id_column", "sort")}
    alike = read_labelled(later, None, left_out, remembered=found.columns, labelled=False)  # type: ignore[arg-type]
    np.testing.assert_array_equal(alike.series[0], found.series[0][:, :12])
    hourly = later.assign(day=[f"01/02/2024 0{hour}:00" for hour in [*range(8)] * 3])
    hourly["item"] = np.repeat(["a", "b", "c"], 8)
    assert len(read_labelled(hourly, remembered=found.columns).series) == 3  # another rate


def test_one_line_says_what_was_understood(tmp_path: Path) -> None:
    found = read_labelled(long_table(), "state", {"id_column": "machine"})
    assert found.line == "2 series, channels 'x', 'y', 5 steps each, classes 'good' (1), 'worn' (1)"
    assert read_labelled(found) is found
    (tmp_path / "t.ts").write_text("@classLabel true 1 2\n@data\n1,2,?,4:2\n1:1\n3,4,5:1\n")
    line = read_labelled(tmp_path / "t.ts").line
    assert line == "3 series, 1 channel, 1 to 4 steps, 12.5 % missing, classes '1' (2), '2' (1)"
    assert read_labelled(tmp_path / "t.ts", labelled=False).line.endswith("12.5 % missing")


def test_a_series_in_each_row_ends_with_its_last_value(tmp_path: Path) -> None:
    path = tmp_path / "rows.csv"
    path.write_text("label,t0,t1,t2,t3,t4\n1,1,2,3,4,5\n2,1,,3,4,\n1,5,4,3,2,1\n")
    found = read_labelled(path)
    assert found.labels == ["1", "2", "1"]
    assert found.items == [0, 1, 2]
    np.testing.assert_array_equal(found.series[1], [[1, np.nan, 3, 4]])
    assert read_labelled(path, remembered=found.columns, labelled=False).series[0].shape == (1, 5)


def rows_table() -> pd.DataFrame:
    """Return three series of two channels, u and v, of 11 steps, a series in each row."""
    steps = np.arange(11.0)
    rows = {f"{name}{step}": [step + sign, step, -step] for sign, name in enumerate("uv") for step in steps.astype(int)}
    return pd.DataFrame({**rows, "label": ["p", "q", "p"]})


def test_steps_in_the_header_are_in_the_order_of_their_numbers() -> None:
    table = rows_table().filter(regex="u|label")
    expected = read_labelled(table)
    np.testing.assert_array_equal(expected.series[2], [-np.arange(11.0)])
    mixed = table[sorted(table.columns)]  # u0, u1, u10, u2, ...
    np.testing.assert_array_equal(read_labelled(mixed).series[2], expected.series[2])
    negative = table.set_axis([*map(str, range(-11, 0)), "label"], axis=1).iloc[:, ::-1]
    np.testing.assert_array_equal(read_labelled(negative).series[2], expected.series[2])
    later = mixed.assign(age=[50, 60, 70], part=7).drop(columns="label")
    found = read_labelled(later, remembered=expected.columns, labelled=False)
    np.testing.assert_array_equal(np.stack(found.series), np.stack(expected.series))
    with pytest.raises(InputError, match="columns named like 'u0', found columns 'v0'"):
        read_labelled(rows_table().filter(like="v"), remembered=expected.columns, labelled=False)


def test_numbered_columns_of_another_word_are_another_channel() -> None:
    expected = read_labelled(rows_table())
    np.testing.assert_array_equal(expected.series[0], [np.arange(11.0), np.arange(11.0) + 1])
    turned = read_labelled(rows_table().iloc[:, ::-1], remembered=expected.columns)
    np.testing.assert_array_equal(np.stack(turned.series), np.stack(expected.series))
    with pytest.raises(InputError, match="11 columns like 'u0', 10 columns like 'v0'"):
        read_labelled(rows_table().drop(columns="v10"))


def test_columns_without_numbers_are_found_by_their_names() -> None:
    table = pd.DataFrame({"jan": X, "feb": X + 1, "mar": X + 2, "apr": X + 3, "label": list("ab") * 5})
    expected = read_labelled(table, options={"layout": "steps_in_header"})
    turned = read_labelled(table.iloc[:, ::-1].assign(age=3), remembered=expected.columns, labelled=False)
    np.testing.assert_array_equal(np.stack(turned.series), np.stack(expected.series))
    with pytest.raises(InputError, match="steps in column 'feb', found columns 'jan', 'mar'"):
        read_labelled(table.drop(columns="feb"), remembered=expected.columns)


def test_unusable_tables_are_refused() -> None:
    with pytest.raises(InputError, match="labels in a column 'kind'"):
        read_labelled(long_table(), "kind")
    mixed = long_table()
    mixed.loc[0, "state"] = "worn"
    with pytest.raises(InputError, match="one label an item, found 2 for item 'm1'"):
        read_labelled(mixed, "state", {"id_column": "machine"})
    with pytest.raises(InputError, match="reading option"):
        read_labelled(long_table(), "state", {"id_colum": "machine"})
    single = long_table().head(5).drop(columns="machine")
    with pytest.raises(InputError, match="column that tells series apart"):
        read_labelled(single, "state")


@pytest.mark.parametrize(
    ("name", "text", "message"),
    [
        ("rows.csv", "label,t0,t1,t2,t3\n1,1,2,3,4\n,1,2,3,4\n", "a label in each row, found none in row 3 [(]1 such"),
        ("rows.csv", "label,t0,t1,t2,t3\n1,1,2,3,4\n2,,,,\n", "series in row 3 has no value at all"),
        ("rows.json", '[{"label": null, "t0": 1, "t1": 2, "t2": 3, "t3": 4}]', "found none in row 1 "),
        ("rows.json", '[{"label": [1], "t0": 1, "t1": 2, "t2": 3, "t3": 4}]', "as the label in row 1, found .1."),
        ("steps.csv", "item,day,x,label\na,2024-01-01,1,u\na,2024-01-02,2,\n", "found none in row 3 "),
    ],
)
def test_what_a_row_lacks_is_said_with_its_number(tmp_path: Path, name: str, text: str, message: str) -> None:
    (tmp_path / name).write_text(text)
    with pytest.raises(InputError, match=message):
        read_labelled(tmp_path / name)


def test_no_item_is_left_out_without_a_word() -> None:
    table = long_table().assign(x=np.r_[X[:5], np.full(5, np.nan)]).drop(columns="y")
    for labelled in (True, False):
        with pytest.raises(InputError, match="Item 'm2' has no value at all"):
            read_labelled(table, "state", {"id_column": "machine"}, labelled=labelled)


def steps(**columns: object) -> pd.DataFrame:
    """Return six series of eight steps, one below the other."""
    names = np.repeat([f"s{number}" for number in range(6)], 8)
    frame = pd.DataFrame({"item_id": names, "t": np.tile(np.arange(8), 6), "v": np.arange(48) % 5 + 0.5})
    return frame.assign(label=np.where(frame["item_id"].str[1].astype(int) % 2, "odd", "even"), **columns)


def test_whole_numbers_as_floats_name_series() -> None:
    frame = steps()
    frame["item_id"] = frame["item_id"].str[1].astype(float)
    table = read_labelled(frame)
    assert list(table.items) == [0, 1, 2, 3, 4, 5] and table.labels == ["even", "odd"] * 3


def test_numbered_channels_beside_a_time_are_no_steps() -> None:
    table = read_labelled(steps(**{f"c{number}": np.arange(48) * 0.5 + number for number in range(11)}))
    assert len(table.series) == 6 and table.series[0].shape == (12, 8)


def test_a_cell_that_is_no_number_is_named_and_its_channel_not_left_out() -> None:
    frame = steps(w=["1.5"] * 48)
    frame.loc[3, "w"] = "x"
    with pytest.raises(InputError, match="Column 'w' must hold numbers, found 'x' in row 3"):
        read_labelled(frame)


def rows_of_series() -> pd.DataFrame:
    values = np.arange(60.0).reshape(6, 10)
    return pd.DataFrame(values, columns=[f"t{step}" for step in range(10)]).assign(label=["a", "b"] * 3)


@pytest.mark.parametrize("name", ["item_id", "patient"])
@pytest.mark.parametrize("layout", [None, "steps_in_header"])
def test_rows_of_series_keep_the_names_that_a_column_gives_them(name: str, layout: Any) -> None:
    named = rows_of_series().assign(**{name: pd.Categorical([f"p{row}" for row in range(6)])})
    options: Any = {} if layout is None else {"layout": layout}
    table = read_labelled(named, options=options)
    assert table.item_column == name and list(table.items) == [f"p{row}" for row in range(6)]
    assert [series.shape for series in table.series] == [(1, 10)] * 6
    again = read_labelled(named.drop(columns="label"), remembered=table.columns, labelled=False)
    np.testing.assert_array_equal(again.series, table.series)
    with pytest.raises(InputError, match=f"Expected column '{name}'"):
        read_labelled(rows_of_series(), options={"id_column": name})


def cells_of_series(**names: Any) -> pd.DataFrame:
    return pd.DataFrame({**names, "values": list(np.arange(60.0).reshape(6, 10)), "label": ["a", "b"] * 3})


@pytest.mark.parametrize("series", [rows_of_series, cells_of_series])
@pytest.mark.parametrize("first", [None, "patient"])
@pytest.mark.parametrize("later", [None, "code", "item_id"])
def test_series_in_rows_may_have_other_names_than_in_the_fit(series: Any, first: str | None, later: str | None) -> None:
    codes = [f"p{row}" for row in range(6)]
    fitted = read_labelled(series() if first is None else series().assign(**{first: codes}))
    table = series() if later is None else series().assign(**{later: codes})
    found = read_labelled(table.drop(columns="label"), remembered=fitted.columns, labelled=False)
    np.testing.assert_array_equal(found.series, fitted.series)
    assert found.item_column == (later or "item_id")
    assert later is None or list(found.items) == codes


def test_times_of_series_in_cells_may_be_new() -> None:
    fitted = read_labelled(cells_of_series())
    days = [list(pd.date_range("2024-01-01", periods=10))] * 6
    found = read_labelled(cells_of_series(code=list("uvwxyz"), day=days), remembered=fitted.columns)
    np.testing.assert_array_equal(found.series, fitted.series)
    assert list(found.items) == list("uvwxyz")


@pytest.mark.parametrize("times", [pd.date_range("2024-01-01", periods=6), [f"2024-01-0{day}" for day in range(1, 7)]])
def test_times_beside_numbered_channels_are_no_names_of_series(times: Any) -> None:
    with pytest.raises(InputError, match="layout='steps_in_header'"):
        read_labelled(rows_of_series().assign(day=times))


def test_a_file_without_header_is_said_to_be_read_as_in_the_archive(tmp_path: Path) -> None:
    path = tmp_path / "train.tsv"
    rows_of_series().assign(label=[1, 2] * 3).set_index("label").to_csv(path, sep="\t", header=False)
    table = read_labelled(str(path))
    assert table.line == (
        "6 series, 1 channel, 10 steps each, classes '1' (3), '2' (3); no header: the class first, then the steps"
    )
    np.testing.assert_array_equal(table.series[5][0], np.arange(50, 60))


def test_numbered_channels_of_a_row_a_step_ask_for_the_column_of_the_time() -> None:
    channels = {f"acceleration {number}": X for number in range(6)}
    table = pd.DataFrame({"machine": np.repeat(["m1", "m2"], 5), "second": [*range(5)] * 2, **channels})
    table["state"] = np.repeat(["good", "worn"], 5)
    with pytest.raises(InputError, match=r"if each row is a step, name the column of its time with timestamp_column"):
        read_labelled(table, "state")
    found = read_labelled(table, "state", {"timestamp_column": "second"})
    assert [series.shape for series in found.series] == [(6, 5), (6, 5)]


def nested_table(**more: list) -> pd.DataFrame:
    """Return two series of two channels, each of them in one cell."""
    lists = {"a": [X[:5].tolist(), X[5:9].tolist()], "b": [(-X[:5]).tolist(), (-X[5:9]).tolist()]}
    return pd.DataFrame({"label": ["good", "worn"], **(lists | more)})


def test_lists_in_cells_are_channels(tmp_path: Path) -> None:
    nested_table().to_parquet(tmp_path / "t.parquet")
    nested_table().to_json(tmp_path / "t.jsonl", orient="records", lines=True)
    as_series = nested_table().assign(a=[pd.Series(X[:5]), pd.Series(X[5:9], index=range(9, 13))])
    sources = [nested_table(), pl.from_pandas(nested_table()), as_series, tmp_path / "t.parquet", tmp_path / "t.jsonl"]
    for source in sources:
        found = read_labelled(source)
        assert (found.labels, found.columns["target"]) == (["good", "worn"], ["a", "b"])
        np.testing.assert_array_equal(found.series[1], [X[5:9], -X[5:9]])
        alike = read_labelled(source, remembered=found.columns, labelled=False)
        np.testing.assert_array_equal(alike.series[0], [X[:5], -X[:5]])


def test_lists_in_one_column_beside_times_and_names_are_one_channel() -> None:
    times = [list(pd.date_range("2024-01-01", periods=count, freq="h")) for count in (5, 4)]
    found = read_labelled(nested_table(item_id=["p", "q"], timestamp=times).drop(columns="b"))
    assert (list(found.items), found.labels) == (["p", "q"], ["good", "worn"])
    np.testing.assert_array_equal(found.series[1], [X[5:9]])


def test_lists_of_different_lengths_in_a_row_are_refused_unless_the_channels_are_named() -> None:
    table = nested_table(tags=[[1.0], [2.0]])
    with pytest.raises(InputError, match=r"row 0, found 5 steps of 'a' and 1 of 'tags'.*target"):
        read_labelled(table)
    found = read_labelled(table, options={"target": ("a", "b")})
    assert found.columns["target"] == ["a", "b"]
    assert "left out column 'tags': not as long as the series" in found.line
    for other, message in (
        (nested_table(b=[[1.0], [2.0]]), "found 5 steps of 'a' and 1 of 'b'"),
        (nested_table(b=[None, [2.0]]), "found 5 steps of 'a' and 0 of 'b'"),
        (nested_table(a=[[], [1.0]]), "list of 'a' in row 0 is empty"),
        (nested_table().rename(columns={"b": "c"}), "lists in column 'b' too, found them in columns 'a', 'c'"),
    ):
        with pytest.raises(InputError, match=message):
            read_labelled(other, remembered=found.columns, labelled=False)


def test_fractions_do_not_name_series_in_cells() -> None:
    found = read_labelled(nested_table(age=[30.5, 41.25]))
    assert (list(found.items), found.columns["target"]) == ([1, 2], ["age", "a", "b"])


def test_what_was_left_out_of_a_long_table_is_said(tmp_path: Path) -> None:
    (tmp_path / "t.csv").write_text("Written by a logger\n\n" + long_table().to_csv(index=False))
    assert "left out 1 line before the header" in read_labelled(tmp_path / "t.csv", "state").line
