"""Labels of steps: what is read, in which words, what is refused, and what they decide about the table."""

import numpy as np
import pandas as pd
import pytest

from tracetune.base.errors import InputError
from tracetune.data.reading.labels import step_labels
from tracetune.data.reading.options import ReadingOptions
from tracetune.data.reading.raw import RawTable
from tracetune.data.reading.read import read_table


def days(count: int) -> pd.DataFrame:
    return pd.DataFrame({"day": pd.date_range("2024-01-01", periods=count), "load": np.arange(count) % 7 * 1.5})


@pytest.mark.parametrize(
    "cells",
    [
        [0, 1, 0, 1],
        [0.0, 1.0, 0.0, 1.0],
        ["0", "1", "0.0", "1.0"],
        [False, True, False, True],
        ["False", "True", "FALSE", "true "],
        ["no", "yes", "n", "Y"],
        ["normal", "anomaly", "Normal", "ANOMALOUS"],
        ["inlier", "outlier", "normal", "Attack"],
        pd.array([False, True, False, True], "boolean"),
        pd.Categorical(["normal", "anomaly", "normal", "anomaly"]),
    ],
    ids=lambda cells: str(list(cells)[:2]),
)
def test_what_has_one_meaning_is_read(cells: list[object]) -> None:
    frame = days(4).assign(label=cells)
    reading = read_table(frame, label_column="label")
    assert [each.tolist() for each in reading.labels or ()] == [[0, 1, 0, 1]]
    assert reading.panel.channels == ("load",)
    assert reading.options.target == ("load",)
    assert "label" not in reading.line


def test_words_are_told() -> None:
    reading = read_table(days(4).assign(label=["Normal", "Normal", None, "Attack"]), label_column="label")
    (note,) = (str(note) for note in reading.notes if "labels" in note)
    assert note == "labels in 'label': 'Attack' is an anomaly (1 row), 'Normal' is normal (2 rows)"
    assert [each.tolist() for each in reading.labels or ()] == [[0, 0, 0, 1]]
    assert not [note for note in read_table(days(4).assign(label=1), label_column="label").notes if "labels" in note]


@pytest.mark.parametrize(
    ("cells", "message"),
    [
        ([0, 1, 2, 0], r"found 2.* in row 2 \(1 such cell\). Write 1 where a step is anomalous"),
        ([1, 1, -1, 1], r"1 means normal to some and anomalous to others"),
        ([0.0, 0.3, 0.0, 1.0], r"found 0.3 in row 1"),
        (["ok", "ok", "bad", "ok"], r"found 'ok' in row 0 \(4 such cells\)"),
        (["normal", "anomaly", "7", "normal"], r"found '7' in row 2"),
    ],
)
def test_what_has_no_meaning_or_two_is_refused(cells: list[object], message: str) -> None:
    with pytest.raises(InputError, match=message):
        read_table(days(4).assign(label=cells), label_column="label")


def test_labels_are_neither_items_nor_channels_nor_targets() -> None:
    frame = days(60).assign(label=["normal"] * 30 + ["anomaly"] * 30)
    assert len(read_table(frame, label_column="label").panel) == 1
    seen = read_table(frame.assign(label="strange words"), left_out=["label"])
    assert (len(seen.panel), seen.labels) == (1, None)
    given = read_table(frame, ReadingOptions(target=("load", "label")), label_column="label")
    assert given.panel.channels == ("load",)
    with pytest.raises(InputError, match=r"target='label' names only the column of labels"):
        read_table(frame, ReadingOptions(target=("label",)), label_column="label")
    with pytest.raises(InputError, match=r"name the same column"):
        read_table(frame, ReadingOptions(id_column=("label",)), label_column="label")
    assert read_table(frame.drop(columns="label"), label_column="label").labels is None


def test_labels_follow_rows_to_their_steps() -> None:
    """Rows out of order, items without a value, gaps and rows that are merged: one anomalous row makes the step so."""
    frame = days(6).assign(label=[0, 0, 1, 0, 0, 1])
    shuffled = frame.iloc[[3, 1, 2, 0, 5]]
    (found,) = read_table(shuffled, ReadingOptions(sort=True), label_column="label").labels or ()
    assert found.tolist() == [0, 0, 1, 0, 0, 1]
    for step, expected in (("2D", [0, 1, 1]), ("D", [0, 0, 1, 0, 0, 1])):
        reading = read_table(frame, ReadingOptions(resample=f"{step}:min"), label_column="label")
        assert [each.tolist() for each in reading.labels or ()] == [expected]
    repeated = pd.concat([frame, frame.assign(label=1).iloc[:1]]).sort_values("day")
    reading = read_table(repeated, ReadingOptions(duplicates="first"), label_column="label")
    assert [each.tolist() for each in reading.labels or ()] == [[1, 0, 1, 0, 0, 1]]
    items = pd.concat([frame.assign(item=name) for name in "ab"])
    items.loc[items.item == "a", "load"] = np.nan
    reading = read_table(items, label_column="label")
    assert [series.item_id for series in reading.panel] == ["b"]
    assert [each.tolist() for each in reading.labels or ()] == [[0, 0, 1, 0, 0, 1]]


def test_arrays_of_labels() -> None:
    found, told = step_labels(pd.Series(np.array([True, False]), name="labels"), RawTable(pd.DataFrame()))
    assert found.tolist() == [1.0, 0.0]
    assert told == []


def test_a_switch_is_a_channel_beside_labels_and_told_of_without_them() -> None:
    frame = days(60).assign(valve=np.arange(60) // 7 % 2)
    labelled = read_table(frame.assign(label=0), label_column="label")
    assert labelled.panel.channels == ("load", "valve")
    assert any("column 'valve' with 0 and 1 alone: a channel each" in str(note) for note in labelled.notes)
    alone = read_table(frame, label_column="label")
    assert alone.panel.channels == ("load",)
    assert "'valve' left out, as 0 and 1 alone. Name it with label_column if it labels anomalies" in str(alone.warnings)
    assert read_table(frame).warnings == ()  # no detector asks
    items = pd.concat([frame.assign(item=name) for name in "ab"])
    assert read_table(items.assign(label=0), label_column="label").panel.channels == ("load",)
