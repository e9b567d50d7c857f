# ruff: noqa: PD011, RUF043 - `values` are arrays of series; patterns are regular expressions throughout
"""Files of tables: read as written, whole or absent, and refused with a reason."""

import os

import numpy as np
import pandas as pd
import pytest

from tests.data.reading.frames import long_frame
from tracetune.base.errors import InputError
from tracetune.data import table_files
from tracetune.data.reading.read import panel_from_frame
from tracetune.data.table_files import marks_in_words, require_table_path, write_frame
from tracetune.data.text_marks import COMMAS_AND_POINTS, TextMarks


@pytest.mark.parametrize(
    ("suffix", "marks"),
    [
        ("csv", COMMAS_AND_POINTS),
        ("csv", TextMarks(";", ",")),
        ("csv", TextMarks(",", ",")),
        ("csv", TextMarks(" ", ",")),
        ("csv.gz", TextMarks("|")),
        ("tsv", COMMAS_AND_POINTS),
        ("tsv", TextMarks(";", ",")),
        ("parquet", TextMarks(";", ",")),
        ("xlsx", TextMarks(";", ",")),
    ],
)
def test_tables_are_read_as_they_were_written(tmp_path, suffix, marks):
    frame = long_frame(steps=3)
    frame["target"] += 0.25
    write_frame(frame, tmp_path / f"table.{suffix}", marks)
    again = panel_from_frame(tmp_path / f"table.{suffix}")
    np.testing.assert_array_equal(again.series[0].timestamps, frame["timestamp"])
    np.testing.assert_array_equal(again.series[0].values[0], frame["target"])


def test_text_has_the_marks_of_its_source_as_far_as_its_suffix_allows(tmp_path):
    frame = pd.DataFrame({"a": [1.5], "b": ["x"]})
    for name, marks, line, said in [
        ("a.csv", TextMarks(";", ","), "1,5;x", "semicolons between cells, decimal commas"),
        ("b.csv", TextMarks("\t", ","), "1,5;x", "semicolons between cells, decimal commas"),
        ("c.csv", TextMarks(" "), "1.5,x", ""),
        ("d.tsv", TextMarks("|"), "1.5\tx", ""),
        ("e.tsv", TextMarks(";", ","), "1,5\tx", "decimal commas"),
    ]:
        write_frame(frame, tmp_path / name, marks)
        assert (tmp_path / name).read_text().splitlines()[1] == line
        assert marks_in_words(marks, name) == (f" ({said}, as in the source)" if said else "")
    assert marks_in_words(TextMarks(";", ","), "a.parquet") == ""


def test_workbooks_hold_times_with_a_zone_as_text(tmp_path):
    times = pd.Series(pd.date_range("2024-01-01", periods=2, tz="Europe/Berlin")).where([True, False])
    write_frame(pd.DataFrame({"t": times, "y": [1, 2]}), tmp_path / "table.xlsx")
    found = pd.read_excel(tmp_path / "table.xlsx")
    assert found["t"].tolist()[0] == "2024-01-01 00:00:00+01:00" and found["t"].isna().tolist() == [False, True]


def test_text_that_looks_like_a_formula_stays_text_in_a_workbook(tmp_path):
    names = ["=1+1", "+2", "plain"]
    write_frame(pd.DataFrame({"name": names, "y": [1, 2, 3]}), tmp_path / "table.xlsx")
    assert pd.read_excel(tmp_path / "table.xlsx")["name"].tolist() == names
    assert pd.read_excel(tmp_path / "table.xlsx", engine="calamine")["name"].tolist() == names


def test_workbooks_that_could_not_be_written_are_refused(tmp_path, monkeypatch):
    monkeypatch.setattr(table_files, "_LONGEST_SHEET", 2)
    with pytest.raises(InputError, match=r"at most 2 rows for table\.xlsx.* found 3\. Choose a \.csv"):
        write_frame(long_frame(steps=3), tmp_path / "table.xlsx")
    assert not list(tmp_path.iterdir())
    monkeypatch.setattr(table_files, "find_spec", lambda name: None)
    with pytest.raises(InputError, match=r"table\.xlsx needs a package: pip install 'tracetune\[excel\]'"):
        require_table_path(tmp_path / "table.xlsx")


def test_leading_zeros_of_item_names_are_kept(tmp_path):
    write_frame(long_frame(item="007"), tmp_path / "table.csv")
    assert panel_from_frame(tmp_path / "table.csv").item_ids == ("007",)


def test_json_is_written_as_records(tmp_path):
    write_frame(long_frame(steps=2), tmp_path / "table.json")
    assert pd.read_json(tmp_path / "table.json")["target"].tolist() == [1, 2]


def test_a_failed_write_leaves_the_older_file(tmp_path):
    path = tmp_path / "table.parquet"
    write_frame(long_frame(steps=2), path)
    with pytest.raises(Exception, match="[Cc]onver|object"):
        write_frame(pd.DataFrame({"a": [object()]}), path)
    assert len(pd.read_parquet(path)) == 2
    assert list(tmp_path.iterdir()) == [path]


def test_unknown_output_suffix_is_refused(tmp_path):
    with pytest.raises(InputError, match=r"\.jsonl, found 'table\.txt'"):
        write_frame(long_frame(), tmp_path / "table.txt")


def test_output_files_are_checked_before_the_work(tmp_path):
    (tmp_path / "old.csv").touch()
    require_table_path(tmp_path / "new" / "table.parquet")
    require_table_path(tmp_path / "old.csv", overwrite=True)
    for name, message in [
        ("old.csv", "exists already"),
        ("table.txt", r"\.jsonl, found 'table\.txt'"),
        ("", "found the folder"),
        ("old.csv/table.csv", "old.csv is a file, expected a folder"),
    ]:
        with pytest.raises(InputError, match=message):
            require_table_path(tmp_path / name)
    assert [path.name for path in tmp_path.iterdir()] == ["old.csv"]


@pytest.mark.parametrize("name", ["x" * 300 + ".csv", "pipe.csv"])
def test_outputs_that_are_no_files_are_refused(tmp_path, name):
    os.mkfifo(tmp_path / "pipe.csv")
    with pytest.raises(InputError, match="which is none|bytes, at most"):
        require_table_path(tmp_path / name, overwrite=True)
