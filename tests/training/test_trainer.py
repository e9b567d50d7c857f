"""The Trainer as set up here: groups, schedule, checkpoints, resume, early stopping."""

import logging
from dataclasses import replace
from pathlib import Path
from typing import Any, Literal

import pytest
from torch import Tensor, nn
from transformers import Trainer
from transformers.trainer_callback import DefaultFlowCallback

from tests.tiny import tiny_forecast_model
from tests.training.random_windows import CONFIG, windows
from tracetune.adapters.lora import LoraOptions, add_lora
from tracetune.adapters.trained_head import trained_head
from tracetune.base.errors import InputError
from tracetune.base.seeds import seed_everything
from tracetune.training.config import TrainingConfig
from tracetune.training.feature_cache import CachedBatches
from tracetune.training.run import Run
from tracetune.training.trainer import TrainedModule, build_trainer, parameter_groups


def trainer_in(
    folder: Path, config: TrainingConfig = CONFIG, model: nn.Module | None = None, **options: Any
) -> Trainer:
    """A trainer of a model on random windows."""
    trained = TrainedModule(model or tiny_forecast_model())
    return build_trainer(trained, config, options.pop("train", windows()), windows(seed=1), Run(folder), **options)


def test_head_and_adapters_have_their_own_learning_rates() -> None:
    model = add_lora(tiny_forecast_model(), LoraOptions())
    groups = parameter_groups(model, trained_head(model), TrainingConfig(learning_rate=0.1, head_learning_rate=0.2))
    assert [group["lr"] for group in groups] == [0.1, 0.2]
    assert sum(p.numel() for p in groups[1]["params"]) == sum(p.numel() for p in trained_head(model).parameters())
    assert sum(p.numel() for group in groups for p in group["params"]) == model.get_nb_trainable_parameters()[0]


def test_a_head_moves_less_beside_adapters_than_alone() -> None:
    model = add_lora(tiny_forecast_model(), LoraOptions())
    head = trained_head(model)
    beside = parameter_groups(model, head, TrainingConfig(learning_rate=5e-4))
    model.requires_grad_(False)
    head.requires_grad_(True)
    (alone,) = parameter_groups(model, head, TrainingConfig(learning_rate=5e-4))
    assert [group["lr"] for group in beside] == [5e-4, 1e-5]
    assert alone["lr"] == 1e-3


def test_a_model_without_trainable_parameters_is_refused() -> None:
    model = nn.Linear(2, 2).requires_grad_(False)
    with pytest.raises(InputError, match="found none"):
        parameter_groups(model, None, TrainingConfig())


def test_the_best_checkpoint_is_kept(tmp_path: Path) -> None:
    seed_everything(0)
    model = tiny_forecast_model()
    config = TrainingConfig(max_steps=40, batch_size=8, evaluations=8, learning_rate=0.05, early_stopping_patience=8)
    trainer = trainer_in(tmp_path, config, model)
    trainer.train()
    losses = [entry["eval_loss"] for entry in trainer.state.log_history if "eval_loss" in entry]
    assert losses[-1] > min(losses)
    assert trainer.evaluate()["eval_loss"] == pytest.approx(min(losses), rel=1e-5)


def test_a_note_on_file_times_that_tells_users_nothing_is_dropped(tmp_path: Path) -> None:
    trainer_in(tmp_path)
    logger = logging.getLogger("transformers.trainer_utils")
    for text, passes in (("mtime may not be reliable on this filesystem", False), ("something else", True)):
        record = logger.makeRecord(logger.name, logging.WARNING, "", 0, text, (), None)
        assert bool(logger.filter(record)) is passes


def test_training_stops_early_where_validation_does_not_improve(tmp_path: Path) -> None:
    model = tiny_forecast_model()
    config = TrainingConfig(max_steps=100, batch_size=8, evaluations=50, learning_rate=0.5, early_stopping_patience=2)
    trainer = trainer_in(tmp_path, config, model)
    trainer.train()
    assert trainer.state.global_step < 100


@pytest.mark.parametrize(("steps", "rounds"), [(12, [3, 6, 9, 12]), (14, [4, 8, 12, 14]), (3, [1, 2, 3])])
def test_there_are_no_more_validation_rounds_than_asked_for(tmp_path: Path, steps: int, rounds: list[int]) -> None:
    run = trainer_in(tmp_path, replace(CONFIG, max_steps=steps))
    run.train()
    assert [entry["step"] for entry in run.state.log_history if "eval_loss" in entry] == rounds


def test_the_last_step_is_measured_whatever_the_release_of_transformers(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    flow = DefaultFlowCallback.on_step_end

    def only_at_intervals(self: DefaultFlowCallback, args, state, control, **kwargs: object):  # as in 5.0
        flow(self, args, state, control, **kwargs)
        control.should_evaluate &= state.global_step % state.eval_steps == 0

    monkeypatch.setattr(DefaultFlowCallback, "on_step_end", only_at_intervals)
    run = trainer_in(tmp_path, replace(CONFIG, max_steps=14))
    run.train()
    assert [entry["step"] for entry in run.state.log_history if "eval_loss" in entry] == [4, 8, 12, 14]


def test_no_validation_before_the_first_evaluation(tmp_path: Path) -> None:
    run = trainer_in(tmp_path, first_evaluation=7)
    run.train()
    assert [entry["step"] for entry in run.state.log_history if "eval_loss" in entry] == [9, 12]
    assert [entry["step"] for entry in run.state.log_history if "loss" in entry] == [3, 6, 9, 12]


@pytest.mark.parametrize(("epochs", "steps", "expected"), [(2.0, -1, 10), (0.5, -1, 3), (2.0, 7, 7)])
def test_steps_follow_from_windows_and_epochs(epochs: float, steps: int, expected: int) -> None:
    assert TrainingConfig(num_train_epochs=epochs, max_steps=steps, batch_size=8).total_steps(40) == expected


@pytest.mark.parametrize(
    ("epoch_windows", "expected"), [(16, 5), (17, 8), (40, 13), (41, 13), ("all", 13), ("auto", 13)]
)
def test_an_epoch_may_be_a_part_of_the_windows(epoch_windows: int | Literal["auto", "all"], expected: int) -> None:
    config = TrainingConfig(num_train_epochs=2.5, batch_size=8, epoch_windows=epoch_windows)
    assert config.total_steps(40) == expected


def test_parts_of_the_windows_are_fresh_until_all_have_been_seen(tmp_path: Path) -> None:
    """Two and a half epochs of 16 windows are each of the 40 once; the next 40 are all of them again."""
    data, seen = windows(), []

    class Seen(CachedBatches):
        def __getitems__(self, indices: list[int]) -> dict[str, Tensor]:
            seen.extend(indices)
            return super().__getitems__(indices)

    config = TrainingConfig(
        learning_rate=5e-4, num_train_epochs=5, batch_size=8, epoch_windows=16, early_stopping_patience=99
    )
    model = tiny_forecast_model()
    trainer = trainer_in(tmp_path, config, model, train=Seen(data.tensors))
    trainer.train()
    assert trainer.state.global_step == 10
    assert sorted(seen[:40]) == sorted(seen[40:80]) == list(range(40))
    assert seen[:40] != seen[40:80]


@pytest.mark.parametrize("able", [True, False])
def test_precision_follows_the_hardware_only_where_it_is_asked_to(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, able: bool
) -> None:
    monkeypatch.setattr("tracetune.training.trainer.supports_bf16", lambda device: able and device.type == "cpu")
    for asked, expected in (("auto", able), (True, True), (False, False)):
        config = replace(CONFIG, bf16=asked)
        assert trainer_in(tmp_path, config).args.bf16 is expected


def test_an_unknown_precision_is_refused() -> None:
    with pytest.raises(InputError, match="bf16 to be true, false or auto, found 'yes'"):
        TrainingConfig(bf16="yes")  # type: ignore[arg-type]


@pytest.mark.parametrize("change", [{"learning_rate": 0}, {"batch_size": -1}, {"learning_rate": float("nan")}])
def test_values_that_cannot_train_are_refused(change: dict) -> None:
    with pytest.raises(InputError, match=f"Expected {next(iter(change))} above 0"):
        TrainingConfig(**change)


@pytest.mark.parametrize(
    ("change", "least"),
    [
        ({"weight_decay": -0.1}, 0),
        ({"max_grad_norm": -1}, 0),
        ({"num_workers": -1}, 0),
        ({"early_stopping_patience": 0}, 1),
    ],
)
def test_values_below_their_least_are_refused(change: dict, least: int) -> None:
    with pytest.raises(InputError, match=f"Expected {next(iter(change))} of at least {least}"):
        TrainingConfig(**change)


@pytest.mark.parametrize(("steps", "share"), [(9, 0.1), (3, 0.25), (1, 0.5), (3, 0.0)])
def test_a_schedule_may_begin_at_its_peak(tmp_path: Path, steps: int, share: float) -> None:
    config = replace(CONFIG, max_steps=steps, warmup_share=share, evaluations=1)
    trainer = trainer_in(tmp_path, config)
    assert trainer.optimizer is not None
    assert trainer.optimizer.param_groups[0]["lr"] == pytest.approx(config.learning_rate, rel=0.2 if steps > 1 else 0.5)
