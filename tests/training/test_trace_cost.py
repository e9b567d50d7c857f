"""What selection costs a run, and budgets in time."""

import json
import math
from pathlib import Path
from typing import Any

import pytest
import torch
from torch.utils.data import DataLoader
from transformers import (
    Trainer,
)

from tests.selection.toys import forecast_batches
from tests.training.trace_runs import (
    STEPS,
    CallAt,
    Crash,
    Samples,
    crash,
    same,
    selection,
    trainer,
    validation,
    weights,
)
from tracetune.selection.budgets import step_time
from tracetune.selection.budgets.step_time_profile import StepTimeProfile
from tracetune.selection.config import SelectionConfig
from tracetune.selection.gates import Gates
from tracetune.selection.rounds import selection_round
from tracetune.training.trace_callback import TraceCallback


def loaded(record: Any) -> Any:
    return json.loads(json.dumps(record, allow_nan=False))


def counts(callback: TraceCallback) -> dict[str, Any]:
    """The report without what a clock says."""
    report = loaded(callback.report())
    assert report.pop("scoring_seconds") > 0
    return report


def test_validation_losses_are_read_only_where_they_decide(tmp_path: Path) -> None:
    runs = {}
    for keep in (0.5, "auto"):
        callback = runs[keep] = TraceCallback(selection(keep=keep, interval=5), validation())
        trainer(tmp_path, callback).train()
        of_rounds = len(callback.records) * 2 * (4 if keep == "auto" else 3)
        assert callback.run.spent.passes == 5 + of_rounds + (2 if keep == "auto" else 0)
        unused = 4 if keep == "auto" else 0  # of what may be closed in the end, nothing was shown to help
        assert callback.report()["cost_share"] == (callback.run.spent.passes + unused) * 8 / (3 * STEPS * 4)
    assert all(record.validation_loss is None for record in runs[0.5].records)
    assert all(math.isfinite(record.validation_loss) for record in runs["auto"].records)


@pytest.mark.parametrize("keep", [0.5, "auto"])
def test_selection_costs_no_more_than_its_share(tmp_path: Path, keep: float | str, caplog: Any) -> None:
    """400 steps of 4 windows; two of the validation batches of 8 are asked for in every one of 101 rounds."""
    options = {"interval": 2, "warmup_steps": 40, "final_step": 240, "least_evidence": 1}
    callback = TraceCallback(SelectionConfig(keep=keep, **options), validation())
    with caplog.at_level("INFO", "tracetune"):
        trainer(tmp_path, callback, max_steps=400).train()
    share = callback.run.spent.passes * 8 / (3 * 400 * 4)
    assert 0.025 < share <= 0.05
    assert share <= callback.report()["cost_share"] <= 0.05
    steps = [record.step for record in callback.records]
    assert steps[0] == 40
    assert steps[-1] == 240
    assert 3 <= len(steps) < 101
    (said,) = [record.message for record in caplog.records if "cost_share" in record.message]
    batches = callback.report()["scoring_batches"]
    read = "1 batch" if batches == 1 else f"{batches} batches"
    assert f"{len(steps)} rounds that read {read} of validation data each (101 rounds of 2 were" in said


def test_short_runs_read_fewer_batches_from_all_over(tmp_path: Path, caplog: Any) -> None:
    """The least is done even where it costs more, and that is said; by default it is more than one batch a round."""
    reads: list[int] = []

    class Watched(Samples):
        def __getitem__(self, index: int) -> dict[str, torch.Tensor]:
            reads.append(index)
            return super().__getitem__(index)

    data = Watched(forecast_batches((32,), seed=3)[0])
    default = TraceCallback(SelectionConfig(keep=2, batch_size=8), data)
    trainer(tmp_path, default).train()
    assert (len(default.records), default.report()["scoring_batches"]) == (3, 4)
    assert 1 < default.report()["cost_share"] <= 2
    assert "the most that is spent on it" not in caplog.text, "12 batches take less than twice the training"
    shorter = TraceCallback(SelectionConfig(keep=2, batch_size=8), data)
    trainer(tmp_path, shorter, max_steps=10).train()
    assert (len(shorter.records), shorter.report()["scoring_batches"]) == (3, 2)
    assert "the most that is spent on it" in caplog.text, "12 batches would take more than twice 10 steps"
    callback = TraceCallback(SelectionConfig(keep=2, batch_size=8, least_evidence=1), data)
    trainer(tmp_path, callback).train()
    assert callback.report()["scoring_batches"] == 1
    assert len(callback.records) == 3
    last = reads[-8:]
    assert [index // 4 for index in last] == list(range(8))
    assert "the choice would be random (least_evidence=12 batches)" in caplog.text


def test_a_step_counts_all_its_samples(tmp_path: Path) -> None:
    shares = []
    for options in ({"per_device_train_batch_size": 8}, {"gradient_accumulation_steps": 2}):
        callback = TraceCallback(selection(interval=5), validation())
        trainer(tmp_path, callback, **options).train()
        shares.append(callback.report()["cost_share"])
    assert shares[0] == shares[1] == (5 + 3 * 2 * 3) * 8 / (3 * STEPS * 8)


def lowest_first(gates: Gates, opened: Any, batch: Any, loss_fn: Any) -> float:
    """Five in block 0 and two in block 1 to begin with; each module takes 1.5."""
    base = 5.0 if any(".0." in name for name in opened) else 2.0
    return base + 1.5 * len(opened)


@pytest.mark.parametrize("keep", [0.5, "auto"])
def test_a_budget_in_time_is_kept_and_survives_an_interruption(
    tmp_path: Path, keep: float | str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(step_time, "_timed_step", lowest_first)

    def build(name: str, **options: Any) -> tuple[Trainer, TraceCallback]:
        config = selection(keep=keep, budget_unit="time", interval=3, warmup_steps=3, final_step=16)
        loader = DataLoader(Samples(forecast_batches((16,), seed=3)[0]), batch_size=4, shuffle=True)
        callback = TraceCallback(config, loader)
        return trainer(tmp_path / name, callback, save_strategy="steps", save_steps=5, **options), callback

    whole, uninterrupted = build("whole")
    whole.train()
    report = loaded(uninterrupted.report())
    profile = StepTimeProfile.from_json(report["step_time_profile"])
    assert profile.full == pytest.approx(11.0)
    begun = [entry["trace_begin"] for entry in whole.state.log_history if "trace_begin" in entry]
    assert [entry["profile"] for entry in begun] == [report["step_time_profile"]]
    for record in uninterrupted.records:
        assert profile.seconds(record.open) <= max(record.budget / 1000 * profile.full, profile.least) * (1 + 1e-9)
    if keep != "auto":
        assert uninterrupted.records[-1].budget == 500
        assert report["step_time_share"] <= 0.5
        assert {name.split(".")[1] for name in report["kept"]} == {"1"}, "5 + 1 of 11 are more than a half"
    first, _ = build("cut")
    first.add_callback(CallAt(10, crash))
    with pytest.raises(Crash):
        first.train()
    monkeypatch.setattr(step_time, "_timed_step", lambda *_: pytest.fail("the profile is in the log"))
    again, resumed = build("cut")
    again.train(resume_from_checkpoint=str(tmp_path / "cut" / "checkpoint-10"))
    assert resumed.records == uninterrupted.records
    assert same(weights(again.model), weights(whole.model))
    assert counts(resumed) == counts(uninterrupted)


def test_less_time_than_any_module_takes_keeps_the_fastest(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: Any
) -> None:
    monkeypatch.setattr(step_time, "_timed_step", lowest_first)
    callback = TraceCallback(selection(keep=0.1, budget_unit="time", interval=5, significance=0.0), validation())
    trainer(tmp_path, callback).train()
    smoothed = callback.records[-1].smoothed
    assert callback.report()["kept"] == [max(("blocks.1.up", "blocks.1.down"), key=smoothed.__getitem__)]  # 3.5 of 11
    assert "the fastest takes 0.32" in caplog.text


def test_processes_share_the_mean_of_their_profiles(monkeypatch: pytest.MonkeyPatch) -> None:
    profile = StepTimeProfile({0: 4.0, 1: 2.0}, {"block.0.q": 1.0, "block.1.q": 3.0})
    monkeypatch.setattr(selection_round, "mean_over_processes", lambda values: (values + 2 * values) / 2)
    shared = selection_round.shared_profile(profile)
    assert shared == StepTimeProfile({0: 6.0, 1: 3.0}, {"block.0.q": 1.5, "block.1.q": 4.5})


def test_measuring_step_times_does_not_disturb_training(tmp_path: Path) -> None:
    runs = []
    for name, options in (("plain", {}), ("timed", {"budget_unit": "time"})):
        config = selection(keep=1.0, warmup_steps=STEPS, final_step=STEPS, delete_closed=False, **options)
        run = trainer(tmp_path / name, TraceCallback(config, validation()))
        run.train()
        runs.append(weights(run.model))
    assert same(*runs)
