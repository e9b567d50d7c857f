# ruff: noqa: PD011, RUF043 - `values` are arrays of series; patterns are regular expressions throughout
"""Files of tables: read as written, whole or absent, and refused with a reason."""

import os

import numpy as np
import pandas as pd
import pytest

from tests.data.reading.test_read import long_frame
from tracetune.base.errors import InputError
from tracetune.data.reading.read import panel_from_frame
from tracetune.data.table_files import require_table_path, write_frame


@pytest.mark.parametrize("suffix", ["csv", "csv.gz", "parquet"])
def test_tables_are_read_as_they_were_written(tmp_path, suffix):
    frame = long_frame(steps=3)
    write_frame(frame, tmp_path / f"table.{suffix}")
    again = panel_from_frame(tmp_path / f"table.{suffix}")
    np.testing.assert_array_equal(again.series[0].timestamps, frame["timestamp"])
    np.testing.assert_array_equal(again.series[0].values[0], frame["target"])


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


@pytest.mark.parametrize("name", ["x" * 300 + ".csv", "pipe.csv"])
def test_outputs_that_are_no_files_are_refused(tmp_path, name):
    os.mkfifo(tmp_path / "pipe.csv")
    with pytest.raises(InputError, match="which is none|bytes, at most"):
        require_table_path(tmp_path / name, overwrite=True)
