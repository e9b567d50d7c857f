import json
from pathlib import Path

import pytest
from benchmarks.common import tuned_from

from benchmarks import selection_training, training_report
from tests.benchmarks.synthetic import fake_load_case
from tests.tiny import CONTEXT, HORIZON, save_tiny


def test_every_method_comes_with_its_budget_and_the_rate_that_validation_chose(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(selection_training, "load_case", fake_load_case)
    runs: list[float] = []

    def counted(start, case, config):
        runs.append(config.training.learning_rate)
        return tuned_from(start, case, config)

    monkeypatch.setattr(selection_training, "tuned_from", counted)
    numbers = {"context": CONTEXT, "horizon": HORIZON, "head-epochs": 1, "steps": 10, "batch-size": 8, "keep": 0.5}
    paths = {"model": save_tiny(tmp_path / "model"), "output": tmp_path / "training", "test-stride": "waves=3"}
    flags = [part for name, value in {**numbers, **paths}.items() for part in (f"--{name}", str(value))]
    command = [*flags, "--datasets", "waves", "--learning-rates", "0.001", "0.01"]
    selection_training.main([*command, "--seeds", "0"])
    assert sorted(runs) == [0.001] * 5 + [0.01] * 5
    rows = {row["method"]: row for row in json.loads((tmp_path / "training.json").read_text())["rows"]}
    assert set(rows) == {"head only", "lora", *selection_training.SELECTING}
    for method, row in rows.items():
        assert row["fingerprint"]["stride"] == 3
        assert row["head"] == rows["head only"]["head"]
        if method != "head only":
            assert row["validation"] == min(row["search"].values()) == row["search"][str(row["learning_rate"])]
    assert 0 < rows["trace"]["adapters"] < rows["lora"]["adapters"]
    assert 0.3 < rows["adalora"]["adapters"] / rows["lora"]["adapters"] < 0.75
    assert rows["trace"]["selection_seconds"] > 0 == rows["lora"]["selection_seconds"]

    runs.clear()
    selection_training.main([*command, "--seeds", "0", "1"])
    assert len(runs) == 5, "the rate of the first seed is taken over, and nothing is made twice"
    assert "TRACE against the others" in (tmp_path / "training.md").read_text()


def test_comparisons_pair_cases_at_the_same_budget() -> None:
    errors = {("trace", 0.5): 0.9, ("random", 0.5): 1.0, ("random", 0.25): 0.1, ("lora", 1.0): 0.8}
    rows = [
        {"dataset": "waves", "seed": seed, "method": method, "keep": keep, "mse": mse + 0.01 * seed}
        for seed in range(6)
        for (method, keep), mse in errors.items()
    ]
    lines = {line["against"]: line for line in training_report.comparisons(rows)}
    assert set(lines) == {"random", "lora"}
    assert lines["random"]["wins"] == 6 and lines["lora"]["wins"] == 0
    assert lines["random"]["p"] == pytest.approx(2 * 2 / 2**6)
    assert lines["lora"]["difference in %"].startswith("+12")
