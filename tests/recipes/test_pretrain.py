"""Pretraining: a short run learns, is saved in MOMENT's layout, and resumes to the same weights."""

import json
from collections.abc import Iterator
from pathlib import Path

import pytest
import torch
from accelerate.data_loader import prepare_data_loader
from torch.utils.data import DataLoader

from tracetune.backbones.any_module import wrap_module
from tracetune.backbones.backbone import Backbone
from tracetune.backbones.loading import load_backbone, weights_digest
from tracetune.base.config import from_mapping, read_yaml
from tracetune.base.errors import InputError
from tracetune.data.synthetic.corpus import SyntheticCorpus
from tracetune.recipes import pretrain as recipe
from tracetune.recipes.pretrain import PretrainConfig, SyntheticWindows, pretrain

SMALL = {
    "windows": 320, "context_length": 64, "patch_length": 8, "width": 16, "layers": 1, "heads": 2,
    "feed_forward": 32, "batch_size": 32, "evaluations": 4, "bf16": False, "device": "cpu", "num_workers": 0,
}  # fmt: skip


@pytest.fixture(scope="module", autouse=True)
def _little_validation() -> Iterator[None]:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(recipe, "_VALIDATION_WINDOWS", 64)
        patch.setattr(recipe, "_BLOCK", 64)
        patch.setattr(recipe, "_SHEET_COLUMNS", 1)
        yield


@pytest.fixture(scope="module")
def whole(_little_validation: None, tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Backbone]:
    """Return the folder of a whole run, and what it made."""
    folder = tmp_path_factory.mktemp("whole")
    return folder, pretrain(PretrainConfig(output=str(folder), **SMALL))


def test_a_run_learns_and_leaves_everything_needed(whole: tuple[Path, Backbone]) -> None:
    folder, backbone = whole
    names = {path.name for path in folder.iterdir()}
    assert {"config.json", "model.safetensors", "log.json", "learning_curves.png", "samples.png"} <= names
    assert weights_digest(load_backbone(folder)) == weights_digest(backbone)
    losses = [entry["eval_loss"] for entry in json.loads((folder / "log.json").read_text()) if "eval_loss" in entry]
    assert losses[-1] < losses[0]


def test_an_interrupted_run_goes_on_to_the_same_weights(
    whole: tuple[Path, Backbone], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    fetch, calls = SyntheticWindows.__getitems__, []

    def fails_later(self: SyntheticWindows, indices: list[int]) -> dict[str, torch.Tensor]:
        calls.append(indices)
        if len(calls) == 8:
            raise KeyboardInterrupt
        return fetch(self, indices)

    monkeypatch.setattr(SyntheticWindows, "__getitems__", fails_later)
    with pytest.raises(KeyboardInterrupt):
        pretrain(PretrainConfig(output=str(tmp_path / "cut"), **SMALL))
    monkeypatch.setattr(SyntheticWindows, "__getitems__", fetch)
    resumed = pretrain(PretrainConfig(output=str(tmp_path / "cut"), **SMALL))
    assert weights_digest(resumed) == weights_digest(whole[1])


def test_another_configuration_does_not_go_on_from_a_checkpoint(tmp_path: Path) -> None:
    short = SMALL | {"windows": 64, "evaluations": 2}
    pretrain(PretrainConfig(output=str(tmp_path), **short))
    other = short | {"width": 32}
    with pytest.raises(InputError, match=r"state of another run: width 16 there, 32 here, .*restart=True"):
        pretrain(PretrainConfig(output=str(tmp_path), **other))
    assert pretrain(PretrainConfig(output=str(tmp_path), restart=True, **other)).config.t5_config["d_model"] == 32


def test_snapshots_are_whole_models_of_their_moment(tmp_path: Path) -> None:
    last = pretrain(PretrainConfig(output=str(tmp_path), snapshots=(33, 320), **SMALL))
    assert {path.name for path in (tmp_path / "snapshots").iterdir()} == {"33", "320"}
    early, late = (load_backbone(tmp_path / "snapshots" / count) for count in ("33", "320"))
    assert weights_digest(early) != weights_digest(late)
    best = min(
        (entry for entry in json.loads((tmp_path / "log.json").read_text()) if "eval_loss" in entry),
        key=lambda entry: entry["eval_loss"],
    )
    assert (weights_digest(late) == weights_digest(last)) == (best["step"] == 10)


def test_processes_of_a_distributed_run_share_the_windows() -> None:
    """As Accelerate shards a sequential loader: no window is read twice, and together they are the first ones."""
    config = PretrainConfig(output="x", **SMALL)
    corpus = SyntheticCorpus(64, config.seed + 1, block_size=64)
    windows = SyntheticWindows(128, corpus)
    read = []
    for process in range(2):
        loader = DataLoader(windows, batch_size=16, collate_fn=lambda batch: batch)
        sharded = prepare_data_loader(loader, num_processes=2, process_index=process, put_on_device=False)
        read.append(torch.cat([batch["values"][:, 0] for batch in sharded]))
    assert [len(rows) for rows in read] == [64, 64]
    together = torch.cat([rows.unflatten(0, (-1, 16)) for rows in read], dim=1).flatten(0, 1)
    assert torch.equal(together, corpus.rows(range(128)))


def test_a_distributed_run_sees_as_many_windows(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("WORLD_SIZE", "4")
    assert recipe._processes(torch.device("cpu")) == 4
    config = PretrainConfig(output="x", **SMALL)
    assert recipe._training_config(config, 4 * 32, torch.device("cpu")).max_steps == 320 // (4 * 32)


def test_on_a_gpu_the_training_process_generates_there() -> None:
    config, gpu = PretrainConfig(output="x", **(SMALL | {"num_workers": 3})), torch.device("cuda")
    assert recipe.training_windows(config, 64, gpu).corpus.device.type == "cuda"
    assert recipe._training_config(config, 32, gpu).num_workers == 0
    assert recipe.training_windows(config, 64, torch.device("cpu")).corpus.device.type == "cpu"
    assert recipe._training_config(config, 32, torch.device("cpu")).num_workers == 3


@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a GPU")
def test_a_run_on_a_gpu_learns(tmp_path: Path) -> None:
    pretrain(PretrainConfig(output=str(tmp_path), **(SMALL | {"device": "cuda", "bf16": True})))
    losses = [entry["eval_loss"] for entry in json.loads((tmp_path / "log.json").read_text()) if "eval_loss" in entry]
    assert losses[-1] < losses[0]


def test_the_recipe_of_the_embedded_model_has_its_geometry() -> None:
    config = from_mapping(PretrainConfig, read_yaml(Path(__file__).parents[2] / "configs" / "tiny.yaml"))
    shipped = load_backbone("tracetune/tiny").config
    assert recipe.moment_config(config).to_dict() == shipped.to_dict()


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"context_length": 100}, "multiple of patch_length"),
        ({"width": 15}, "multiple of heads"),
        ({"windows": 3}, "at least one batch"),
        ({"snapshots": (1000,)}, "snapshots between 1 and 320 windows, found 1000"),
    ],
)
def test_geometry_that_does_not_fit_is_refused(change: dict, message: str) -> None:
    with pytest.raises(InputError, match=message):
        PretrainConfig(output="x", **(SMALL | change))


def test_a_model_that_hides_no_patches_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    other = wrap_module(torch.nn.Linear(1, 4), context_length=8, width=4, encode=lambda m, x, _: m(x.unsqueeze(-1)))
    monkeypatch.setattr("tracetune.recipes.pretrain.load_backbone", lambda name: other)
    with pytest.raises(InputError, match="start to name a MOMENT model, found AnyModule"):
        pretrain(PretrainConfig(output=str(tmp_path / "out"), start="owner/other", device="cpu"))
    assert not (tmp_path / "out").exists()
