"""AdaLoRA under the Trainer: ranks fall to the target, checkpoints fit, what is saved is what trained."""

from pathlib import Path
from typing import Any

import peft
import pytest
import torch
from peft.tuners.adalora import AdaLoraLayer
from torch import nn
from transformers import Trainer, TrainerCallback

from tests.tiny import tiny_forecast_model
from tests.training.random_windows import windows
from tests.training.trace_runs import CallAt, Crash, crash, same, weights
from tracetune.adapters.adalora import AdaLoraOptions, add_adalora
from tracetune.adapters.lora import LoraOptions
from tracetune.adapters.trained_head import trained_head
from tracetune.base.errors import InputError
from tracetune.training.adalora_callback import STATE_FOLDER, AdaLoraCallback
from tracetune.training.checkpoints import train
from tracetune.training.config import TrainingConfig
from tracetune.training.run import Run
from tracetune.training.trainer import TrainedModule, build_trainer

CONFIG = TrainingConfig(max_steps=12, batch_size=8, evaluations=6, learning_rate=1e-2, early_stopping_patience=9)
OPTIONS = AdaLoraOptions(init_r=3, target_r=1, tinit=2, tfinal=4)


def trainer(folder: Path, *callbacks: TrainerCallback, options: AdaLoraOptions = OPTIONS) -> Trainer:
    torch.manual_seed(0)
    model = add_adalora(tiny_forecast_model(), LoraOptions(), options, CONFIG.max_steps)
    return build_trainer(
        TrainedModule(model, trained_head(model)),
        CONFIG,
        windows(),
        windows(seed=1),
        Run(folder, callbacks=(AdaLoraCallback(), *callbacks)),
    )


def ranks(model: nn.Module) -> list[int]:
    """Ranks whose singular value is not masked."""
    return [int((m.lora_E["default"] != 0).sum()) for m in model.modules() if isinstance(m, AdaLoraLayer)]


class Watch(TrainerCallback):
    """Notes the number of open ranks after each step."""

    def __init__(self) -> None:
        self.ranks: dict[int, int] = {}

    def on_step_end(self, args: Any, state: Any, control: Any, model: Any = None, **kwargs: Any) -> None:
        self.ranks[state.global_step] = sum(ranks(model))


def test_ranks_fall_by_peft_s_schedule_to_the_target(tmp_path: Path) -> None:
    watch = Watch()
    run = trainer(tmp_path, watch)
    run.train()
    full, target, start, stop = 14 * 3, 14 * 1, 2, 8
    for step in range(3, 13):
        share = max(0.0, 1 - (step - start) / (stop - start))
        assert watch.ranks[step] == int((full - target) * share**3 + target)
    assert watch.ranks[2] == full
    shapes = [len(m.lora_A["default"]) for m in run.model.modules() if isinstance(m, AdaLoraLayer)]
    assert shapes == ranks(run.model)
    assert sum(shapes) == target


def test_the_best_checkpoint_has_the_final_ranks_and_loads_in_plain_peft(tmp_path: Path) -> None:
    run = trainer(tmp_path / "run")
    run.train()
    assert run.state.best_global_step >= 8
    assert run.evaluate()["eval_loss"] == pytest.approx(run.state.best_metric, rel=1e-5)
    run.model.save_pretrained(str(tmp_path / "saved"), save_embedding_layers=False)
    loaded = peft.PeftModel.from_pretrained(tiny_forecast_model(), str(tmp_path / "saved")).eval()
    series = torch.randn(3, 1, 64)
    with torch.no_grad():
        assert torch.equal(loaded(series).forecast, run.model.eval()(series).forecast)


def test_checkpoints_on_the_way_hold_all_ranks(tmp_path: Path) -> None:
    """Otherwise they fit neither the model they are loaded into nor one another."""
    run = trainer(tmp_path)
    run.train()
    saved = [peft.PeftConfig.from_pretrained(str(path)) for path in tmp_path.glob("checkpoint-*")]
    assert saved
    assert all(config.rank_pattern is None for config in saved)


def test_only_the_training_loss_is_regularised(tmp_path: Path) -> None:
    losses = {}
    for weight in (0.0, 100.0):
        options = AdaLoraOptions(init_r=3, target_r=1, tinit=2, tfinal=4, orth_reg_weight=weight)
        run = trainer(tmp_path / str(weight), options=options)
        for name, direction in run.model.named_parameters():
            if ".lora_A." in name or ".lora_B." in name:
                nn.init.normal_(direction, std=0.02)  # far from orthogonal
        run.train()
        logs = run.state.log_history
        losses[weight] = (
            next(entry["loss"] for entry in logs if "loss" in entry),
            next(entry["eval_loss"] for entry in logs if "eval_loss" in entry),
        )
        assert not run.model._forward_hooks
    assert losses[100.0][0] > losses[0.0][0] + 50
    assert losses[100.0][1] < losses[0.0][1] + 1


def test_a_kill_right_after_a_checkpoint_leaves_a_run_that_can_be_resumed(tmp_path: Path) -> None:
    whole = trainer(tmp_path / "whole")
    whole.train()
    cut = trainer(tmp_path / "cut")
    cut.callback_handler.callbacks.insert(0, CallAt(10, crash))  # before AdaLoRA's callback hears of the checkpoint
    with pytest.raises(Crash):
        cut.train()
    again = trainer(tmp_path / "cut")
    again.train(resume_from_checkpoint=str(tmp_path / "cut" / "checkpoint-10"))
    assert same(weights(again.model), weights(whole.model))
    assert {path.name for path in (tmp_path / "cut" / STATE_FOLDER).iterdir()} == {
        f"{path.name.removeprefix('checkpoint-')}.safetensors" for path in (tmp_path / "cut").glob("checkpoint-*")
    }


def test_resuming_without_the_allocator_s_state_is_refused(tmp_path: Path) -> None:
    trainer(tmp_path).train()
    (tmp_path / STATE_FOLDER / "12.safetensors").unlink()
    with pytest.raises(InputError, match="AdaLoRA's state"):
        trainer(tmp_path).train(resume_from_checkpoint=str(tmp_path / "checkpoint-12"))


def test_a_training_that_fails_leaves_no_regulariser_in_the_model(tmp_path: Path) -> None:
    run = trainer(tmp_path)
    run.add_callback(CallAt(4, crash))
    with pytest.raises(Crash):
        train(run)
    assert not run.model._forward_hooks
