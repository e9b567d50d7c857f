"""The card says what was measured, of these weights and no others."""

import hashlib
from dataclasses import replace
from pathlib import Path

import pytest
from benchmarks.model_card import Cycle, model_card, plot_cycles
from matplotlib.image import imread

from tests.tiny import save_tiny, tiny_backbone
from tracetune.backbones.loading import weights_digest
from tracetune.base.errors import InputError
from tracetune.recipes.settings.pretrain import PretrainConfig

CONFIG = PretrainConfig(output="x", windows=5120, batch_size=64, seed=7)
LOG = [{"eval_loss": 0.9 - 0.01 * step, "step": step} for step in range(4, 81, 4)] + [
    {"train_runtime": 9.0, "step": 80}
]
FIRST = Cycle("configs/one.yaml", CONFIG, LOG)
SECOND = Cycle("configs/two.yaml", PretrainConfig(output="y", start="x", windows=4000, batch_size=64, seed=9), LOG)


def scores(digest: str) -> dict:
    rows = [{"task": "short", "dataset": "m3_monthly", "method": "zero-shot", "smape": 12.345}]
    return {"weights_sha256": digest, "rows": rows, "command": "python -m benchmarks.zero_shot", "commit": "abc1234"}


def test_the_card_is_filled_from_log_recipe_scores_and_weights(tmp_path: Path) -> None:
    save_tiny(tmp_path)
    card = model_card([FIRST, SECOND], scores(weights_digest(tiny_backbone())), tmp_path)
    assert hashlib.sha256((tmp_path / "model.safetensors").read_bytes()).hexdigest() in card
    for text in ("9,120 windows", "2 cycles", "5,120", "0.1000", "12.3", "abc1234", "waves"):
        assert text in card
    assert "tracetune pretrain --config configs/one.yaml\ntracetune pretrain --config configs/two.yaml" in card
    assert "{" not in card.replace("```", "")


def test_scores_of_other_weights_are_refused(tmp_path: Path) -> None:
    save_tiny(tmp_path)
    with pytest.raises(InputError, match=r"Run python -m benchmarks\.zero_shot first"):
        model_card([FIRST, SECOND], scores("0" * 64), tmp_path)


def test_an_unfinished_run_has_no_card(tmp_path: Path) -> None:
    save_tiny(tmp_path)
    with pytest.raises(InputError, match="finished pretraining run"):
        model_card([FIRST, replace(SECOND, log=LOG[:-1])], scores(weights_digest(tiny_backbone())), tmp_path)


def test_every_cycle_has_a_panel(tmp_path: Path) -> None:
    widths = []
    for cycles in ([FIRST], [FIRST, SECOND]):
        plot_cycles(tmp_path / "curves.png", cycles)
        widths.append(imread(tmp_path / "curves.png").shape[1])
    assert widths[1] > widths[0]
