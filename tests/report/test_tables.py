import io
import json

import numpy as np
import pandas as pd
import pytest
from rich.console import Console

from tracetune.base.errors import InputError
from tracetune.report.tables import format_value, markdown_table, print_table, write_rows

ROWS = [
    {"method": "trace", "MSE": 0.3752345, "parameters": 100_234, "kept": True},
    {"method": "a | b", "MSE": np.float32(1.295), "parameters": np.int64(0), "note": None},
]


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (0.375, "0.3750"),
        (12.3456, "12.35"),
        (0.0, "0.000"),
        (1.5e-5, "1.500e-05"),
        (999.99, "1,000"),
        (-1234.6, "-1,235"),
        (1e20, "1.000e+20"),
        (np.float32(0.1), "0.1000"),
        (float("nan"), "nan"),
        (float("inf"), "inf"),
        (1234567, "1,234,567"),
        (np.int64(5), "5"),
        (True, "yes"),
        (np.bool_(False), "no"),
        (None, ""),
        ("0.10", "0.10"),
    ],
)
def test_values_are_written_for_reading(value, text):
    assert format_value(value) == text


def test_a_markdown_table_is_aligned_and_escaped():
    assert markdown_table(ROWS).splitlines() == [
        "| method |    MSE | parameters | kept | note |",
        "| ------ | -----: | ---------: | ---- | ---- |",
        "| trace  | 0.3752 |    100,234 | yes  |      |",
        "| a \\| b |  1.295 |          0 |      |      |",
    ]


def test_times_are_written_without_what_all_of_a_column_lack():
    days = pd.to_datetime(["2024-01-01", "2024-02-01"])
    hours = days + pd.to_timedelta([0, 6], "h")
    gaps = pd.Series([days[0], pd.NaT])
    rows = pd.DataFrame({"day": days, "hour": hours, "zoned": days.tz_localize("UTC"), "gap": gaps}).to_dict("records")
    lines = markdown_table(rows).splitlines()
    assert lines[2].split(" | ")[0].strip("| ") == "2024-01-01"
    assert "2024-02-01 06:00 |" in lines[3] and "2024-01-01 00:00 |" in lines[2]
    assert "2024-01-01 00:00+00:00" in lines[2] and "NaT" in lines[3] and "2024-01-01 00:00:00 |" in lines[2]
    seconds = [{"time": time} for time in days + pd.to_timedelta([0, 6], "s")]
    assert "2024-01-01 00:00:00" in markdown_table(seconds) and "2024-02-01 00:00:06" in markdown_table(seconds)


def test_columns_can_be_chosen():
    assert markdown_table(ROWS, ["MSE", "method"]).splitlines()[0] == "|    MSE | method |"


def test_no_rows_make_no_table():
    assert markdown_table([]) == ""
    assert markdown_table([], ["a"]).splitlines() == ["| a   |", "| --- |"]


def test_the_terminal_shows_every_cell_as_it_is():
    output = io.StringIO()
    print_table("Scores [scaled]", ROWS, console=Console(file=output, width=100))
    shown = output.getvalue()
    for text in ("Scores [scaled]", "method", "trace", "a | b", "0.3752", "100,234", "yes"):
        assert text in shown


@pytest.mark.parametrize("width", [95, 84, 83, 82, 81, 80, 50])
def test_numbers_and_headers_stay_whole_where_the_terminal_is_narrow(width):
    names = ("accuracy", "balanced_accuracy", "macro_f1", "log_loss", "brier_score", "calibration_error", "samples")
    row = {"classifier": "most frequent class"} | dict.fromkeys(names, 1.2345e-17)
    console = Console(file=io.StringIO(), width=width)
    print_table("Scores", [row], console=console)
    shown = console.file.getvalue()
    assert "…" not in shown
    assert shown.count("1.235e-17") == len(names)
    assert {"balanced", "macro", "loss"} <= set(shown.split())


def test_csv_keeps_all_digits(tmp_path):
    write_rows(tmp_path / "rows.csv", ROWS)
    table = pd.read_csv(tmp_path / "rows.csv")
    assert list(table.columns) == ["method", "MSE", "parameters", "kept", "note"]
    assert table["MSE"][0] == 0.3752345
    assert table["method"][1] == "a | b"
    assert pd.isna(table["kept"][1])


def test_csv_quotes_what_needs_it(tmp_path):
    write_rows(tmp_path / "rows.csv", [{"text": 'a, "b"\nc'}])
    assert pd.read_csv(tmp_path / "rows.csv")["text"][0] == 'a, "b"\nc'


def test_json_has_plain_numbers_and_null_for_what_is_not_finite(tmp_path):
    write_rows(tmp_path / "rows.json", [{"a": np.float32(0.5), "b": float("nan"), "c": np.inf, "d": np.bool_(True)}])
    assert json.loads((tmp_path / "rows.json").read_text()) == [{"a": 0.5, "b": None, "c": None, "d": True}]


def test_markdown_files_hold_the_same_table(tmp_path):
    write_rows(tmp_path / "rows.md", ROWS, ["method", "MSE"])
    assert (tmp_path / "rows.md").read_text() == markdown_table(ROWS, ["method", "MSE"]) + "\n"


def test_an_unknown_suffix_is_refused(tmp_path):
    with pytest.raises(InputError, match=r"ends in \.csv, \.json, \.md, found 'rows\.xlsx'"):
        write_rows(tmp_path / "rows.xlsx", ROWS)


def test_a_failure_leaves_the_old_file(tmp_path):
    path = tmp_path / "rows.json"
    path.write_text("old")
    with pytest.raises(TypeError):
        write_rows(path, [{"a": object()}])
    assert path.read_text() == "old"
    assert list(tmp_path.iterdir()) == [path]
