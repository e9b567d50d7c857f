import json
import sys
from pathlib import Path
from typing import Any

import pytest

from benchmarks import forecasting_table
from tests.benchmarks.synthetic import synthetic_case
from tests.tiny import HORIZON, save_tiny


def test_every_method_has_a_row_with_test_errors(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def small_case(name: str, *sizes: Any) -> Any:
        return synthetic_case(name)

    monkeypatch.setattr(forecasting_table, "load_case", small_case)
    flags = {"model": save_tiny(tmp_path / "model"), "horizon": HORIZON, "epochs": 1, "lora-steps": 20, "seeds": 0}
    command = [part for name, value in flags.items() for part in (f"--{name}", str(value))]
    output = str(tmp_path / "table")
    monkeypatch.setattr(sys, "argv", ["table", *command, "--datasets", "waves", "--output", output])
    forecasting_table.main()
    rows = {row["method"]: row for row in json.loads((tmp_path / "table.json").read_text())["rows"]}
    heads = set(forecasting_table.HEADS)
    naive = {"repeat last", "seasonal naive (12)"}
    assert set(rows) == {
        *naive,
        "zero-shot",
        *heads,
        "DLinear",
        "lora",
        "trace",
    }
    assert rows["lora"]["winner"] in ("zero-shot", "head", "lora")
    assert rows["seasonal naive (12)"]["mse"] != rows["repeat last"]["mse"]
    assert rows["linear probe"]["parameters"] > rows["compact, beta 8"]["parameters"] > 0
    assert (tmp_path / "table.md").read_text().count("waves") == len(rows) + 1  # and in the command

    flags["seeds"] = "0 1"  # a run that goes on makes the seeds that are missing, and no others again
    command = [part for name, value in flags.items() for part in (f"--{name}", *str(value).split())]
    monkeypatch.setattr(
        sys, "argv", ["table", *command, "--datasets", "waves", "--parts", "DLinear", "--output", output]
    )
    forecasting_table.main()
    again = json.loads((tmp_path / "table.json").read_text())["rows"]
    assert [row["seed"] for row in again if row["method"] == "DLinear"] == [0, 1]
    assert len(again) == len(rows) + 1
