"""Fine-tuning as a command: the output folder is whole or absent, and refused before the work."""

import os
import signal
import stat
import tempfile
from pathlib import Path
from typing import Any

import pytest

from tests.tiny import HORIZON, save_tiny, seasonal_frame
from tracetune.base.config import from_mapping
from tracetune.base.errors import InputError
from tracetune.base.folders import reserved
from tracetune.base.signals import Stopped
from tracetune.recipes.forecasting import finetune as recipe
from tracetune.recipes.forecasting.finetune import finetune
from tracetune.recipes.forecasting.settings import FinetuneConfig


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("inputs")
    seasonal_frame().to_csv(folder / "data.csv", index=False)
    save_tiny(folder / "model")
    return folder


def config(place: Path, output: Path, **options: Any) -> FinetuneConfig:
    settings: dict[str, Any] = {
        "data": str(place / "data.csv"), "model": str(place / "model"), "output": str(output), "device": "cpu",
        "prediction_length": HORIZON, "method": "lora", "start": "zero-shot", "max_steps": 2, "batch_size": 8,
        "validation_windows": 16,
    }  # fmt: skip
    return from_mapping(
        FinetuneConfig, {name: value for name, value in (settings | options).items() if value is not None}
    )


def test_pictures_appear_with_the_model_and_modes_follow_the_umask(place: Path, tmp_path: Path) -> None:
    before = os.umask(0o027)
    try:
        finetune(config(place, tmp_path / "out"))
    finally:
        os.umask(before)
    modes = {path.name: f"{stat.S_IMODE(path.stat().st_mode):o}" for path in tmp_path.rglob("*")}
    assert modes.pop("out") == "750"
    assert modes.keys() >= {"README.md", "adapter_config.json", "adapter_model.safetensors", "trace.json"}
    assert any(name.endswith(".png") for name in modes)
    assert set(modes.values()) == {"640"}


def test_a_picture_that_fails_leaves_no_output(place: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(*arguments: object) -> None:
        raise OSError(28, "No space left on device")

    with monkeypatch.context() as patch, pytest.raises(OSError, match="No space left"):
        patch.setattr(recipe, "draw_run", full)
        finetune(config(place, tmp_path / "out"))
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("output", "checkpoints", "message"),
    [
        ("out", "out/ck", "apart"),
        ("ck/out", "ck", "apart"),
        ("a" * 300, None, "at most 244 fit"),
        ("file/out", None, "is a file"),
        ("out", "file/ck", "is a file"),
    ],
)
def test_an_unusable_output_is_refused_before_the_work(
    place: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    output: str,
    checkpoints: str | None,
    message: str,
) -> None:
    monkeypatch.delattr(recipe.Forecaster, "from_pretrained")
    (tmp_path / "file").touch()
    state = None if checkpoints is None else str(tmp_path / checkpoints)
    with pytest.raises(InputError, match=message):
        finetune(config(place, tmp_path / output, checkpoints=state))
    assert [path.name for path in tmp_path.iterdir()] == ["file"]


@pytest.mark.parametrize(
    ("checkpoints", "whole", "message"),
    [
        (False, False, "Stopped by SIGTERM. Nothing was kept: give --checkpoints FOLDER"),
        (True, False, "Stopped by SIGTERM. It had no checkpoint yet: the same command starts again."),
        (True, True, "Stopped by SIGTERM. Its checkpoints are in .*ck: the same command goes on from there."),
    ],
)
def test_a_stopped_run_says_what_it_kept(
    place: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, checkpoints: bool, whole: bool, message: str
) -> None:
    def stopped(*arguments: object, **options: object) -> None:
        if whole:
            (tmp_path / "ck" / "lora" / "checkpoint-2").mkdir(parents=True)
            (tmp_path / "ck" / "lora" / "checkpoint-2" / "manifest.json").touch()
        raise Stopped(signal.SIGTERM)

    monkeypatch.setattr(recipe.Forecaster, "fit", stopped)
    with pytest.raises(Stopped, match=message):
        finetune(config(place, tmp_path / "out", checkpoints=str(tmp_path / "ck") if checkpoints else None))
    assert not (tmp_path / "out").exists()


def test_a_run_killed_once_its_output_was_whole_leaves_nothing_after_the_same_command(
    place: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    scratch, output = tmp_path / "scratch", tmp_path / "out"
    scratch.mkdir()
    monkeypatch.setattr(tempfile, "tempdir", str(scratch))
    child = os.fork()
    if not child:
        output.mkdir()
        (output / "trace.json").write_text("{}")
        with reserved(output):
            os.kill(os.getpid(), signal.SIGKILL)
    os.waitpid(child, 0)
    assert list(scratch.iterdir())
    with pytest.raises(InputError, match="is not empty"):
        finetune(config(place, output))
    assert not list(scratch.iterdir())
