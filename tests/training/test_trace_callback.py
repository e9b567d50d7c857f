import copy
import itertools
import json
import math
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import peft
import pytest
import torch
from torch import nn
from torch.utils.data import DataLoader, Dataset
from transformers import (
    BertConfig,
    BertForSequenceClassification,
    EarlyStoppingCallback,
    TimesFm2_5Config,
    TimesFm2_5ModelForPrediction,
    Trainer,
    TrainerCallback,
    TrainingArguments,
)

from tests.selection.toys import Forecaster, forecast_batches, lora_forecaster
from tracetune.base.errors import InputError
from tracetune.selection import rounds, step_time
from tracetune.selection.gates import Gates
from tracetune.selection.layers import lora_modules
from tracetune.selection.schedule import SelectionConfig
from tracetune.selection.step_time import StepTimeProfile
from tracetune.selection.validation import classification_loss, mean_loss
from tracetune.training.trace_callback import TraceCallback

STEPS = 20


class Samples(Dataset):
    """The samples of one batch, one by one."""

    def __init__(self, batch: dict[str, torch.Tensor]) -> None:
        self.batch = batch

    def __len__(self) -> int:
        return len(next(iter(self.batch.values())))

    def __getitem__(self, index: int) -> dict[str, torch.Tensor]:
        return {key: value[index] for key, value in self.batch.items()}


def arguments(folder: Path, **options: Any) -> TrainingArguments:
    defaults = {
        "output_dir": str(folder),
        "max_steps": STEPS,
        "per_device_train_batch_size": 4,
        "learning_rate": 1e-2,
        "use_cpu": True,
        "report_to": "none",
        "disable_tqdm": True,
        "save_strategy": "no",
        "remove_unused_columns": False,
        "label_names": ["y"],
    }
    return TrainingArguments(**{**defaults, **options})


def trainer(
    folder: Path,
    callback: TraceCallback,
    model: nn.Module | None = None,
    callbacks: tuple[Any, ...] = (),
    **options: Any,
) -> Trainer:
    torch.manual_seed(0)
    model = lora_forecaster() if model is None else model
    data = Samples(forecast_batches((16,), seed=2)[0])
    return Trainer(
        model, arguments(folder, **options), train_dataset=data, eval_dataset=data, callbacks=[callback, *callbacks]
    )


def selection(**options: Any) -> SelectionConfig:
    """A configuration whose rounds all take place, although these runs are short."""
    return SelectionConfig(**{"cost_share": 1.0, **options})


def validation() -> list[dict[str, torch.Tensor]]:
    return forecast_batches((8, 8), seed=3)


def weights(model: nn.Module) -> dict[str, torch.Tensor]:
    return {name: value.detach().clone() for name, value in model.state_dict().items()}


def same(one: dict[str, torch.Tensor], other: dict[str, torch.Tensor]) -> bool:
    return one.keys() == other.keys() and all(torch.equal(one[key], other[key]) for key in one)


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
    report = json.loads(json.dumps(callback.report(), allow_nan=False))
    assert report["kept"] == callback.records[-1].open
    assert report["kept_parameters"] == 32
    assert report["rounds"] == [record.to_json() for record in callback.records]
    assert report["forward_equivalents"] == 3 + len(callback.records) * 2 * 3
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
    first.add_callback(_At(10, _crash))
    with pytest.raises(_Crash):
        first.train()
    again, resumed = build("cut", restore_callback_states_from_checkpoint=True)
    again.train(resume_from_checkpoint=str(tmp_path / "cut" / "checkpoint-10"))
    assert resumed.records == uninterrupted.records
    assert same(weights(again.model), weights(whole.model))
    assert resumed.report()["kept"] == uninterrupted.report()["kept"]
    assert resumed.report()["best_step"] == uninterrupted.report()["best_step"]


class _At(TrainerCallback):
    """Does something when the checkpoint of a step has been written."""

    def __init__(self, step: int, act: Callable[[Any], None]) -> None:
        self.step = step
        self.act = act

    def on_save(self, args: Any, state: Any, control: Any, **kwargs: Any) -> None:
        if state.global_step == self.step:
            self.act(control)


class _Crash(Exception):
    pass


def _crash(control: Any) -> None:
    raise _Crash


def _stop(control: Any) -> None:
    control.should_training_stop = True


def test_resuming_auto_without_its_best_model_is_refused(tmp_path: Path) -> None:
    config = selection(keep="auto")
    run = trainer(tmp_path, TraceCallback(config, validation()), save_strategy="steps", save_steps=10)
    run.train()
    (tmp_path / "checkpoint-10" / "trace_best.safetensors").unlink()
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
    run = trainer(tmp_path, callback, callbacks=(_At(3, _stop),), save_strategy="steps", save_steps=1)
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


def loaded(record: Any) -> Any:
    return json.loads(json.dumps(record, allow_nan=False))


def test_validation_losses_are_read_only_where_they_decide(tmp_path: Path) -> None:
    runs = {}
    for keep in (0.5, "auto"):
        callback = runs[keep] = TraceCallback(selection(keep=keep, interval=5), validation())
        trainer(tmp_path, callback).train()
        of_rounds = len(callback.records) * 2 * (4 if keep == "auto" else 3)
        assert callback.forward_equivalents == 3 + of_rounds + (2 if keep == "auto" else 0)
        assert callback.report()["cost_share"] == callback.forward_equivalents * 8 / (3 * STEPS * 4)
    assert all(record.validation_loss is None for record in runs[0.5].records)
    assert all(math.isfinite(record.validation_loss) for record in runs["auto"].records)


@pytest.mark.parametrize("keep", [0.5, "auto"])
def test_selection_costs_no_more_than_its_share(tmp_path: Path, keep: float | str, caplog: Any) -> None:
    """400 steps of 4 windows; two of the validation batches of 8 are asked for in every one of 101 rounds."""
    options = {"interval": 2, "warmup_steps": 40, "final_step": 240}
    callback = TraceCallback(SelectionConfig(keep=keep, **options), validation())
    with caplog.at_level("INFO", "tracetune"):
        trainer(tmp_path, callback, max_steps=400).train()
    share = callback.forward_equivalents * 8 / (3 * 400 * 4)
    assert 0.035 < share <= 0.05
    assert callback.report()["cost_share"] == share
    steps = [record.step for record in callback.records]
    assert steps[0] == 40
    assert steps[-1] == 240
    assert 3 <= len(steps) < 101
    (said,) = [record.message for record in caplog.records if "cost_share" in record.message]
    assert f"{len(steps)} rounds of {callback.report()['scoring_batches']} batches instead of 101 of 2" in said


def test_short_runs_read_fewer_batches_from_all_over(tmp_path: Path, caplog: Any) -> None:
    """The least is done even where it costs more, and that is said."""
    reads: list[int] = []

    class Watched(Samples):
        def __getitem__(self, index: int) -> dict[str, torch.Tensor]:
            reads.append(index)
            return super().__getitem__(index)

    data = Watched(forecast_batches((32,), seed=3)[0])
    callback = TraceCallback(SelectionConfig(keep=2, batch_size=8), data)
    trainer(tmp_path, callback).train()
    assert callback.report()["scoring_batches"] == 1
    assert len(callback.records) == 3
    last = reads[-8:]
    assert [index // 4 for index in last] == list(range(8))
    assert "That is the least; train longer" in caplog.text


def test_a_step_counts_all_its_samples(tmp_path: Path) -> None:
    shares = []
    for options in ({"per_device_train_batch_size": 8}, {"gradient_accumulation_steps": 2}):
        callback = TraceCallback(selection(interval=5), validation())
        trainer(tmp_path, callback, **options).train()
        shares.append(callback.report()["cost_share"])
    assert shares[0] == shares[1] == (3 + 3 * 2 * 3) * 8 / (3 * STEPS * 8)


def lowest_first(gates: Gates, opened: Any, batch: Any, loss_fn: Any) -> float:
    """Five in block 0 and two in block 1 to begin with; "down" takes longer than "up"."""
    base = 5.0 if any(".0." in name for name in opened) else 2.0
    return base + sum(1.0 + ("down" in name) for name in opened)


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
    assert [entry["trace_profile"] for entry in whole.state.log_history if "trace_profile" in entry] == [
        report["step_time_profile"]
    ]
    for record in uninterrupted.records:
        assert profile.seconds(record.open) <= max(record.budget / 1000 * profile.full, profile.least) * (1 + 1e-9)
    if keep != "auto":
        assert uninterrupted.records[-1].budget == 500
        assert report["step_time_share"] <= 0.5
        assert {name.split(".")[1] for name in report["kept"]} == {"1"}, "5 + 1 of 11 are more than a half"
    first, _ = build("cut")
    first.add_callback(_At(10, _crash))
    with pytest.raises(_Crash):
        first.train()
    monkeypatch.setattr(step_time, "_timed_step", lambda *_: pytest.fail("the profile is in the log"))
    again, resumed = build("cut")
    again.train(resume_from_checkpoint=str(tmp_path / "cut" / "checkpoint-10"))
    assert resumed.records == uninterrupted.records
    assert same(weights(again.model), weights(whole.model))
    assert loaded(resumed.report())["step_time_profile"] == report["step_time_profile"]


def test_less_time_than_any_module_takes_keeps_the_fastest(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: Any
) -> None:
    monkeypatch.setattr(step_time, "_timed_step", lowest_first)
    callback = TraceCallback(selection(keep=0.1, budget_unit="time", interval=5), validation())
    trainer(tmp_path, callback).train()
    assert callback.report()["kept"] == ["blocks.1.up"]  # 3 of 11
    assert "the fastest takes 0.27" in caplog.text


def test_processes_share_the_mean_of_their_profiles(monkeypatch: pytest.MonkeyPatch) -> None:
    profile = StepTimeProfile({0: 4.0, 1: 2.0}, {"block.0.q": 1.0, "block.1.q": 3.0})
    monkeypatch.setattr(rounds, "mean_over_processes", lambda values: (values + 2 * values) / 2)
    assert rounds.shared_profile(profile) == StepTimeProfile({0: 6.0, 1: 3.0}, {"block.0.q": 1.5, "block.1.q": 4.5})


def test_measuring_step_times_does_not_disturb_training(tmp_path: Path) -> None:
    runs = []
    for name, options in (("plain", {}), ("timed", {"budget_unit": "time"})):
        config = selection(keep=1.0, warmup_steps=STEPS, final_step=STEPS, delete_closed=False, **options)
        run = trainer(tmp_path / name, TraceCallback(config, validation()))
        run.train()
        runs.append(weights(run.model))
    assert same(*runs)


def classifier() -> nn.Module:
    torch.manual_seed(0)
    config = BertConfig(
        vocab_size=40, hidden_size=16, num_hidden_layers=2, num_attention_heads=2, intermediate_size=32,
        max_position_embeddings=16,
    )  # fmt: skip
    options = {"task_type": "SEQ_CLS", "r": 2, "target_modules": ["query", "value", "intermediate.dense"]}
    return peft.get_peft_model(BertForSequenceClassification(config), peft.LoraConfig(**options))


def sentences(count: int) -> Samples:
    tokens = torch.randint(5, 40, (count, 8), generator=torch.Generator().manual_seed(4))
    return Samples({"input_ids": tokens, "labels": (tokens[:, 0] > 22).long()})


@pytest.mark.parametrize(("loss_fn", "passes"), [(None, 8 * 3), (classification_loss, 3)])
def test_a_text_classifier(tmp_path: Path, loss_fn: Any, passes: int) -> None:
    """By its own mean loss with masks per batch, or by a loss per sample with masks per sample."""
    callback = TraceCallback(selection(keep=3, interval=5, batch_size=16), sentences(32), loss_fn)
    run = Trainer(
        classifier(), arguments(tmp_path, label_names=["labels"]), train_dataset=sentences(16), callbacks=[callback]
    )
    run.train()
    assert len(lora_modules(run.model)) == 3
    assert callback.forward_equivalents == 3 + len(callback.records) * 2 * passes  # the rows are checked once
    run.save_model(str(tmp_path / "saved"))
    assert (
        json.loads((tmp_path / "saved" / "adapter_config.json").read_text())["target_modules"]
        == callback.report()["kept"]
    )


def test_timesfm_from_transformers(tmp_path: Path) -> None:
    torch.manual_seed(0)
    config = TimesFm2_5Config(
        patch_length=8, context_length=32, horizon_length=8, num_hidden_layers=2, hidden_size=16, intermediate_size=16,
        head_dim=8, num_attention_heads=2, num_key_value_heads=2, output_quantile_len=8,
    )  # fmt: skip
    model = peft.get_peft_model(
        TimesFm2_5ModelForPrediction(config), peft.LoraConfig(r=2, target_modules=["q_proj", "v_proj", "o_proj"])
    )
    series = torch.sin(torch.arange(40) / 3 + torch.arange(16)[:, None]) + 0.1 * torch.randn(16, 40)
    data = Samples({"past_values": series[:, :32], "future_values": series[:, 32:]})
    callback = TraceCallback(selection(keep=2, interval=5, batch_size=8), data)
    run = Trainer(model, arguments(tmp_path, label_names=["future_values"]), train_dataset=data, callbacks=[callback])
    run.train()
    assert len(lora_modules(run.model)) == 2
    assert any(score != 0 for score in callback.records[-1].scores.values())


def test_chronos_2_takes_the_callback_in_its_own_fit(tmp_path: Path) -> None:
    pytest.importorskip("chronos", reason="chronos-forecasting (extra 'chronos') is not installed with all it needs")
    from chronos import Chronos2Pipeline
    from chronos.chronos2.config import Chronos2CoreConfig
    from chronos.chronos2.dataset import Chronos2Dataset
    from chronos.chronos2.model import Chronos2Model
    from chronos.chronos2.preprocess import from_list_of_dicts

    torch.manual_seed(0)
    forecasting = {
        "context_length": 32,
        "input_patch_size": 8,
        "input_patch_stride": 8,
        "output_patch_size": 8,
        "max_output_patches": 2,
        "quantiles": [level / 10 for level in range(1, 10)],
        "use_reg_token": True,
        "use_arcsinh": True,
    }
    config = Chronos2CoreConfig(
        d_model=16, d_kv=8, d_ff=32, num_layers=2, num_heads=2, vocab_size=2, chronos_config=forecasting
    )
    Chronos2Pipeline(Chronos2Model(config)).save_pretrained(tmp_path / "base")
    pipeline = Chronos2Pipeline.from_pretrained(tmp_path / "base")
    series = [{"target": np.sin(np.arange(64) / 3 + phase).astype("float32")} for phase in range(6)]
    prepared = Chronos2Dataset(
        from_list_of_dicts(series, prediction_length=8),
        context_length=32,
        prediction_length=8,
        batch_size=4,
        output_patch_size=8,
        min_past=8,
        mode="validation",
    )
    callback = TraceCallback(selection(keep=4, interval=5), prepared)
    tuned = pipeline.fit(
        series,
        prediction_length=8,
        finetune_mode="lora",
        num_steps=STEPS,
        batch_size=4,
        learning_rate=1e-2,
        output_dir=tmp_path,
        callbacks=[callback],
        disable_tqdm=True,
    )
    assert len(lora_modules(tuned.model)) == 4
    assert callback.forward_equivalents == 3 + len(callback.records) * 2 * 8 * 3  # rows interact: masks per batch
    loaded = Chronos2Pipeline.from_pretrained(tmp_path / "finetuned-ckpt")
    tuned.model.eval()
    context = torch.randn(2, 1, 32)
    for one, other in zip(loaded.predict(context, 8), tuned.predict(context, 8), strict=True):
        torch.testing.assert_close(one, other, rtol=1e-4, atol=1e-5)


def test_bf16_training_scores_in_bf16(tmp_path: Path) -> None:
    seen: list[torch.dtype] = []

    def loss_fn(model: nn.Module, batch: Any) -> torch.Tensor:
        hook = lora_modules(model)["blocks.0.up"].register_forward_hook(lambda m, i, o: seen.append(o.dtype))
        losses = model(**batch)["sample_losses"]
        hook.remove()
        return losses

    callback = TraceCallback(selection(keep=4, interval=5), validation(), loss_fn)
    trainer(tmp_path, callback, bf16=True).train()
    assert set(seen) == {torch.bfloat16}
    assert all(math.isfinite(score) for score in callback.records[-1].scores.values())


def test_wrong_use_is_explained(tmp_path: Path) -> None:
    short = DataLoader(Samples(validation()[0]), batch_size=100, drop_last=True)
    for empty in ([], short):
        with pytest.raises(InputError, match="without drop_last"):
            TraceCallback(validation=empty)
    with pytest.raises(InputError, match="pass batches, a DataLoader or a data set"):
        TraceCallback()
    with pytest.raises(InputError, match="model with LoRA layers"):
        trainer(tmp_path, TraceCallback(validation=validation()), Forecaster()).train()
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
