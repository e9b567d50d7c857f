import json
from pathlib import Path

import numpy as np
import pytest
import torch

from benchmarks import selection_cost, selection_scores
from tests.benchmarks.synthetic import fake_load_case
from tests.tiny import CONTEXT, HORIZON, save_tiny
from tracetune.selection.budgets.step_time_profile import StepTimeProfile
from tracetune.selection.layers import module_place

NAMES = tuple(f"block.{block}.{kind}" for block in range(4) for kind in "qkv")


def test_a_row_says_what_scores_cost_and_what_they_are_worth(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(selection_scores, "load_case", fake_load_case)
    numbers = {
        "context": CONTEXT, "horizon": HORIZON, "head-epochs": 1, "lora-steps": 4, "batch-size": 8, "draws": 2,
        "reference-windows": 24, "sets": 4, "rounds": 1, "most-passes": 14, "threads": torch.get_num_threads(),
    }  # fmt: skip
    paths = {"model": save_tiny(tmp_path / "model"), "state": tmp_path / "state", "output": tmp_path / "cost"}
    flags = [part for name, value in {**numbers, **paths}.items() for part in (f"--{name}", str(value))]
    selection_cost.main([*flags, "--datasets", "waves", "--windows", "8", "16"])
    (row,) = json.loads((tmp_path / "cost.json").read_text())["rows"]
    found = {(score["score"], score["windows"]): score for score in row["scores"]}
    # 15 passes of leave-one-out and 24 of eight masks are more than were allowed
    assert set(found) == {(label, windows) for label in ("gated_dsic", "gradient") for windows in (8, 16)}
    assert all(score["passes"] == 3 * windows and score["draws"] == 2 for (_, windows), score in found.items())
    assert all(-1 <= score["lowest"] <= score["spearman"] <= 1 and score["steps"] > 0 for score in found.values())
    assert row["reference_windows"] == 24
    times = row["step_times"]
    profile = StepTimeProfile.from_json(times["profile"])
    assert len(profile.cost) == row["modules"] == 14
    errors = [abs(each["predicted"] - each["measured"]) for each in times["sets"]]
    assert times["largest_error"] == pytest.approx(max(errors), abs=1e-4)  # rows keep seven digits
    text = (tmp_path / "cost.md").read_text()
    assert "Spearman" in text
    assert "largest error" in text


def test_random_sets_differ_in_depth_and_number() -> None:
    sets = selection_cost.random_sets(NAMES, 40)
    assert sets == selection_cost.random_sets(NAMES, 40)
    assert {min(module_place(name).depth for name in opened) for opened in sets} == {0, 1, 2, 3}
    assert all(opened == tuple(name for name in NAMES if name in opened) and opened for opened in sets)
    assert len({len(opened) for opened in sets}) > 6


def test_windows_keep_their_rows_in_batches() -> None:
    pool = selection_cost.stacked([{"x": torch.arange(50)}, {"x": torch.arange(50, 90)}])
    parts = selection_cost.batches(pool, np.arange(3, 73))
    assert [selection_cost.size(part) for part in parts] == [64, 6]
    assert torch.cat([part["x"] for part in parts]).tolist() == list(range(3, 73))


def test_there_is_no_correlation_with_what_is_the_same_everywhere() -> None:
    rising = np.arange(5.0)
    assert selection_cost.correlation(rising, 2 * rising) == pytest.approx(1)
    assert selection_cost.correlation(rising, np.ones(5)) is None
