"""Backbones by name and by folder: what is missing or damaged is said, with what is near."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch

from tests.tiny import save_tiny, tiny_backbone
from tracetune.backbones.loading import load_backbone, weights_digest
from tracetune.base.errors import InputError


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return Path(save_tiny(tmp_path / "runs" / "nino"))


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("./nope", "there is no such folder in .*, and none of the known models"),
        ("runs/nin", r"there is no such folder in .*/runs.* Did you mean 'runs/nino'"),
        ("runs/", r"Expected a model in the folder runs: .* found nino\. Folders in it that hold a model: runs/nino"),
        ("runs/other", r"there is no such folder in .*/runs.* Folders there: nino\."),
        ("nope/deep/er/", "there is no folder '.*/nope/deep/er'"),
        ("runs/nino/config.json", "found the file runs/nino/config.json"),
        ("", "Unknown model ''"),
        ("x" * 5000, "Unknown model 'xxx"),
        ("nul\0byte", "Unknown model"),
        ("owner/name", "Downloading it from the Hugging Face hub failed"),
        ("tracetune/tyni", "Did you mean 'tracetune/tiny'"),
    ],
)
def test_wrong_names_say_where_was_looked(
    folder: Path, monkeypatch: pytest.MonkeyPatch, name: str, message: str
) -> None:
    monkeypatch.chdir(folder.parents[1])
    with pytest.raises(InputError, match=message) as raised:
        load_backbone(name)
    assert len(str(raised.value)) < 2000


def test_a_home_folder_may_be_abbreviated(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOME", str(folder.parent))
    assert weights_digest(load_backbone("~/nino")) == weights_digest(tiny_backbone())


@pytest.mark.parametrize("value", [float("nan"), float("inf")])
def test_weights_that_are_not_finite_are_refused(tmp_path: Path, value: float) -> None:
    backbone = tiny_backbone()
    with torch.no_grad():
        backbone.encoder.block[1].layer[0].SelfAttention.q.weight[3, 4] = value
    backbone.save_pretrained(tmp_path)
    with pytest.raises(InputError, match=r"damaged: encoder.block.1.layer.0.SelfAttention.q.weight holds NaN"):
        load_backbone(tmp_path)


def changed(path: Path, *keys: str, value: Any) -> None:
    content = json.loads(path.read_text())
    inner = content
    for key in keys[:-1]:
        inner = inner[key]
    inner[keys[-1]] = value
    path.write_text(json.dumps(content))


@pytest.mark.parametrize(
    ("keys", "value", "message"),
    [
        (("model_name",), ["MOMENT"], "to name its family .* found \\['MOMENT'\\]"),
        (("model_name",), "MOMNET", "Did you mean 'moment'"),
        (("seq_len",), "64", "Expected seq_len in config.json to be a whole number, found '64'"),
        (("seq_len",), 10**12, "Expected seq_len of at most 32768 steps"),
        (("patch_len",), 0, "patch_len between 1 and seq_len, found 64 and 0"),
        (("d_model",), 32, "Expected d_model 16, as in t5_config, found 32"),
        (("t5_config",), [], "Expected t5_config in config.json to be an object"),
        (("t5_config", "num_layers"), 10**9, "they have 2 blocks, num_layers is 1000000000"),
        (("t5_config", "d_ff"), 10**15, "do not fit"),
        (("t5_config", "dropout_rate"), 2, r"Expected dropout_rate in \[0, 1\), found 2"),
        (("t5_config", "feed_forward_proj"), "gated-nothing", "describes no T5 encoder"),
        (("t5_config", "relative_attention_max_distance"), 8, "above a fourth of it, found 32 and 8"),
    ],
)
def test_damaged_configurations_are_refused(folder: Path, keys: tuple[str, ...], value: Any, message: str) -> None:
    changed(folder / "config.json", *keys, value=value)
    with pytest.raises(InputError, match=message):
        load_backbone(folder)


def test_a_text_encoder_is_said_to_be_one(folder: Path) -> None:
    (folder / "config.json").write_text(json.dumps({"architectures": ["BertModel"], "model_type": "bert"}))
    with pytest.raises(InputError, match=r"a model of texts\. It goes with TextClassifier") as error:
        load_backbone(folder)
    assert "It goes with --task text." in error.value.for_command_line()


@pytest.mark.parametrize(
    "spoil",
    [
        lambda path: path.write_bytes(path.read_bytes()[:-1]),
        lambda path: path.unlink(),
        lambda path: path.write_text(""),
    ],
)
def test_damaged_weight_files_are_refused(folder: Path, spoil: Callable[[Path], object]) -> None:
    spoil(folder / "model.safetensors")
    with pytest.raises(InputError, match=r"damaged or truncated|does not exist"):
        load_backbone(folder)
