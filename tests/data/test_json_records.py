"""Tables as JSON: every digit, every letter, and nothing that is no JSON."""

import json
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from tracetune.data.json_records import json_records
from tracetune.data.table_files import write_frame

FRAME = pd.DataFrame(
    {
        "item": ["你好 😀", 'a "b"\n'],
        "time": pd.to_datetime(["2024-01-01 05:00", None]).tz_localize("Europe/Berlin"),
        "value": [1.2345678901234567e-14, np.nan],
        "single": np.array([0.1, np.inf], dtype=np.float32),
        "count": pd.array([3, None], dtype="Int64"),
        "kind": pd.Categorical(["x", None]),
        "pair": [["a", "b"], np.array([1, 2])],
        "right": [True, False],
    }
)
RECORDS = [
    {
        "item": "你好 😀", "time": "2024-01-01T05:00:00+01:00", "value": 1.2345678901234567e-14,
        "single": float(np.float32(0.1)), "count": 3, "kind": "x", "pair": ["a", "b"], "right": True,
    },
    {
        "item": 'a "b"\n', "time": None, "value": None, "single": None, "count": None, "kind": None, "pair": [1, 2],
        "right": False,
    },
]  # fmt: skip


def test_rows_are_json_objects_with_all_digits() -> None:
    assert [json.loads(record) for record in json_records(FRAME)] == RECORDS


@pytest.mark.parametrize("name", ["a.json", "a.jsonl"])
def test_files_hold_them_as_a_list_or_as_lines(tmp_path: Path, name: str) -> None:
    write_frame(FRAME, tmp_path / name)
    text = (tmp_path / name).read_text(encoding="utf-8")
    found = json.loads(text) if name == "a.json" else [json.loads(line) for line in text.splitlines()]
    assert found == RECORDS
    assert "😀" in text
    pd.testing.assert_series_equal(pd.read_json(tmp_path / name, lines=name == "a.jsonl")["right"], FRAME["right"])
