"""A selection without a Trainer: told of steps, it chooses; what it logs is enough to go on."""

import itertools
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import torch

from tests.selection.rounds.selection_runs import STEPS, begin, train
from tests.selection.toys import lora_forecaster
from tracetune.base.errors import InputError
from tracetune.base.step_files import StepFiles
from tracetune.selection.gates import Gates


def test_rounds_follow_the_schedule_and_the_end_deletes_what_is_closed() -> None:
    gates, log = Gates(lora_forecaster()), []
    run = begin(gates, log, keep=2)
    assert run.after_step(1) is None
    train(gates, run, range(2, STEPS + 1))
    assert [record.step for record in run.records] == list(run.schedule.rounds()) == [2, 5, 8, 11, 14, 16]
    assert gates.open_names == tuple(run.records[-1].open)
    run.finish(STEPS)
    assert gates.names == tuple(run.records[-1].open)
    assert run.report()["kept"] == run.records[-1].open
    assert run.report()["forward_equivalents"] == run.spent.passes == 5 + 6 * 2 * 3
    assert [next(key for key in entry) for entry in log] == ["trace_begin", "trace_plan", *["trace"] * 6]


@pytest.mark.parametrize("keep", [2, "auto"])
def test_what_is_logged_is_enough_to_go_on(tmp_path: Path, keep: Any) -> None:
    whole = Gates(lora_forecaster())
    uninterrupted = begin(whole, [], keep=keep)
    train(whole, uninterrupted, range(1, STEPS + 1))
    cut, log = Gates(lora_forecaster()), []
    train(cut, begin(cut, log, keep=keep, files=StepFiles(tmp_path)), range(1, 10))
    cut.set_open(cut.names)
    resumed = begin(cut, log, past=log, keep=keep, files=StepFiles(tmp_path))
    train(cut, resumed, range(10, STEPS + 1))
    for run in (uninterrupted, resumed):
        run.finish(STEPS)
    assert resumed.records == uninterrupted.records
    assert resumed.spent.passes == uninterrupted.spent.passes
    assert resumed.report()["best_step"] == uninterrupted.report()["best_step"]
    assert cut.names == whole.names
    for name, weight in whole.model.state_dict().items():
        assert torch.equal(weight, cut.model.state_dict()[name])


def test_other_settings_are_refused_by_name() -> None:
    log: list[Any] = []
    begin(Gates(lora_forecaster()), log, keep=2)
    with pytest.raises(
        InputError, match=r"other settings: keep 2 there, 'auto' here; ema 0\.5 there, 0\.25 here\. Give"
    ):
        begin(Gates(lora_forecaster()), [], past=log, keep="auto", ema=0.25)
    with pytest.raises(InputError, match="4 LoRA modules there, 2 here"):
        begin(Gates(lora_forecaster(target_modules=["up"])), [], past=log, keep=2)


def test_best_models_stay_as_long_as_a_checkpoint_needs_them(tmp_path: Path) -> None:
    gates = Gates(lora_forecaster())
    run = begin(gates, [], keep="auto", files=StepFiles(tmp_path / "best"))
    train(gates, run, range(1, STEPS + 1))
    seen = {}
    for record in run.records:
        seen[record.step] = min((r.validation_loss, -r.step) for r in run.records if r.step <= record.step)
    best_of = {step: -negative for step, (_, negative) in seen.items()}
    assert len(set(best_of.values())) > 1, "the loss falls, or this tests nothing"

    def files() -> set[int]:
        return {int(path.stem) for path in (tmp_path / "best").glob("*")}

    assert files() == set(best_of.values())
    run.keep_best_models([9])
    assert files() == {best_of[8], best_of[16]}
    run.keep_best_models([9], running=False)
    assert files() == {best_of[8]}
    run.keep_best_models([], running=False)
    assert not (tmp_path / "best").exists()


def test_seconds_of_the_last_comparison_count(monkeypatch: pytest.MonkeyPatch) -> None:
    """By a clock that goes on by one whenever it is read."""
    monkeypatch.setattr(
        "tracetune.selection.rounds.cost.time", SimpleNamespace(perf_counter=itertools.count().__next__)
    )
    gates = Gates(lora_forecaster())
    run = begin(gates, [], keep="auto")
    train(gates, run, range(1, STEPS + 1))
    run.finish(STEPS)
    assert run.spent.seconds == 1 + len(run.records) + 1  # the plan, the rounds, the end
