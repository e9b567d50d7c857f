"""Labels by times: windows and single times by the name of a file or an item."""

import json
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from tracetune.base.errors import InputError
from tracetune.data.reading.read import keyword_options, read_table

HOURS = pd.DataFrame(
    {"timestamp": pd.date_range("2024-03-01", periods=96, freq="h"), "value": np.arange(96) % 24 + 1.0}
)
NAMES = {
    "realKnownCause/taxi.csv": [["2024-03-01 05:00:00.000000", "2024-03-01 08:00:00.000000"]],
    "realTweets/taxi.csv": ["2024-03-02 00:00:00"],
    "other.csv": [],
}


def marked(source, labels, **options) -> list[int]:
    """Return which steps of one series are anomalous."""
    return np.flatnonzero(read_table(source, label_column="label", labels=labels, **options).labels[0]).tolist()


def test_a_file_is_found_by_the_end_of_its_path(tmp_path: Path) -> None:
    """As NAB's two files name its tables; packed or not, and from a path or a mapping."""
    labels = tmp_path / "combined_windows.json"
    labels.write_text(json.dumps(NAMES))
    for folder, name, expected in (
        ("realKnownCause", "taxi.csv.gz", [5, 6, 7, 8]),
        ("realTweets", "taxi.csv", [24]),
        ("anywhere", "other.csv", []),
    ):
        (tmp_path / folder).mkdir()
        table = tmp_path / folder / name
        HOURS.assign(label=1).to_csv(table, index=False)  # times come first, and the column is no channel
        assert marked(table, labels) == marked(str(table), NAMES) == expected
    reading = read_table(tmp_path / "realTweets/taxi.csv", label_column="label", labels=labels)
    assert reading.panel.channels == ("value",)
    assert "0 windows and 1 single time, which hold 1 of 96 steps" in reading.notes[-1]
    (tmp_path / "taxi.csv").write_text(HOURS.to_csv(index=False))
    with pytest.raises(InputError, match=r"Expected one name in .* for 'taxi.csv', found names .*realTweets/taxi.csv"):
        marked(tmp_path / "taxi.csv", NAMES)
    (tmp_path / "unknown.csv").write_text(HOURS.to_csv(index=False))
    with pytest.raises(InputError, match=r"'unknown.csv' is not named in labels, which has 3 names, such as"):
        marked(tmp_path / "unknown.csv", NAMES)


def test_windows_hold_their_ends_and_missing_steps_and_a_date_alone_is_a_whole_day() -> None:
    gappy = HOURS.drop(index=[6, 7])
    assert marked(gappy, {"x": [["2024-03-01T05:00", "2024-03-01 08:30"]]}) == [5, 6, 7, 8]
    assert marked(HOURS, {"x": ["2024-03-02"]}) == list(range(24, 48))
    assert marked(HOURS, {"x": [["2024-03-01", "2024-03-01 02:00"], pd.Timestamp("2024-03-04 23:00")]}) == [0, 1, 2, 95]
    counted = HOURS.assign(timestamp=np.arange(10, 106))
    assert marked(counted, {"x": [[12, 14], 30]}) == [2, 3, 4, 20]
    assert marked(HOURS[["value"]], {"x": [[2, 3]]}) == [2, 3]  # no dates: rows are counted from 0


def test_times_of_the_whole_table_serve_a_piece_of_it() -> None:
    """Windows outside are left out and said; of one over a border the part inside counts."""
    whole = {"x": [["2024-03-01 05:00", "2024-03-01 08:00"], "2024-03-02 00:00", ["2024-03-03 20:00", "2024-03-04"]]}
    piece = HOURS.iloc[7:60]
    assert marked(piece, whole) == [0, 1, 17]
    reading = read_table(piece, label_column="label", labels=whole)
    assert str(reading.warnings[-1]) == (
        "labels by labels: 1 of 3 lie outside of the table's times and are left out; "
        "1 of 3 reach beyond them and count as far as the table goes"
    )
    assert "1 window and 1 single time, which hold 3 of 53 steps" in reading.notes[-1]
    assert read_table(HOURS, label_column="label", labels=whole).warnings == ()
    items = pd.concat([piece.assign(machine="m0"), HOURS.assign(machine="m1")])
    reading = read_table(items, label_column="label", labels={"m0": ["2024-03-04"], "m1": ["2024-03-04 00:00"]})
    assert [np.flatnonzero(each).tolist() for each in reading.labels or ()] == [[], [72]]
    with pytest.raises(InputError, match=r"within the table, which goes from 0 to 9; found \[8, 12\]"):
        marked(HOURS[["value"]].head(10), {"x": [[8, 12]]})


def test_times_are_those_of_the_rows_before_they_are_put_on_a_grid() -> None:
    """Steps of several rows are anomalous where one of them is; rows that are moved to the grid take labels along."""
    assert marked(HOURS, {"x": ["2024-03-01 05:00"]}, options=keyword_options({"resample": "6h:mean"})) == [0]
    late = HOURS.assign(timestamp=HOURS.timestamp + pd.to_timedelta(np.arange(96) % 7, unit="s"))
    assert marked(late, {"x": ["2024-03-01 05:00:05"]}) == [5]
    with pytest.raises(InputError, match=r"found none between 2024-03-01 04:00:04 and 2024-03-01 05:00:05"):
        marked(late, {"x": ["2024-03-01 05:00:00"]})


def test_zones() -> None:
    """Of the table, on its own clock; a time with a zone is brought to it."""
    zoned = HOURS.assign(timestamp=HOURS.timestamp.dt.tz_localize("Europe/Berlin"))
    assert marked(zoned, {"x": ["2024-03-01 05:00"]}) == [5]
    assert marked(zoned, {"x": ["2024-03-01 04:00:00+00:00"]}) == [5]
    with pytest.raises(InputError, match="Expected times without a zone, as the table has none"):
        marked(HOURS, {"x": ["2024-03-01 04:00:00Z"]})


def test_names_are_those_of_items_where_there_are_several() -> None:
    items = pd.concat([HOURS.assign(machine=name) for name in ("m0", "m1")])
    reading = read_table(items, label_column="label", labels={"m1": [["2024-03-01 05:00", "2024-03-01 06:00"]]})
    assert [np.flatnonzero(each).tolist() for each in reading.labels] == [[], [5, 6]]
    with pytest.raises(InputError, match=r"Expected the items of the table \(items 'm0', 'm1'\) .* found 'm2'"):
        read_table(items, label_column="label", labels={"m2": []})


@pytest.mark.parametrize(
    ("entry", "message"),
    [
        (
            [["2024-03-05 05:00", "2024-03-05 06:00"]],
            r"within the table, which goes from 2024-03-01 .* to 2024-03-04 23:00",
        ),
        (
            [["2024-03-02 06:00", "2024-03-02 05:00"]],
            r"end after they begin, found \['2024-03-02 06:00', .*Turn it round",
        ),
        ([["2024-03-02 06:00"]], r"Expected windows as \[start, end\], found \['2024-03-02 06:00'\] of 'x' in labels"),
        ([["2024-03-02 06:00", "soon"]], "Expected times as 2014-04-10 07:15:00, as the table has dates"),
        (["03/02/2024"], "Expected times as"),
        ([5], "Expected times as"),
        ([None], "Expected times as"),
        ([{"start": "2024-03-02 06:00"}], "Expected times as"),
        (["2024-03-02 06:30"], "Expected a row of the table"),
        ("2024-03-02 06:00", r"Expected a list of windows \[start, end\] or of times under 'x' in labels, found"),
    ],
)
def test_times_that_cannot_be_taken_are_refused(entry, message: str) -> None:
    with pytest.raises(InputError, match=message):
        marked(HOURS, {"x": entry})


def test_files_of_another_form_are_refused(tmp_path: Path) -> None:
    path = tmp_path / "labels.json"
    with pytest.raises(InputError, match=r"Expected a file of labels at .*: there is no such file"):
        marked(HOURS, path)
    for text, message in (("[1]", "Expected names with their times in"), ("{", "cannot be read as JSON")):
        path.write_text(text)
        with pytest.raises(InputError, match=message):
            marked(HOURS, path)
    with pytest.raises(InputError, match=r"Expected the times of one series in labels, found 3 names"):
        marked(HOURS, NAMES)
    with pytest.raises(InputError, match="Expected whole numbers, as the table has no dates"):
        marked(HOURS[["value"]], {"x": ["2024-03-01"]})
