"""Pretraining: a short run learns, is saved in MOMENT's layout, and resumes to the same weights."""

import json
from pathlib import Path

import pytest
import torch

from tracetune.backbones import load_backbone, weights_digest
from tracetune.base.errors import InputError
from tracetune.recipes import pretrain as recipe
from tracetune.recipes.pretrain import PretrainConfig, SyntheticWindows, pretrain

SMALL = {
    "windows": 640, "context_length": 64, "patch_length": 8, "width": 16, "layers": 1, "heads": 2,
    "feed_forward": 32, "batch_size": 32, "evaluations": 4, "bf16": False, "device": "cpu", "num_workers": 0,
}  # fmt: skip


@pytest.fixture(autouse=True)
def _little_validation(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(recipe, "_VALIDATION_WINDOWS", 64)
    monkeypatch.setattr(recipe, "_BLOCK", 64)


def test_a_run_learns_and_leaves_everything_needed(tmp_path: Path) -> None:
    backbone = pretrain(PretrainConfig(output=str(tmp_path), **SMALL))
    names = {path.name for path in tmp_path.iterdir()}
    assert {"config.json", "model.safetensors", "log.json", "learning_curves.png"} <= names
    assert weights_digest(load_backbone(tmp_path)) == weights_digest(backbone)
    losses = [entry["eval_loss"] for entry in json.loads((tmp_path / "log.json").read_text()) if "eval_loss" in entry]
    assert losses[-1] < losses[0]


def test_an_interrupted_run_goes_on_to_the_same_weights(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    whole = pretrain(PretrainConfig(output=str(tmp_path / "whole"), **SMALL))

    fetch, calls = SyntheticWindows.__getitems__, []

    def fails_later(self: SyntheticWindows, indices: list[int]) -> dict[str, torch.Tensor]:
        calls.append(indices)
        if len(calls) == 15:
            raise KeyboardInterrupt
        return fetch(self, indices)

    monkeypatch.setattr(SyntheticWindows, "__getitems__", fails_later)
    with pytest.raises(KeyboardInterrupt):
        pretrain(PretrainConfig(output=str(tmp_path / "cut"), **SMALL))
    monkeypatch.setattr(SyntheticWindows, "__getitems__", fetch)
    resumed = pretrain(PretrainConfig(output=str(tmp_path / "cut"), **SMALL))
    assert weights_digest(resumed) == weights_digest(whole)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"context_length": 100}, "multiple of patch_length"),
        ({"width": 15}, "multiple of heads"),
        ({"windows": 3}, "at least one batch"),
    ],
)
def test_geometry_that_does_not_fit_is_refused(change: dict, message: str) -> None:
    with pytest.raises(InputError, match=message):
        PretrainConfig(output="x", **(SMALL | change))
