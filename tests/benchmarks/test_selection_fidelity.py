import json
from pathlib import Path

import numpy as np
import pytest

from benchmarks import fidelity_report, selection_fidelity, selection_scores
from tests.benchmarks.synthetic import fake_load_case, synthetic_case
from tests.tiny import CONTEXT, HORIZON, save_tiny


@pytest.fixture
def command(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> list[str]:
    monkeypatch.setattr(selection_scores, "load_case", fake_load_case)
    numbers = {
        "context": CONTEXT, "horizon": HORIZON, "head-epochs": 1, "lora-steps": 4, "batch-size": 8, "least-pairs": 2,
        "most-pairs": 2, "random-draws": 2, "scoring-windows": 16,
    }  # fmt: skip
    paths = {"model": save_tiny(tmp_path / "model"), "state": tmp_path / "state", "output": tmp_path / "fidelity"}
    flags = [part for name, value in {**numbers, **paths}.items() for part in (f"--{name}", str(value))]
    return [*flags, "--datasets", "waves"]


def test_rows_come_with_all_scores_and_are_not_made_twice(
    command: list[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    selection_fidelity.main([*command, "--seeds", "0"])
    content = json.loads((tmp_path / "fidelity.json").read_text())
    (row,) = content["rows"]
    assert set(row["scores"]) == {*selection_scores.SCORED, *selection_fidelity.VARIANTS}
    assert len(row["modules"]) == 14
    kept, reference = row["deletion"]["kept"], np.array(row["shapley"]["values"])
    assert set(kept) == {*row["scores"], "shapley"}
    assert all(np.isfinite(loss) for losses in kept.values() for loss in losses.values())
    assert row["scores"]["leave_one_out"]["passes"] == 15
    assert row["scores"]["gated_dsic"]["passes"] == 3
    assert len(reference) == 14 and reference.std() > 0
    assert row["scores"]["gated_dsic"]["spearman"] > row["scores"]["magnitude"]["spearman"]
    text = (tmp_path / "fidelity.md").read_text()
    assert "Spearman" in text and content["weights_sha256"][:12] in text

    monkeypatch.setattr(selection_fidelity, "case_row", lambda case, start, seed, options: {**row, "seed": seed})
    selection_fidelity.main([*command, "--seeds", "0", "1"])
    resumed = json.loads((tmp_path / "fidelity.json").read_text())["rows"]
    assert [found["seed"] for found in resumed] == [0, 1]
    assert resumed[0] == content["rows"][0]
    selection_fidelity.main([*command, "--seeds", "0", "--lora-steps", "5"])
    assert len(json.loads((tmp_path / "fidelity.json").read_text())["rows"]) == 1


def test_scoring_and_held_out_windows_share_no_target_step() -> None:
    case = synthetic_case()
    scoring, held_out = selection_scores.disjoint_windows(case, 30)
    series = case.validation.values[0]

    def steps(batches: list) -> set[tuple[int, int]]:
        found = set()
        for window in (row for batch in batches for row in batch["future_values"].numpy()):
            starts = [
                (channel, start)
                for channel in range(2)
                for start in range(series.shape[1] - HORIZON + 1)
                if np.array_equal(series[channel, start : start + HORIZON], window[0])
            ]
            found |= {(channel, start + step) for channel, start in starts for step in range(HORIZON)}
        return found

    assert steps(scoring) and steps(held_out)
    assert not {step for _, step in steps(scoring)} & {step for _, step in steps(held_out)}


def test_tables_say_who_is_ahead_and_by_how_much() -> None:
    reference = np.arange(10.0)
    orders = {"gated_dsic": reference, "magnitude": -reference, "random": np.roll(reference, 5)}
    scores = {
        label: {
            "values": values.tolist(), "standard_errors": [0.1] * 10, "seconds": 1.0, "passes": 3.0,
            **selection_fidelity.agreement(values, reference),
        }
        for label, values in orders.items()
    }  # fmt: skip
    losses = {"gated_dsic": 0.9, "magnitude": 1.2, "random": 1.1, "shapley": 0.9}
    deletion_row = {
        "kept": {label: dict.fromkeys(("0.25", "0.5", "0.75"), loss) for label, loss in losses.items()},
        "all_open": 1.0,
        "all_closed": 1.5,
    }
    rows = [
        {
            "dataset": "waves", "seed": seed, "scores": scores,
            "shapley": {
                "values": reference.tolist(), "split_half": 0.99, "pairs": 4, "passes": 74, "seconds": 9.0,
            },
            "averaged": {
                context: {"one_pass": 0.9, "one_pass_lowest": 0.8, "all_passes": 0.97}
                for context in ("budget", "shapley")
            },
            "transfer": 0.7,
            **dict.fromkeys(("deletion", "deletion_on_scoring"), deletion_row),
        }
        for seed in range(6)
    ]  # fmt: skip
    agreement = {line["score"]: line for line in fidelity_report.agreement_table(rows)}
    assert agreement["gated_dsic"]["all"] == "1.000 [1.000, 1.000]"
    assert agreement["magnitude"]["Kendall"] == pytest.approx(-1.0)
    deletion = {line["chosen by"]: line for line in fidelity_report.deletion_table(rows)}
    assert deletion["gated_dsic"]["50% open"] == pytest.approx(-10.0)
    assert deletion["magnitude"]["50% open"] == pytest.approx(20.0)
    assert deletion["all closed"]["25% open"] == pytest.approx(50.0)
    assert "**met**" in fidelity_report.markdown(rows)
