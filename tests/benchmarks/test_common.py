import argparse
import json
from pathlib import Path

import torch

from benchmarks import common
from tests.tiny import tiny_backbone


def results(folder: Path, **settings: int) -> common.Results:
    arguments = argparse.Namespace(model="tiny", output=folder / "table", **settings)
    return common.Results("a_script", arguments, tiny_backbone(), lambda rows: f"{len(rows)} rows", ("case",))


def test_rows_say_where_and_when_they_were_made(tmp_path: Path) -> None:
    results(tmp_path, windows=3).add({"case": "a", "seconds": 1.0})
    (row,) = json.loads((tmp_path / "table.json").read_text())["rows"]
    assert row["processor"] == common.processor_name()
    assert torch.backends.cpu.get_cpu_capability() in row["processor"]
    text = (tmp_path / "table.md").read_text()
    assert text.startswith("`python -m benchmarks.a_script --model tiny")
    assert f", on {row['processor']}\n\n1 rows" in text


def test_rows_of_other_settings_are_not_taken_up(tmp_path: Path) -> None:
    results(tmp_path, windows=3).add({"case": "a"})
    again = results(tmp_path, windows=3)
    assert again.find(case="a") is not None and again.find(case="b") is None
    assert results(tmp_path, windows=4).rows == []


def test_results_are_one_row_a_line_with_the_digits_of_single_precision(tmp_path: Path) -> None:
    path = tmp_path / "table.json"
    rows = [{"case": "a", "losses": [0.123456789, None, -1.5e-12]}, {"case": "b", "kept": {"count": 123456789}}]
    common.write_rows(path, {"command": "x", "settings": {"windows": 3}}, "rows", rows)
    assert json.loads(path.read_text()) == {
        "command": "x",
        "settings": {"windows": 3},
        "rows": [{"case": "a", "losses": [0.1234568, None, -1.5e-12]}, rows[1]],
    }
    assert '\n{"case":"b","kept":{"count":123456789}}\n' in path.read_text()
