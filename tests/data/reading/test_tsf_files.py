"""Files of the Monash archive: their series as any table gives them, and what is wrong with a line."""

from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from tracetune.base.errors import InputError
from tracetune.data.reading.read import read_table

HEADER = """# a comment
@relation M3
@attribute series_name string
@attribute start_timestamp date
@frequency {step}
@horizon 4
@missing true
@equallength false
@data
"""


def written(folder: Path, text: str) -> Path:
    (folder / "series.tsf").write_text(text, encoding="utf-8")
    return folder / "series.tsf"


@pytest.mark.parametrize(
    ("step", "freq"),
    [
        ("monthly", "MS"),
        ("yearly", "YS"),
        ("quarterly", "QS"),
        ("hourly", "h"),
        ("10_minutes", "10min"),
        ("daily", "D"),
    ],
)
def test_series_are_those_of_a_long_table(tmp_path: Path, step: str, freq: str) -> None:
    values = np.arange(30) % 7 + 0.25
    cells = [",".join(map(str, values)), ",".join(["?", *map(str, values[1:12])])]
    lines = f"T1:1990-01-01 00-00-00:{cells[0]}\nT2:1995-01-01 00-00-00:{cells[1]}\n"
    panel = read_table(written(tmp_path, HEADER.format(step=step) + lines)).panel
    times = [pd.date_range("1990-01-01", periods=30, freq=freq), pd.date_range("1995-01-01", periods=12, freq=freq)]
    assert panel.item_ids == ("T1", "T2")
    for series, expected, numbers in zip(panel, times, (values, values[:12]), strict=True):
        seen = ~np.isnan(series.values[0])  # noqa: PD011 - not a pandas object
        np.testing.assert_array_equal(series.timestamps[seen], expected[len(expected) - seen.sum() :])
        np.testing.assert_array_equal(series.values[0, seen], numbers[len(expected) - seen.sum() :])  # noqa: PD011


@pytest.mark.parametrize(("step", "freq"), [("monthly", "ME"), ("quarterly", "QE-OCT"), ("yearly", "YE-JAN")])
def test_series_that_start_on_a_last_day_keep_to_last_days(tmp_path: Path, step: str, freq: str) -> None:
    lines = f"T1:1990-01-31 00-00-00:{','.join(map(str, range(30)))}\n"
    panel = read_table(written(tmp_path, HEADER.format(step=step) + lines)).panel
    np.testing.assert_array_equal(panel.series[0].timestamps, pd.date_range("1990-01-31", periods=30, freq=freq))


def test_series_without_dates_have_steps(tmp_path: Path) -> None:
    text = "@attribute state string\n@attribute city string\n@data\nNSW:Sydney:1,2,4,3\nVIC:Melbourne:5,6,8\n"
    panel = read_table(written(tmp_path, text)).panel
    assert panel.item_ids == ("NSW/Sydney", "VIC/Melbourne") and panel.lengths == (4, 3) and panel.freq is None


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("T1:1,2,3\n", "this is no .tsf file"),
        (HEADER.format(step="monthly"), "Expected series after @data"),
        (HEADER.format(step="monthly") + "T1:1,2,3\n", "Expected 2 attributes .* found 1"),
        (HEADER.format(step="monthly") + "T1:1990-01-01 00-00-00:1,x,3\n", "line 10 .*found 'x'"),
        (HEADER.format(step="monthly") + "T1:1990-13-01 00-00-00:1,2\n", "Expected a date"),
        (HEADER.format(step="monthly") + "T1:soon:1,2\n", "Expected a date such as"),
        (HEADER.format(step="often") + "T1:1990-01-01 00-00-00:1,2\n", "@frequency .* found 'often'"),
    ],
)
def test_what_is_no_series_is_named(tmp_path: Path, text: str, message: str) -> None:
    with pytest.raises(InputError, match=message):
        read_table(written(tmp_path, text))
