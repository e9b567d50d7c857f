"""Files whose values have time stamps: the grid they lie on, and what is no grid."""

from pathlib import Path

import numpy as np
import pytest

from tracetune.base.errors import InputError
from tracetune.data.ts_files import read_ts

HEADER = "@problemName Toy\n@timeStamps\ttrue\n@classLabel true up down\n@data\n"


def read(folder: Path, text: str) -> list[np.ndarray]:
    (folder / "toy.ts").write_text(HEADER + text)
    found = read_ts(folder / "toy.ts")
    assert found.labels == ["up", "down"][: len(found.values)]
    return found.values


def test_dates_hold_colons_and_steps_left_out_are_missing(tmp_path: Path) -> None:
    hours = [f"2024-02-28 {hour}:00:00" for hour in (22, 23)] + [f"2024-02-29 0{hour}:00:00" for hour in range(3)]
    first = f"({hours[0]},1), ({hours[1]},2.5),({hours[4]},?) : ({hours[1]},-7):up\n"
    first, second = read(tmp_path, first + f"({hours[2]},4):({hours[3]},5):down\n")
    np.testing.assert_array_equal(first, [[1, 2.5, np.nan, np.nan, np.nan], [np.nan, -7, np.nan, np.nan, np.nan]])
    np.testing.assert_array_equal(second, [[4, np.nan], [np.nan, 5]])


def test_times_may_be_numbers(tmp_path: Path) -> None:
    first, second = read(tmp_path, "(0,1),(0.1,2),(0.2,3),(0.3,4):up\n(7.0,1),(7.2,3):down\n")
    np.testing.assert_array_equal(first, [[1, 2, 3, 4]])
    np.testing.assert_array_equal(second, [[1, np.nan, 3]])  # the step is that of the file


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("1,2,3:up\n", r"\(time,value\) pairs.*in line 5 of .*'@timeStamps true'; found '1,2,3'"),
        ("(0,1),(1,2:up\n", r"\(time,value\) pairs"),
        ("(0,1),(1,x):up\n", "Expected numbers in line 5.*'x'"),
        ("(0,1),(2,3),(1,2):up\n", "ascending times in line 5 of .*found '1' after"),
        ("(0,1),(0,2):up\n", "one of each time"),
        ("(0,1),(1,2),(2.5,3):up\n", "evenly spaced times, 1 apart.*value 3 of a channel in line 5"),
        ("(0,1),(1,2),(100,3):up\n", "a smallest step of 1 in the file.*101 steps, most of them missing"),
        ("(2024-01-01,1),(2024-02-01,2),(2024-03-01,3):up\n", "29 days 00:00:00 apart"),
        ("(noon,1),(2,2):up\n", "numbers, or dates such as .* found 'noon'"),
        ("(0,1),(1,2):(2024-01-01,1):up\n", "dates in some channels and numbers in others"),
        ("(0,1),(1,2):up\n(2024-01-01,1):down\n", "found dates and numbers"),
        ("(0,?),(1,NaN):up\n", "no value at all"),
    ],
)
def test_what_is_no_grid_is_refused(tmp_path: Path, text: str, message: str) -> None:
    with pytest.raises(InputError, match=message):
        read(tmp_path, text)
