"""Files of tables: recognised by their content, refused with a reason."""

import gzip

import pytest

from tests.data.reading.test_read import long_frame
from tracetune.base.errors import InputError
from tracetune.data.reading.read import read_table


def damaged(path):
    content = gzip.compress(long_frame(steps=500).to_csv().encode())
    path.write_bytes(content[: len(content) // 2])


@pytest.mark.parametrize(
    ("name", "prepare", "message"),
    [
        ("absent.csv", lambda path: None, "there is no such file"),
        ("table.xlsx", lambda path: path.write_bytes(b"x"), "cannot be read as xlsx: it does not begin like one"),
        ("table.exe", lambda path: path.write_bytes(b"x"), r"ending in one of \.csv, \.tsv, .*, found '\.exe'"),
        ("page.csv", lambda path: path.write_bytes(b"<!DOCTYPE html><html>"), "is a web page, not a table"),
        ("empty.csv", lambda path: path.write_bytes(b""), "found an empty file"),
        ("blank.csv", lambda path: path.write_bytes(b"\n\n"), "found no columns"),
        ("twice.csv", lambda path: path.write_text("date,a,a\n2024-01-01,1,2\n"), "column 'a' more than once"),
        ("cut.csv.gz", damaged, "cannot be read as text.*damaged or cut short"),
        ("cut.parquet", lambda path: path.write_bytes(b"PAR1 half"), "cannot be read as parquet"),
        (
            "binary.csv",
            lambda path: path.write_bytes(b"\xff\xfe\x00a"),
            "read as text|no columns|with rows",
        ),
        ("folder.csv", lambda path: path.mkdir(), "that is a folder"),
        ("nul.csv", lambda path: path.write_bytes(b"date,y\n2024-01-01,1\n\0,2\n"), "holds a NUL byte in line 3"),
        (
            "ragged.csv",
            lambda path: path.write_text("date,a\n2024-01-01,1\n2024-01-02,1,2\n"),
            "expected 2 cells in each line as in the header, found 3 in line 3",
        ),
    ],
)
def test_unreadable_files_are_refused(tmp_path, name, prepare, message):
    prepare(tmp_path / name)
    with pytest.raises(InputError, match=message):
        read_table(tmp_path / name)
