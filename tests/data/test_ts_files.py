"""Files of labelled series: channels, gaps, classes, and what is refused."""

import re
from pathlib import Path

import numpy as np
import pytest

from tests.base.no_numbers import NO_NUMBERS
from tracetune.base.errors import InputError
from tracetune.data.ts_files import read_ts

HEADER = "# a comment\n@problemName Toy\n@timeStamps false\n@classLabel true up down\n@data\n"


def written(folder: Path, text: str) -> Path:
    (folder / "toy.ts").write_text(text)
    return folder / "toy.ts"


def test_channels_gaps_and_classes_are_read(tmp_path: Path) -> None:
    found = read_ts(written(tmp_path, HEADER + "1,2,3:4,?,6:up\n\n0.5,NaN:1e3,2:down\n"))
    assert found.labels == ["up", "down"]
    np.testing.assert_array_equal(found.values[0], [[1, 2, 3], [4, np.nan, 6]])
    np.testing.assert_array_equal(found.values[1], [[0.5, np.nan], [1000, 2]])


def test_marks_comments_and_spaces_of_other_programs_are_passed_over(tmp_path: Path) -> None:
    path = tmp_path / "toy.ts"
    path.write_bytes("\ufeff@classLabel\ttrue  up down\r\n@data \r\n# one\r\n 1,2 : up \r\n".encode())
    found = read_ts(path)
    assert found.labels == ["up"]
    np.testing.assert_array_equal(found.values[0], [[1, 2]])


def test_channels_of_unequal_lengths_end_with_gaps(tmp_path: Path) -> None:
    (series,) = read_ts(written(tmp_path, HEADER + "1,2,3:4:up\n")).values
    np.testing.assert_array_equal(series, [[1, 2, 3], [4, np.nan, np.nan]])


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("1,2:up\n", "no .ts file"),
        (HEADER.replace("@classLabel true up down", "@targetLabel true") + "1:2\n", "numbers to predict"),
        (HEADER, "series after @data"),
        (HEADER + "1,x:up\n", "line 6 of .*, and \\? where one is missing, found 'x'"),
        *((HEADER + f"1,2:up\n1,{cell}:down\n", f"line 7 of .*, found '{re.escape(cell)}'") for cell in NO_NUMBERS),
        (HEADER + "up\n", "separated by a colon"),
        (HEADER + "1,2:\n", "a class at the end of line 6 of"),
        (HEADER + "1:2:up\n1:up\n", "2 channels in line 7 of .*, as in the first series, found 1"),
        (HEADER + "1:up\n?,NaN:up\n", "in line 7 of .* has no value at all"),
    ],
)
def test_other_files_are_refused(tmp_path: Path, text: str, message: str) -> None:
    with pytest.raises(InputError, match=message):
        read_ts(written(tmp_path, text))


def test_a_missing_file_is_refused(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="does not exist"):
        read_ts(tmp_path / "none.ts")


def test_files_without_classes_are_read_where_none_are_asked_for(tmp_path: Path) -> None:
    path = tmp_path / "new.ts"
    path.write_text("@classLabel false\n@data\n1,2,3:4,5,6\n7,8,?:1,1,1\n")
    found = read_ts(path, labelled=False)
    assert found.labels == []
    assert found.values[0].tolist() == [[1, 2, 3], [4, 5, 6]]
    with pytest.raises(InputError, match="only files with classes"):
        read_ts(path)


def test_targets_of_a_regression_are_no_channel(tmp_path: Path) -> None:
    path = tmp_path / "regression.ts"
    path.write_text("@targetLabel true\n@data\n1,2,3:0.5\n")
    with pytest.raises(InputError, match=r"'@targetLabel true'.*numbers, not classes"):
        read_ts(path, labelled=False)
    with pytest.raises(InputError, match=r"'@targetLabel true'.*to predict, not classes"):
        read_ts(path)


@pytest.mark.parametrize(
    ("header", "line", "message"),
    [
        ("@dimensions 3\n", "1,2:3,4:up", r"3 channels in line 7 of .*'@dimensions 3'\), found 2"),
        ("@dimension 1\n", "1,2:3,4:up", r"1 channel in line 7 of .*'@dimension 1'\), found 2"),
        ("@univariate true\n", "12:30,4:up", r"1 channel in line 7 of .*'@univariate true'\), found 2"),
        ("@univariate true\n@dimensions 2\n", "1,2:3,4:up", r"line 8 of .*'@univariate true'\), found 2"),
        ("", "1,2:Up", r"classes up, down in line 6 of .*\(@classLabel\), found 'Up'"),
        ("", "1,2:upp", r"classes up, down in line 6 of .*\(@classLabel\), found 'upp'"),
    ],
)
def test_channels_and_classes_that_contradict_the_header_are_refused(
    tmp_path: Path, header: str, line: str, message: str
) -> None:
    with pytest.raises(InputError, match=message):
        read_ts(written(tmp_path, header + HEADER + line + "\n"))


@pytest.mark.parametrize(
    ("listed", "label"),
    [("", "other"), (" up down", "up"), (" 1.0 2.0", "1"), (" 1,2", "2"), (" sitting down", "sitting down")],
)
def test_classes_as_the_header_lists_them_are_read(tmp_path: Path, listed: str, label: str) -> None:
    assert read_ts(written(tmp_path, f"@classLabel true{listed}\n@data\n1,2:{label}\n")).labels == [label]


@pytest.mark.parametrize(
    ("header", "line", "said"),
    [
        ("@equalLength true\n@seriesLength 2\n", "1,2,3:up", "'@equalLength true', its series have 2 to 3 steps"),
        ("@seriesLength 5\n", "3,4:up", "'@seriesLength 5', its series have 2 steps"),
        ("@missing false\n", "?,4:up", "'@missing false', 1 of its values are missing"),
        ("@equalLength false\n@seriesLength 9\n@missing true\n@dimensions 1\n", "1,2,?:up", ""),
        ("@equalLength true\n@seriesLength 2\n@missing false\n@univariate true\n", "1,2:up", ""),
    ],
)
def test_lengths_and_gaps_that_contradict_the_header_are_said(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, header: str, line: str, said: str
) -> None:
    read_ts(written(tmp_path, header + HEADER + f"1,2:down\n{line}\n"))
    assert [said in record.message for record in caplog.records] == ([True] if said else [])
