"""Checkpoints are whole or not used; a resumed run, and one that is run again, ends where an uninterrupted one does."""

import json
import logging
import shutil
from collections.abc import Callable
from dataclasses import replace
from io import StringIO
from pathlib import Path

import pytest
import torch
from rich.console import Console
from torch import Tensor
from transformers import Trainer, TrainerCallback

from tests.tiny import tiny_forecast_model
from tests.training.random_windows import CONFIG, windows
from tracetune.adapters.lora import LoraOptions, add_lora
from tracetune.adapters.trained_head import trained_head
from tracetune.base.seeds import seed_everything
from tracetune.training.checkpoints import MANIFEST_FILE, last_checkpoint, train
from tracetune.training.config import TrainingConfig
from tracetune.training.progress import ProgressBar
from tracetune.training.run import Run
from tracetune.training.trainer import TrainedModule, build_trainer


class Interrupt(TrainerCallback):
    """Ends the run as a kill would: after a step, or in the middle of writing a checkpoint."""

    def __init__(self, *, step: int | None = None, saving: int | None = None) -> None:
        self.step, self.saving = step, saving

    def on_step_end(self, args: object, state: object, control: object, **kwargs: object) -> None:
        if state.global_step == self.step:
            raise KeyboardInterrupt

    def on_save(self, args: object, state: object, control: object, **kwargs: object) -> None:
        if state.global_step == self.saving:
            raise KeyboardInterrupt


def trainer_of(folder: Path, *callbacks: TrainerCallback, config: TrainingConfig = CONFIG) -> Trainer:
    seed_everything(0)
    model = add_lora(tiny_forecast_model(), LoraOptions())
    return build_trainer(
        TrainedModule(model, trained_head(model)), config, windows(), windows(seed=1), Run(folder, callbacks=callbacks)
    )


def trained(trainer: Trainer) -> dict[str, Tensor]:
    train(trainer)
    state = trainer.model.state_dict()
    return {name: tensor for name, tensor in state.items() if "lora" in name or "modules_to_save" in name}


def same(one: dict[str, Tensor], other: dict[str, Tensor]) -> bool:
    return all(torch.equal(one[name], other[name]) for name in one)


def steps(folder: Path) -> list[int]:
    return sorted(int(path.name.rpartition("-")[2]) for path in folder.glob("checkpoint-*"))


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> tuple[dict[str, Tensor], Path]:
    """Weights and folder of an uninterrupted run of 12 steps with a checkpoint every 3."""
    folder = tmp_path_factory.mktemp("whole")
    return trained(trainer_of(folder)), folder


@pytest.fixture
def folder(whole: tuple[dict[str, Tensor], Path], tmp_path: Path) -> Path:
    """The checkpoints of that run, in a folder that has moved."""
    return shutil.copytree(whole[1], tmp_path / "moved")


def test_a_run_that_is_run_again_trains_nothing_and_gives_the_same(
    whole: tuple[dict[str, Tensor], Path], folder: Path
) -> None:
    before = {path: path.stat().st_mtime_ns for path in folder.rglob("*") if path.is_file()}
    for _ in range(2):
        again = trainer_of(folder)
        assert same(whole[0], trained(again))
        assert again.state.global_step == 12
    assert {path: path.stat().st_mtime_ns for path in folder.rglob("*") if path.is_file()} == before


@pytest.mark.parametrize("cut", [{"step": 8}, {"saving": 9}, {"saving": 3}])
def test_an_interrupted_run_gives_what_an_uninterrupted_one_gives(
    whole: tuple[dict[str, Tensor], Path], tmp_path: Path, cut: dict[str, int]
) -> None:
    with pytest.raises(KeyboardInterrupt):
        train(trainer_of(tmp_path, Interrupt(**cut)))
    assert steps(tmp_path) == {8: [3, 6], 9: [3, 6], 3: []}[next(iter(cut.values()))]  # what was half is gone
    assert same(whole[0], trained(trainer_of(tmp_path)))


def test_a_run_that_stopped_early_stays_stopped(tmp_path: Path) -> None:
    config = replace(CONFIG, max_steps=100, evaluations=50, learning_rate=0.5, early_stopping_patience=2)
    first = trainer_of(tmp_path, config=config)
    weights = trained(first)
    last = first.state.global_step
    assert last < 100
    assert steps(tmp_path) == [last - 4, last - 2, last]  # the best one, and the last two
    again = trainer_of(tmp_path, config=config)
    assert same(weights, trained(again))
    assert again.state.global_step == last
    assert not [path for path in tmp_path.rglob("*") if path.is_file() and path.stat().st_mode & 0o044 != 0o044]


def empty(path: Path) -> None:
    path.write_bytes(b"")


def cut_at_4096(path: Path) -> None:
    path.write_bytes(path.read_bytes()[:4096])


def one_bit(path: Path) -> None:
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 1
    path.write_bytes(content)


def lost(path: Path) -> None:
    path.unlink()


@pytest.mark.parametrize(
    ("file", "damage"),
    [
        ("trainer_state.json", empty),
        ("adapter_model.safetensors", cut_at_4096),
        ("optimizer.pt", one_bit),
        ("scheduler.pt", lost),
        ("rng_state.pth", empty),
        (MANIFEST_FILE, lost),
        (MANIFEST_FILE, empty),
    ],
)
def test_a_damaged_checkpoint_is_passed_over_with_a_word(
    folder: Path, caplog: pytest.LogCaptureFixture, file: str, damage: Callable[[Path], None]
) -> None:
    assert last_checkpoint(folder) == str(folder / "checkpoint-12")
    damage(folder / "checkpoint-12" / file)
    with caplog.at_level(logging.WARNING):
        assert last_checkpoint(folder) == str(folder / "checkpoint-9")
    assert "checkpoint-12 is not whole" in caplog.text
    assert caplog.text.count("not whole") == 1
    assert steps(folder) == [9]


def test_a_run_goes_on_from_the_checkpoint_before_a_damaged_one(
    whole: tuple[dict[str, Tensor], Path], folder: Path
) -> None:
    cut_at_4096(folder / "checkpoint-12" / "optimizer.pt")
    assert same(whole[0], trained(trainer_of(folder)))


def test_a_checkpoint_without_its_best_model_is_not_whole(folder: Path) -> None:
    state = folder / "checkpoint-12" / "trainer_state.json"
    content = json.loads(state.read_text())
    state.write_text(json.dumps(content | {"best_model_checkpoint": "elsewhere/checkpoint-3"}))
    manifest = folder / "checkpoint-12" / MANIFEST_FILE
    files = json.loads(manifest.read_text())
    del files[state.name]
    manifest.write_text(json.dumps(files))
    assert last_checkpoint(folder) == str(folder / "checkpoint-9")
    assert last_checkpoint(folder / "nowhere") is None


def test_an_exception_closes_what_callbacks_hold(tmp_path: Path) -> None:
    screen = StringIO()
    bar = ProgressBar(console=Console(file=screen, force_terminal=True))
    with pytest.raises(KeyboardInterrupt):
        train(trainer_of(tmp_path, bar, Interrupt(step=2)))
    assert screen.getvalue().count("\x1b[?25l") == screen.getvalue().count("\x1b[?25h") == 1  # the cursor is back
