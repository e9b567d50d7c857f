"""TRACE as a callback: budgets are kept, runs resume bitwise, training is not disturbed, wrong use is explained."""

import copy
import itertools
import json
import math
from pathlib import Path
from typing import Any

import peft
import pytest
import torch
from accelerate import DistributedType
from accelerate.state import AcceleratorState
from torch import nn
from torch.utils.data import DataLoader
from transformers import (
    EarlyStoppingCallback,
    Trainer,
    TrainerCallback,
)
from transformers.training_args import ParallelMode

from tests.selection.toys import Forecaster, forecast_batches, lora_forecaster
from tests.training.trace_runs import (
    STEPS,
    CallAt,
    Crash,
    Samples,
    crash,
    same,
    selection,
    stop,
    trainer,
    validation,
    weights,
)
from tracetune.base.errors import InputError
from tracetune.selection.gates import Gates
from tracetune.selection.layers import lora_modules
from tracetune.selection.validation import mean_loss
from tracetune.training.trace_callback import TraceCallback


def test_a_trainer_with_the_callback_keeps_the_budget_and_saves_plain_lora(tmp_path: Path) -> None:
    callback = TraceCallback(selection(keep=0.5), validation())
    run = trainer(tmp_path, callback)
    run.train()
    records = callback.records
    assert [record.step for record in records] == list(range(2, 13))  # t_i = 2, t_f = 12, every step
    assert [record.budget for record in records] == sorted((record.budget for record in records), reverse=True)
    assert all(len(record.open) == record.budget for record in records)
    assert records[0].budget == 4
    assert records[-1].budget == 2
    kept = tuple(records[-1].open)
    assert tuple(lora_modules(run.model)) == kept
    run.save_model(str(tmp_path / "saved"))
    torch.manual_seed(0)
    loaded = peft.PeftModel.from_pretrained(Forecaster(), str(tmp_path / "saved"))
    assert tuple(lora_modules(loaded)) == kept
    assert mean_loss(loaded, validation()) == mean_loss(run.model, validation())


def test_records_say_what_changed_and_the_report_is_json(tmp_path: Path) -> None:
    callback = TraceCallback(selection(keep=1, ema=0.25), validation())
    run = trainer(tmp_path, callback)
    run.train()
    opened = set(callback.records[0].open)
    for before, record in zip(callback.records, callback.records[1:], strict=False):
        opened = (opened | set(record.opened)) - set(record.closed)
        assert opened == set(record.open)
        for name, value in record.smoothed.items():
            assert value == 0.25 * before.smoothed[name] + 0.75 * record.scores[name]
        told = sum(abs(record.smoothed[name]) > 2 * error for name, error in record.smoothed_errors.items())
        assert record.told_apart == told / 4
    report = json.loads(json.dumps(callback.report(), allow_nan=False))
    assert report["kept"] == callback.records[-1].open
    assert report["kept_parameters"] == 32
    assert report["rounds"] == [record.to_json() for record in callback.records]
    assert report["forward_equivalents"] == 5 + len(callback.records) * 2 * 3
    logged = [entry["trace"] for entry in run.state.log_history if "trace" in entry]
    assert logged == report["rounds"]


def test_closed_modules_keep_their_weights_until_they_open_again(tmp_path: Path) -> None:
    class Watch(TraceCallback):
        def on_step_end(self, args: Any, state: Any, control: Any, **kwargs: Any) -> None:
            gates = Gates(kwargs["model"])
            for name, before in self.__dict__.setdefault("asleep", {}).items():
                assert same(before, weights(gates.layers[name].lora_B))
                self.checked = getattr(self, "checked", 0) + 1
            super().on_step_end(args, state, control, **kwargs)
            self.asleep = {name: weights(gates.layers[name].lora_B) for name in gates.closed_names}

    callback = Watch(selection(keep=1, delete_closed=False), validation())
    run = trainer(tmp_path, callback, weight_decay=0.5)
    run.train()
    assert callback.checked > STEPS
    assert Gates(run.model).open_names == tuple(callback.records[-1].open)


@pytest.mark.parametrize("keep", [0.5, "auto"])
def test_an_interrupted_run_ends_bitwise_where_an_uninterrupted_one_does(tmp_path: Path, keep: float | str) -> None:
    def build(name: str, **options: Any) -> tuple[Trainer, TraceCallback]:
        config = selection(keep=keep, interval=3, warmup_steps=3, final_step=16)
        loader = DataLoader(Samples(forecast_batches((16,), seed=3)[0]), batch_size=4, shuffle=True)
        callback = TraceCallback(config, loader)
        options = {"save_strategy": "steps", "save_steps": 5, "weight_decay": 0.1, **options}
        return trainer(tmp_path / name, callback, **options), callback

    whole, uninterrupted = build("whole")
    whole.train()
    first, _ = build("cut")
    first.add_callback(CallAt(10, crash))
    with pytest.raises(Crash):
        first.train()
    again, resumed = build("cut", restore_callback_states_from_checkpoint=True)
    again.train(resume_from_checkpoint=str(tmp_path / "cut" / "checkpoint-10"))
    assert resumed.records == uninterrupted.records
    assert same(weights(again.model), weights(whole.model))
    reports = [callback.report() for callback in (resumed, uninterrupted)]
    assert all(report.pop("scoring_seconds") > 0 for report in reports)
    assert reports[0] == reports[1], "what is counted is counted over the whole run"


@pytest.mark.parametrize("moment", ["before the checkpoint", "after the checkpoint"])
def test_no_moment_of_a_kill_makes_a_run_unresumable(tmp_path: Path, moment: str) -> None:
    """With one checkpoint at a time, killed right before it is written, and after the one before it was removed."""

    def build(name: str) -> Trainer:
        config = selection(keep="auto", interval=3, warmup_steps=3, final_step=16)
        callback = TraceCallback(config, validation())
        return trainer(tmp_path / name, callback, save_strategy="steps", save_steps=5, save_total_limit=1)

    class KilledAfterTheRound(TrainerCallback):
        def on_step_end(self, args: Any, state: Any, control: Any, **kwargs: Any) -> None:
            if state.global_step == 15:
                raise Crash

    whole = build("whole")
    whole.train()
    cut = build("cut")
    if moment == "before the checkpoint":
        cut.add_callback(KilledAfterTheRound())
    else:
        cut.callback_handler.callbacks.insert(0, CallAt(15, crash))  # before ours hears of the checkpoint
    with pytest.raises(Crash):
        cut.train()
    (left,) = (tmp_path / "cut").glob("checkpoint-*")
    assert left.name == ("checkpoint-10" if moment == "before the checkpoint" else "checkpoint-15")
    again = build("cut")
    again.train(resume_from_checkpoint=str(left))
    assert same(weights(again.model), weights(whole.model))


def test_resuming_with_other_settings_names_them(tmp_path: Path) -> None:
    trainer(tmp_path, TraceCallback(selection(), validation()), save_strategy="steps", save_steps=10).train()
    again = trainer(tmp_path, TraceCallback(selection(keep="auto"), validation()))
    with pytest.raises(InputError, match=r"keep 0\.5 there, 'auto' here"):
        again.train(resume_from_checkpoint=str(tmp_path / "checkpoint-10"))


def test_processes_that_wait_for_closed_modules_are_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    callback = TraceCallback(selection(), validation())
    run = trainer(tmp_path, callback, ddp_find_unused_parameters=False)
    monkeypatch.setattr(type(run.args), "parallel_mode", ParallelMode.DISTRIBUTED)
    with pytest.raises(InputError, match="ddp_find_unused_parameters=True"):
        callback.on_train_begin(run.args, run.state, run.control, model=run.model)


def test_a_second_callback_is_refused_before_the_first_step(tmp_path: Path) -> None:
    run = trainer(tmp_path, TraceCallback(selection(), validation()))
    run.add_callback(TraceCallback(selection(), validation()))
    with pytest.raises(InputError, match="one TraceCallback in a Trainer, found a second one"):
        run.train()
    assert run.state.global_step == 0
    run.pop_callback(TraceCallback)
    run.train()


class Closes(TrainerCallback):
    """Closes a module when training begins, after TraceCallback looked."""

    def on_train_begin(self, args: Any, state: Any, control: Any, **kwargs: Any) -> None:
        next(iter(lora_modules(kwargs["model"]).values())).enable_adapters(False)


class Merges(TrainerCallback):
    """Merges the adapters when training begins."""

    def on_train_begin(self, args: Any, state: Any, control: Any, **kwargs: Any) -> None:
        kwargs["model"].merge_adapter()


@pytest.mark.parametrize("other", [Closes, Merges])
def test_a_later_callback_that_changes_modules_is_refused_before_the_first_step(tmp_path: Path, other: Any) -> None:
    run = trainer(tmp_path, TraceCallback(selection(), validation()))
    run.add_callback(other())
    with pytest.raises(InputError, match=r"changed by something else .*put it before TraceCallback"):
        run.train()
    assert run.state.global_step == 0


@pytest.mark.parametrize("kind", ["FSDP", "DEEPSPEED"])
def test_training_that_spreads_weights_is_refused(tmp_path: Path, kind: str, monkeypatch: pytest.MonkeyPatch) -> None:
    callback = TraceCallback(selection(), validation())
    run = trainer(tmp_path, callback)
    monkeypatch.setitem(AcceleratorState._shared_state, "distributed_type", getattr(DistributedType, kind))
    with pytest.raises(InputError, match=f"{kind} spreads them or their gradients. Train with DistributedDataParallel"):
        callback.on_init_end(run.args, run.state, run.control)


def test_a_report_before_training_says_what_to_do() -> None:
    with pytest.raises(InputError, match=r"call trainer\.train\(\) first"):
        TraceCallback(validation=validation()).report()


def test_resuming_auto_without_its_best_model_is_refused(tmp_path: Path) -> None:
    config = selection(keep="auto")
    run = trainer(tmp_path, TraceCallback(config, validation()), save_strategy="steps", save_steps=10)
    run.train()
    for path in (tmp_path / "trace_best").iterdir():
        path.unlink()
    again = trainer(tmp_path, TraceCallback(config, validation()))
    with pytest.raises(InputError, match="best model so far"):
        again.train(resume_from_checkpoint=str(tmp_path / "checkpoint-10"))


def test_auto_returns_to_the_best_budget_on_the_way(tmp_path: Path) -> None:
    """Three of the four modules are the best number, by a loss that says so."""

    def loss_fn(model: nn.Module, batch: Any) -> torch.Tensor:
        return model(**batch)["sample_losses"] + 100 * abs(len(Gates(model).open_names) - 3)

    callback = TraceCallback(selection(keep="auto", smallest_share=0.25), validation(), loss_fn)
    run = trainer(tmp_path, callback)
    run.train()
    assert callback.records[-1].budget == 1
    of_three = {
        later.step: later.validation_loss
        for record, later in itertools.pairwise(callback.records)
        if len(record.open) == 3
    }
    assert callback.report()["best_step"] == min(of_three, key=lambda step: of_three[step])
    assert len(lora_modules(run.model)) == 3
    assert mean_loss(run.model, validation()) == pytest.approx(min(of_three.values()), rel=1e-6)


def test_best_checkpoint_and_early_stopping_wait_for_the_final_budget(tmp_path: Path) -> None:
    callback = TraceCallback(selection(keep=0.25, final_step=0.5), validation())
    options = {
        "eval_strategy": "steps",
        "eval_steps": 2,
        "save_strategy": "steps",
        "save_steps": 2,
        "load_best_model_at_end": True,
        "metric_for_best_model": "eval_loss",
        "learning_rate": 0.5,
    }
    run = trainer(tmp_path, callback, callbacks=(EarlyStoppingCallback(1),), **options)
    run.train()
    evaluated = {entry["step"]: entry["eval_loss"] for entry in run.state.log_history if "eval_loss" in entry}
    assert run.state.best_global_step >= 10
    assert evaluated[run.state.best_global_step] == min(loss for step, loss in evaluated.items() if step >= 10)
    assert len(lora_modules(run.model)) == 1
    assert run.evaluate()["eval_loss"] == pytest.approx(run.state.best_metric, rel=1e-6)


def test_training_that_ends_early_still_comes_down_to_the_budget(tmp_path: Path) -> None:
    callback = TraceCallback(selection(keep=0.25), validation())
    run = trainer(tmp_path, callback, callbacks=(CallAt(3, stop),), save_strategy="steps", save_steps=1)
    run.train()
    assert run.state.global_step == 3
    assert len(callback.records[-1].open) == callback.records[-1].budget == 1
    assert len(lora_modules(run.model)) == 1


@pytest.mark.parametrize("score", ["adalora", "magnitude", "gradient", "leave_one_out", "random", "shapley", "kappa"])
def test_every_score_can_lead_the_selection(tmp_path: Path, score: str) -> None:
    callback = TraceCallback(selection(keep=2, score=score, interval=5), validation())
    run = trainer(tmp_path, callback)
    run.train()
    assert len(lora_modules(run.model)) == 2


def test_a_budget_in_parameters_is_kept(tmp_path: Path) -> None:
    model = lora_forecaster(rank_pattern={"up": 4})
    counts = Gates(model).parameter_counts()
    callback = TraceCallback(selection(keep=0.5, budget_unit="parameters"), validation())
    run = trainer(tmp_path, callback, model)
    run.train()
    kept = callback.report()["kept"]
    assert 0 < sum(counts[name] for name in kept) <= sum(counts.values()) // 2
    assert tuple(lora_modules(run.model)) == tuple(kept)


def test_training_itself_is_not_disturbed_by_scoring(tmp_path: Path) -> None:
    """With every module kept, a run with rounds equals one without, dropout and shuffling included."""
    plain = trainer(
        tmp_path / "plain", TraceCallback(selection(keep=1.0, warmup_steps=STEPS, final_step=STEPS), validation())
    )
    plain.train()
    scored = trainer(tmp_path / "scored", TraceCallback(selection(keep=1.0), validation()))
    scored.train()
    assert same(weights(plain.model), weights(scored.model))


def test_wrong_use_is_explained(tmp_path: Path) -> None:
    short = DataLoader(Samples(validation()[0]), batch_size=100, drop_last=True)
    for empty in ([], short):
        with pytest.raises(InputError, match="without drop_last"):
            TraceCallback(validation=empty)
    with pytest.raises(InputError, match="pass batches, a DataLoader or a data set"):
        TraceCallback()
    with pytest.raises(InputError, match="model with LoRA layers"):
        trainer(tmp_path, TraceCallback(validation=validation()), Forecaster()).train()
    samples = Samples(validation()[0])
    with pytest.raises(InputError, match="found single samples"):
        trainer(tmp_path, TraceCallback(validation=[samples[row] for row in range(4)])).train()
    merged = lora_forecaster()
    merged.merge_adapter()
    with pytest.raises(InputError, match="unmerged"):
        trainer(tmp_path, TraceCallback(validation=validation()), merged).train()
    with pytest.raises(InputError, match="keep between 1 and 4 modules"):
        trainer(tmp_path, TraceCallback(selection(keep=5), validation())).train()
    with pytest.raises(InputError, match="<= 20 training steps"):
        trainer(tmp_path, TraceCallback(selection(final_step=30), validation())).train()
    closed = lora_forecaster()
    Gates(closed).close(["blocks.0.up"])
    with pytest.raises(InputError, match=r"'blocks\.0\.up' was closed when the optimizer was built"):
        trainer(tmp_path, TraceCallback(validation=validation()), closed).train()


def test_a_failed_round_leaves_the_gates_as_they_were(tmp_path: Path) -> None:
    bad = copy.deepcopy(validation())
    bad[1]["y"][0] = math.inf
    run = trainer(tmp_path, TraceCallback(selection(keep=1), bad))
    with pytest.raises(InputError, match="finite validation losses"):
        run.train()
    gates = Gates(run.model)
    assert gates.open_names == gates.names
    assert not any(module._forward_hooks for module in run.model.modules())
