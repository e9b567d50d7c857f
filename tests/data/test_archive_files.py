"""Files of the UCR and UEA archives besides .ts."""

from io import StringIO
from pathlib import Path

import numpy as np
import pytest
from scipy.io import arff

from tracetune.base.errors import InputError
from tracetune.data.archive_files import read_arff, read_without_header, without_header

UNIVARIATE = """% from the archive
@RELATION Waves
@attribute att0 numeric
@attribute att1 numeric
@attribute att2 numeric
@attribute target {1,2}

@DATA
0.5,-1.5,?,1
% in between
2,3e-1,4,2
"""


def test_univariate_arff_files_are_read_as_scipy_reads_them(tmp_path: Path) -> None:
    path = tmp_path / "waves.arff"
    path.write_text(UNIVARIATE)
    found = read_arff(path)
    table, _ = arff.loadarff(StringIO(UNIVARIATE))
    expected = np.array([[row[name] for name in ("att0", "att1", "att2")] for row in table])
    first, second = found.values
    assert first.shape == (1, 2), "a series ends with its last value"
    np.testing.assert_array_equal(first[0], expected[0, :2])
    np.testing.assert_array_equal(second[0], expected[1])
    assert found.labels == [row["target"].decode() for row in table]


def test_the_classes_of_an_arff_file_may_be_missing_where_none_are_asked_for(tmp_path: Path) -> None:
    path = tmp_path / "waves.arff"
    path.write_text(UNIVARIATE.replace("?,1", "?,?"))
    found = read_arff(path, labelled=False)
    assert found.labels == []
    assert len(found.values) == 2


def test_arff_files_with_several_channels_have_them_in_quotes(tmp_path: Path) -> None:
    path = tmp_path / "moves.arff"
    path.write_text(
        "@relation Moves\n@attribute moves relational\n@attribute t0 numeric\n@attribute t1 numeric\n@end moves\n"
        "@attribute activity {Standing,'Long walk'}\n@data\n'1,2\\n3,4',Standing\n\"5,?\\n7,8\",'Long walk'\n"
    )
    found = read_arff(path)
    np.testing.assert_array_equal(found.values, [[[1, 2], [3, 4]], [[5, np.nan], [7, 8]]])
    assert found.labels == ["Standing", "Long walk"]


@pytest.mark.parametrize(
    "text, message",
    [
        (UNIVARIATE.replace("{1,2}", "numeric"), "the last of them a class"),
        (UNIVARIATE.replace("@DATA", ""), "a line @data"),
        (UNIVARIATE.replace("?,1", "?,?"), "a class at the end of line 9"),
        (UNIVARIATE.split("0.5")[0], "Expected series after @data"),
        (UNIVARIATE.replace("-1.5", "one"), "Expected numbers in line 9"),
        (UNIVARIATE.replace("4,2", "4,3"), "one of the classes 1, 2 in line 11 of .*, found '3'"),
        (UNIVARIATE.replace("4,2", "4,5,2"), "Expected 3 values and a class in line 11 of .*, found 4"),
    ],
)
def test_an_arff_file_without_classes_or_series_is_refused(tmp_path: Path, text: str, message: str) -> None:
    path = tmp_path / "waves.arff"
    path.write_text(text)
    with pytest.raises(InputError, match=message):
        read_arff(path)


@pytest.mark.parametrize("separator", ["\t", ",", "  "])
def test_lines_of_a_class_and_a_series_need_no_header(tmp_path: Path, separator: str) -> None:
    path = tmp_path / "GunPoint_TRAIN.txt"
    rows = [["1.0", "0.5", "0.5", "NaN", "2e-1"], ["-1", "1", "2", "3", "4"]]
    path.write_text("".join(separator.join(row) + "\n" for row in rows))
    assert without_header(path)
    found = read_without_header(path)
    assert found.labels == ["1", "-1"]
    np.testing.assert_array_equal(found.values, [[[0.5, 0.5, np.nan, 0.2]], [[1, 2, 3, 4]]])
    path.write_text("label,t0,t1,t2,t3\n" + ",".join(rows[0]))
    assert not without_header(path)


def written(folder: Path, *lines: str) -> Path:
    path = folder / "Waves_TRAIN.tsv"
    path.write_text("\n".join(lines))
    assert without_header(path)
    return path


def test_missing_values_at_the_end_are_no_steps(tmp_path: Path) -> None:
    found = read_without_header(written(tmp_path, "1\t1\t2\t3\t4", "2\t1\tNaN\t3\tNaN", "2\t1\t2\t\t"))
    assert [series.shape[1] for series in found.values] == [4, 3, 2]
    np.testing.assert_array_equal(found.values[1], [[1, np.nan, 3]])


def test_empty_cells_shift_no_step(tmp_path: Path) -> None:
    found = read_without_header(written(tmp_path, "1\t1\t\t3\t4", "2\t\t2\t3\t4"))
    np.testing.assert_array_equal(found.values, [[[1, np.nan, 3, 4]], [[np.nan, 2, 3, 4]]])


@pytest.mark.parametrize("line", ["0.1\t2\t3\t4\t5", "\t1\t2\t3\t4", "a\t1\t2\t3\t4", "1\t0,5\t2\t3\t4"])
def test_lines_that_begin_with_no_class_or_are_cut_another_way_are_refused(tmp_path: Path, line: str) -> None:
    with pytest.raises(InputError, match="line 2 of"):
        read_without_header(written(tmp_path, "1\t1\t2\t3\t4", line))


def test_long_numbers_of_classes_stay_apart(tmp_path: Path) -> None:
    found = read_without_header(written(tmp_path, "1234567\t1\t2\t3\t4", "1234568\t1\t2\t3\t4"))
    assert found.labels == ["1234567", "1234568"]
