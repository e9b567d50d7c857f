# ruff: noqa: PD011 - `values` are arrays of series
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from tests.data.reading.frames import long_frame
from tracetune.base.errors import InputError
from tracetune.data.forecast_frame import frame_from_forecasts
from tracetune.data.reading.options import ReadingOptions
from tracetune.data.reading.read import panel_from_frame, read_table
from tracetune.data.splits import Scaler
from tracetune.data.windows import Windows

# Layouts


def test_long_frame():
    panel = panel_from_frame(pd.concat([long_frame("b"), long_frame("a", steps=3)]))
    assert panel.item_ids == ("b", "a")
    assert panel.lengths == (6, 3)
    assert (panel.channels, panel.freq) == (("target",), "h")
    np.testing.assert_array_equal(panel.series[1].values, [[1, 2, 3]])
    assert panel.series[0].timestamps.dtype == np.dtype("datetime64[ns]")


def test_unique_id_ds_y_is_recognised_and_remembered():
    frame = long_frame().rename(columns={"item_id": "unique_id", "timestamp": "ds", "target": "y"})
    panel = panel_from_frame(frame)
    assert (panel.origin.id_columns, panel.origin.timestamp_column, panel.channels) == (("unique_id",), "ds", ("y",))


def test_other_columns_are_left_out_and_named():
    reading = read_table(long_frame(price=np.arange(6), open=True, shop="north"))
    assert reading.panel.channels == ("target",)
    assert "ignored: price, open, shop" in reading.line
    assert panel_from_frame(long_frame(price=np.arange(6)), target=["target", "price"]).channels == ("target", "price")


def test_index_written_into_a_csv_is_no_channel(tmp_path):
    frame = long_frame().drop(columns="item_id").rename(columns={"target": "sold"})
    frame.assign(sold=[5.0, 1.0, 4.0, 1.0, 5.0, 9.0]).to_csv(tmp_path / "table.csv")
    reading = read_table(tmp_path / "table.csv")
    assert reading.panel.channels == ("sold",)
    assert reading.understood.ignored == (("Unnamed: 0", "an index without a name"),)


def test_wide_frame_is_one_item_with_a_channel_a_column():
    frame = pd.DataFrame({"date": ["1990/1/1 0:00", "1990/1/2 0:00", "1990/1/3 0:00"], "0": [1, 5, 3], "OT": [4, 2, 6]})
    panel = panel_from_frame(frame)
    assert (panel.item_ids, panel.channels, panel.freq) == (("series",), ("0", "OT"), "D")
    assert (panel.origin.id_columns, panel.origin.timestamp_column) == ((), "date")
    assert panel_from_frame(frame, target="OT").channels == ("OT",)
    assert panel_from_frame(frame, target=["OT", "0"]).series[0].values.tolist() == [[4, 2, 6], [1, 5, 3]]


def test_explicit_names_win_over_the_usual_ones():
    frame = long_frame(shop="x", day=pd.date_range("2024-05-01", periods=6), sold=np.arange(6) * 10.0)
    panel = panel_from_frame(frame, id_column="shop", timestamp_column="day", target="sold")
    assert (panel.item_ids, panel.freq, panel.channels) == (("x",), "D", ("sold",))
    assert panel.series[0].values[0, -1] == 50


def test_m4_frame():
    frame = pd.DataFrame({"V1": ["Y1", "Y2"], "V2": [1, 2], "V3": [3, np.nan], "V4": [5, 6], "V5": [7, np.nan]})
    panel = panel_from_frame(frame)
    assert (panel.item_ids, panel.lengths, panel.freq) == (("Y1", "Y2"), (4, 3), None)
    np.testing.assert_array_equal(panel.series[1].values, [[2, np.nan, 6]])
    assert panel.series[1].timestamps.tolist() == [0, 1, 2]


@pytest.mark.parametrize(
    "indexed",
    [
        lambda frame: frame.set_index("timestamp"),
        lambda frame: frame.set_index(["item_id", "timestamp"]),
        lambda frame: frame.drop(columns="item_id").set_index("timestamp").rename_axis(None),
        lambda frame: frame.set_index(frame["timestamp"].rename(None)),
    ],
)
def test_items_and_times_may_stand_in_the_index(indexed, tmp_path):
    frame = indexed(long_frame())
    frame.to_parquet(tmp_path / "table.parquet")
    for given in (frame, (tmp_path / "table.parquet")):
        panel = panel_from_frame(given)
        assert (panel.channels, panel.freq, panel.lengths) == (("target",), "h", (6,))
        assert panel.series[0].timestamps[0] == np.datetime64("2024-01-01")


def test_rows_of_different_items_may_interleave():
    mixed = pd.concat([long_frame("a"), long_frame("b", start="2024-03-01")]).sort_values("target", kind="stable")
    panel = panel_from_frame(mixed)
    for series in panel:
        assert series.values[0].tolist() == [1, 2, 3, 4, 5, 6]


def test_the_table_is_left_as_it_was():
    frame = long_frame().iloc[::-1]
    before = frame.copy()
    panel_from_frame(frame, sort=True)
    pd.testing.assert_frame_equal(frame, before)


# Timestamps and frequency


@pytest.mark.parametrize(
    "freq", ["h", "15min", "10s", "D", "B", "W-TUE", "MS", "ME", "2MS", "QS-OCT", "QE-DEC", "YS-JAN"]
)
def test_frequency_is_inferred_and_continued(freq):
    panel = panel_from_frame(long_frame(steps=12, freq=freq))
    assert panel.freq == freq
    expected = pd.date_range("2024-01-01", periods=15, freq=freq)[12:]
    np.testing.assert_array_equal(panel.future_timestamps(panel.series[0], 3), expected)


@pytest.mark.parametrize("freq", ["h", "B", "W-SUN", "MS", "2MS", "QS-OCT", "YE-DEC"])
def test_gaps_become_missing_values(freq):
    frame = long_frame(steps=16, freq=freq)
    panel = panel_from_frame(frame.drop(index=[6, 7, 11]))
    assert panel.freq == freq
    series = panel.series[0]
    assert np.flatnonzero(np.isnan(series.values[0])).tolist() == [6, 7, 11]
    np.testing.assert_array_equal(series.timestamps, frame["timestamp"])


def test_items_of_a_two_month_step_may_differ_in_phase():
    frame = pd.concat([long_frame("a", "2024-01-01", 8, "2MS"), long_frame("b", "2024-02-01", 8, "2MS")])
    assert panel_from_frame(frame).lengths == (8, 8)


def test_explicit_frequency_wins():
    panel = panel_from_frame(long_frame(steps=3, freq="2h"), freq="h")
    assert panel.lengths == (5,)
    assert panel.freq == "h"


def test_periods_are_dates():
    frame = long_frame(steps=4, timestamp=pd.period_range("2024-01", periods=4, freq="M"))
    assert panel_from_frame(frame).freq == "MS"


def test_integer_timestamps_are_kept_and_their_gaps_filled():
    panel = panel_from_frame(long_frame(steps=5, timestamp=[10, 15, 20, 30, 35]))
    series = panel.series[0]
    assert panel.freq is None
    assert series.timestamps.tolist() == [10, 15, 20, 25, 30, 35]
    assert np.isnan(series.values[0, 3])
    assert panel.future_timestamps(series, 2).tolist() == [40, 45]


def test_a_single_row_is_a_series_when_the_frequency_is_given():
    panel = panel_from_frame(long_frame(steps=1), freq="D")
    assert panel.future_timestamps(panel.series[0], 1) == np.datetime64("2024-01-02")
    numbered = panel_from_frame(long_frame(steps=1, timestamp=[7]))
    assert numbered.future_timestamps(numbered.series[0], 2).tolist() == [8, 9]


def test_sort_puts_rows_in_order():
    panel = panel_from_frame(long_frame().iloc[::-1], sort=True)
    assert panel.series[0].values[0].tolist() == [1, 2, 3, 4, 5, 6]


def test_rows_as_steps_takes_rows_as_they_stand():
    frame = long_frame(steps=6).drop(index=[3])
    frame.loc[2, "timestamp"] = frame.loc[1, "timestamp"]
    panel = panel_from_frame(frame, rows_as_steps=True)
    assert panel.series[0].values[0].tolist() == [1, 2, 3, 5, 6]


def test_constant_series_stay_finite_all_the_way():
    panel = panel_from_frame(long_frame(steps=12, target=3.5))
    values = panel.series[0].values
    scaled = Scaler.fit(values).transform(values).astype(np.float32)
    window = Windows([scaled], 4, 2)[0]
    assert all(bool(tensor.isfinite().all()) for tensor in window.values())


# What is refused


def shuffled_text(values, row, text):
    column = list(values)
    column[row] = text
    return column


@pytest.mark.parametrize(
    ("frame", "arguments", "message"),
    [
        (long_frame(), {"target": "sales"}, "Expected column 'sales'; found columns 'item_id', 'timestamp', 'target'"),
        (long_frame(), {"target": "item_id", "id_column": "item_id"}, "column 'item_id' named twice"),
        (long_frame(timestamp="x"), {}, "'timestamp' must hold a date or an integer in each row, found 'x' in row 0"),
        (
            long_frame(price=[3.0, 1, 4, 1, 5, 9]).rename(columns={"target": "sales"}),
            {},
            "target='sales' or target='price'",
        ),
        (long_frame()[["timestamp"]], {}, "Found no numeric column to use as target"),
        (long_frame().iloc[:0], {}, "with rows, found none"),
        (long_frame().set_axis(["item_id", "target", "target"], axis=1), {}, "column 'target' more than once"),
        (long_frame(item=shuffled_text("aaabbb", 1, None)), {}, "1 rows have none .first: row 1"),
        (
            long_frame(target=shuffled_text(range(6), 4, "n/a!")),
            {},
            "'target' must hold numbers, found 'n/a!' in row 4",
        ),
        (
            long_frame(price=shuffled_text(range(6), 2, "x")),
            {"target": "price"},
            "must hold numbers, found 'x' in row 2",
        ),
        (long_frame(target=[1, 2, np.inf, 4, -np.inf, 6]), {}, "'target' has 2 infinite values .first: row 2"),
        (long_frame(target=np.nan), {}, "Item 'a' has no value at all"),
        (long_frame(price=np.nan), {"target": ["target", "price"]}, "Column 'price' has no value at all"),
        (long_frame(timestamp=shuffled_text(["2024-01-01"] * 6, 3, "soon")), {}, "found 'soon' in row 3"),
        (
            long_frame(timestamp=shuffled_text(["01/02/2024"] * 6, 3, "13/02/2024")),
            {"day_first": False},
            "found '13/02/2024' in row 3",
        ),
        (
            long_frame(timestamp=shuffled_text(range(6), 3, np.nan)),
            {},
            "date or an integer in each row, found an empty cell in row 3",
        ),
        (
            long_frame(timestamp=np.arange(6) + 0.5),
            {},
            "a date or an integer in each row, found 0.5 in row 0",
        ),
        (long_frame().iloc[[0, 2, 1, 3]], {}, "item 'a' are not in order: 2024-01-01 01:00:00 in row 2.*sort=True"),
        (long_frame().iloc[[0, 1, 1, 1]], {}, "'a' has timestamp 2024-01-01 01:00:00 more than once .*2 repeated"),
        (long_frame().iloc[[0, 2, 1, 1]], {"sort": True}, "more than once .rows 2 and 3; 1 repeated"),
        (long_frame(), {"freq": "Monthly"}, "found freq='Monthly'. Write 'MS' for first days, 'ME' for last days"),
        (long_frame(), {"freq": "daily"}, "Write 'D'"),
        (long_frame(), {"freq": "fortnight"}, "Expected a pandas offset alias .* found freq='fortnight'"),
        (long_frame(timestamp=range(6)), {"freq": "h"}, "freq='h' was given, but the timestamps are integers"),
        (long_frame(steps=1), {}, "Every item has a single row"),
        (
            long_frame(freq="30min"),
            {"freq": "h"},
            "3 of 6 timestamps lie off the regular grid 'h' .first: 2024-01-01 00:30",
        ),
        (long_frame(start="2024-01-15", freq="D"), {"freq": "MS"}, "6 of 6 timestamps lie off the regular grid 'MS'"),
        (long_frame(freq="D"), {"freq": "s"}, "would fill less than one in 100 steps of the grid 's'"),
        (long_frame(timestamp=[0, 1, 2, 3, 4, 10**12]), {}, "of the grid of step 1"),
        (
            pd.concat([long_frame(steps=20), long_frame("b", steps=20, freq="D")]),
            {},
            "Expected one frequency in a table, found two",
        ),
        (long_frame(target=[[1]] * 6), {"target": "target"}, "Column 'target' holds list in row 0"),
        (pd.DataFrame({"V1": ["a", "a"], "V2": [1, 2]}), {}, "one row a series, found 'a' in column 'V1' again"),
        (pd.DataFrame({"V1": ["a", "b"], "V2": [1, "x"]}), {}, "'V2' must hold numbers, found 'x' in row 1"),
        (pd.DataFrame({"V1": ["a"], "V2": [1]}), {"freq": "h"}, "steps in the header have no dates"),
    ],
)
def test_unusable_tables_are_refused(frame, arguments, message):
    with pytest.raises(InputError, match=message):
        panel_from_frame(frame, **arguments)


# Forecasts


def test_forecasts_past_the_last_timestamp_are_refused():
    panel = panel_from_frame(long_frame(start="2250-01-01", freq="YS"))
    with pytest.raises(InputError, match="300 steps of 'YS-JAN' after 2255-01-01 00:00:00 go past the year 2262"):
        panel.future_timestamps(panel.series[0], 300)


def test_forecasts_become_a_long_frame_after_the_end():
    panel = panel_from_frame(
        pd.concat([long_frame(7, price=1.0), long_frame(3, steps=4, price=1.0)]), target=["target", "price"]
    )
    forecasts = [np.arange(4).reshape(2, 2) + 10 * index for index in range(2)]
    quantiles = [np.stack([forecast - 1, forecast + 1], axis=-1) for forecast in forecasts]
    frame = frame_from_forecasts(panel, forecasts, quantiles=quantiles, quantile_levels=[0.1, 0.9])
    assert list(frame) == ["item_id", "timestamp", "target_name", "predictions", "0.1", "0.9"]
    assert frame["item_id"].tolist() == [7] * 4 + [3] * 4
    assert frame["target_name"].tolist() == ["target", "target", "price", "price"] * 2
    assert frame["predictions"].tolist() == [0, 1, 2, 3, 10, 11, 12, 13]
    assert ((frame["0.9"] - frame["0.1"]) == 2).all()
    assert frame["timestamp"].iloc[4] == pd.Timestamp("2024-01-01 04:00")


def test_forecasts_keep_the_names_of_the_source_and_take_other_timestamps():
    source = long_frame().rename(columns={"item_id": "unique_id", "timestamp": "ds", "target": "y"})
    panel = panel_from_frame(source)
    past = [panel.series[0].timestamps[-2:]]
    frame = frame_from_forecasts(panel, [np.zeros((1, 2))], timestamps=past)
    assert list(frame) == ["unique_id", "ds", "target_name", "predictions"]
    assert len(frame.merge(source, on=["unique_id", "ds"])) == 2


def test_cut_takes_steps_from_either_end():
    panel = panel_from_frame(pd.concat([long_frame("a"), long_frame("b", steps=4)]))
    assert panel.cut(None, -2).lengths == (4, 2)
    tail = panel.cut(-2, None)
    assert [series.values[0].tolist() for series in tail] == [[5, 6], [3, 4]]
    assert np.shares_memory(tail.series[0].values, panel.series[0].values)


@pytest.mark.parametrize("options", [ReadingOptions(), ReadingOptions(decimal=","), ReadingOptions(thousands=".")])
def test_dates_with_points_are_no_grouped_numbers(options: ReadingOptions, tmp_path: Path) -> None:
    days = pd.date_range("2023-01-05", periods=90)
    rows = [f"{day:%d.%m.%Y};1.{step:03d},50" for step, day in enumerate(days)]
    (tmp_path / "umsatz.csv").write_text("\n".join(["Datum;Umsatz", *rows]) + "\n")
    series = read_table(tmp_path / "umsatz.csv", options).panel.series[0]
    assert series.values[0].tolist() == [1000.5 + step for step in range(90)]
    assert series.timestamps[-1] == days[-1].to_datetime64()


def test_one_wrong_date_is_named_whatever_its_column_is_called(tmp_path: Path) -> None:
    days = [f"{day:%d.%m.%Y}" for day in pd.date_range("2024-03-01", periods=40)]
    days[18] = "31.13.2024"
    rows = [f"{day};{step}" for step, day in enumerate(days)]
    (tmp_path / "kiosk.csv").write_text("\n".join(["Tag;Umsatz", *rows]) + "\n")
    with pytest.raises(InputError, match=r"Column 'Tag' must hold a date .*found '31.13.2024' in row 20"):
        read_table(tmp_path / "kiosk.csv")


@pytest.mark.parametrize("day_first", [False, True])
def test_what_was_said_of_the_first_number_of_dates_is_kept_and_can_be_taken_back(day_first: bool) -> None:
    days = pd.date_range("2024-01-01", periods=12, freq="D" if not day_first else "MS")
    frame = pd.DataFrame({"date": days.strftime("%d/%m/%Y" if day_first else "%m/%d/%Y"), "y": np.arange(12.0)})
    found = read_table(frame, ReadingOptions(day_first=day_first))
    kept = ReadingOptions.from_json(found.panel.origin.reading)
    assert kept.day_first is day_first
    again = read_table(frame, remembered=kept).panel.series[0]
    np.testing.assert_array_equal(again.timestamps, days)
    assert ReadingOptions(day_first=not day_first).over(kept).day_first is not day_first


def test_another_file_may_have_another_separator(tmp_path: Path) -> None:
    path = tmp_path / "table.csv"
    path.write_text("date,y\n" + "".join(f"2024-01-{day:02d},{day}.5\n" for day in range(1, 10)))
    found = read_table(path)
    path.write_text("date;y\n" + "".join(f"2024-02-{day:02d};{day},25\n" for day in range(1, 10)))
    later = read_table(path, remembered=found.options)
    assert later.panel.series[0].values.tolist() == [[day + 0.25 for day in range(1, 10)]]


def test_another_step_than_in_training_is_said_to_be_that():
    yearly = ReadingOptions(freq="YS-JAN", timestamp_column="timestamp", target="target")
    monthly = long_frame(steps=20, freq="MS")
    with pytest.raises(InputError, match=r"Expected steps of 'YS-JAN', as in training, found 'MS'.*freq='MS'"):
        read_table(monthly, remembered=yearly)
    assert read_table(monthly, ReadingOptions(freq="MS"), remembered=yearly).panel.freq == "MS"
    with pytest.raises(InputError, match="Expected column 'target'"):
        read_table(monthly.rename(columns={"target": "sales"}), remembered=yearly)


def test_days_are_not_read_as_hours_of_which_most_are_missing():
    hourly = ReadingOptions(freq="h", timestamp_column="timestamp", target="target")
    daily = long_frame(steps=20, freq="D")
    with pytest.raises(InputError, match=r"Expected steps of 'h'.* found 'D'.*freq='D'; freq='h' if most rows"):
        read_table(daily, remembered=hourly)
    assert max(read_table(daily, ReadingOptions(freq="h"), remembered=hourly).panel.lengths) == 19 * 24 + 1
    gappy = long_frame(steps=200, freq="h").drop(index=range(20, 180))
    assert read_table(gappy, remembered=hourly).panel.lengths[0] == 200


def test_the_order_of_day_and_month_in_training_does_not_bind_dates_that_have_one_reading():
    days = pd.date_range("2024-01-01", periods=30)
    trained = read_table(pd.DataFrame({"when": days.strftime("%d.%m.%Y"), "y": np.arange(30) % 7 + 0.5}))
    assert trained.options.day_first is True
    other = pd.DataFrame({"when": days.strftime("%m/%d/%Y"), "y": np.arange(30) % 7 + 0.5})
    reading = read_table(other, remembered=trained.options)
    np.testing.assert_array_equal(reading.panel.series[0].timestamps, days)
    assert "dates are read as %m/%d/%Y" in str(reading.warnings[-1])
    with pytest.raises(InputError, match="01/13/2024"):  # where the flag says otherwise
        read_table(other, ReadingOptions(day_first=True), remembered=trained.options)


def test_one_column_of_numbers_is_one_series_with_a_step_a_row(tmp_path):
    path = tmp_path / "load.csv"
    path.write_text("load\n" + "\n".join(f"{each}.5" for each in range(30)))
    reading = read_table(path)
    assert (reading.panel.lengths, reading.panel.channels, reading.panel.freq) == ((30,), ("load",), None)
    assert reading.options.layout == "rows"
    path.write_text("day\n" + "\n".join(f"{each}" for each in range(30)))
    with pytest.raises(InputError, match="column"):
        read_table(path)
