# ruff: noqa: PD011, RUF043 - `values` are arrays of series; patterns are regular expressions throughout
"""Files of tables: read as written, whole or absent, and refused with a reason."""

import gzip

import numpy as np
import pandas as pd
import pytest

from tests.data.test_frames import long_frame
from tracetune.base.errors import InputError
from tracetune.data.frames import panel_from_frame
from tracetune.data.table_files import read_frame, require_table_path, write_frame


@pytest.mark.parametrize("suffix", ["csv", "csv.gz", "parquet"])
def test_tables_are_read_as_they_were_written(tmp_path, suffix):
    frame = long_frame(steps=3)
    write_frame(frame, tmp_path / f"table.{suffix}")
    again = panel_from_frame(read_frame(tmp_path / f"table.{suffix}"))
    np.testing.assert_array_equal(again.series[0].timestamps, frame["timestamp"])
    np.testing.assert_array_equal(again.series[0].values[0], frame["target"])


def test_leading_zeros_of_item_names_are_kept(tmp_path):
    write_frame(long_frame(item="007"), tmp_path / "table.csv")
    assert panel_from_frame(read_frame(tmp_path / "table.csv")).item_ids == ("007",)


def test_json_is_written_as_records(tmp_path):
    write_frame(long_frame(steps=2), tmp_path / "table.json")
    assert pd.read_json(tmp_path / "table.json")["target"].tolist() == [1, 2]


def test_a_failed_write_leaves_the_older_file(tmp_path):
    path = tmp_path / "table.parquet"
    write_frame(long_frame(steps=2), path)
    with pytest.raises(Exception, match="[Cc]onver|object"):
        write_frame(pd.DataFrame({"a": [object()]}), path)
    assert len(read_frame(path)) == 2
    assert list(tmp_path.iterdir()) == [path]


def damaged(path):
    content = gzip.compress(long_frame(steps=500).to_csv().encode())
    path.write_bytes(content[: len(content) // 2])


@pytest.mark.parametrize(
    ("name", "prepare", "message"),
    [
        ("absent.csv", lambda path: None, "there is no such file"),
        (
            "table.xlsx",
            lambda path: path.write_bytes(b"x"),
            r"ending in one of \.csv, \.csv\.gz, \.parquet, found 'table",
        ),
        ("empty.csv", lambda path: path.write_bytes(b""), "found an empty file"),
        ("blank.csv", lambda path: path.write_bytes(b"\n\n"), "found no columns"),
        ("twice.csv", lambda path: path.write_text("date,a,a\n2024-01-01,1,2\n"), "column 'a' more than once"),
        ("cut.csv.gz", damaged, "cannot be read as csv.gz.*damaged or cut short"),
        ("plain.csv.gz", lambda path: path.write_text("a,b\n1,2\n"), "cannot be read as csv.gz"),
        ("cut.parquet", lambda path: path.write_bytes(b"PAR1 half"), "cannot be read as parquet"),
        ("binary.csv", lambda path: path.write_bytes(b"\xff\xfe\x00a"), "cannot be read as csv"),
        ("folder.csv", lambda path: path.mkdir(), "that is a folder"),
        ("latin.csv", lambda path: path.write_bytes(b"date,a\n2024-01-01,\xe9\n"), "Expected text in UTF-8"),
        ("ragged.csv", lambda path: path.write_text("date,a\n2024-01-01,1\n2024-01-02,1,2\n"), "same number of"),
        ("semicolons.csv", lambda path: path.write_text("date;a\n2024-01-01;1,5\n"), "found the one column 'date;a'"),
        ("tabs.csv", lambda path: path.write_text("date\ta\n2024-01-01\t1\n"), "separated by commas"),
    ],
)
def test_unreadable_files_are_refused(tmp_path, name, prepare, message):
    prepare(tmp_path / name)
    with pytest.raises(InputError, match=message):
        read_frame(tmp_path / name)


def test_unknown_output_suffix_is_refused(tmp_path):
    with pytest.raises(InputError, match=r"\.json, found 'table\.txt'"):
        write_frame(long_frame(), tmp_path / "table.txt")


def test_output_files_are_checked_before_the_work(tmp_path):
    (tmp_path / "old.csv").touch()
    require_table_path(tmp_path / "new" / "table.parquet")
    require_table_path(tmp_path / "old.csv", overwrite=True)
    for name, message in [
        ("old.csv", "exists already"),
        ("table.txt", r"\.json, found 'table\.txt'"),
        ("", "found the folder"),
        ("old.csv/table.csv", "old.csv is a file, expected a folder"),
    ]:
        with pytest.raises(InputError, match=message):
            require_table_path(tmp_path / name)
    assert [path.name for path in tmp_path.iterdir()] == ["old.csv"]
