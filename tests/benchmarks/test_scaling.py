"""Snapshots in both layouts, and the row of a frozen backbone."""

import argparse
from pathlib import Path

import pytest
import torch
from safetensors.torch import save_file

from benchmarks import frozen_features, scaling
from tests.benchmarks.synthetic import synthetic_case
from tests.tiny import CONTEXT, HORIZON, save_tiny, tiny_backbone
from tracetune.backbones.loading import weights_digest
from tracetune.base.errors import InputError
from tracetune.data.windows import batches
from tracetune.heads.config import HeadConfig
from tracetune.tasks.reconstruction import MaskedReconstruction, MaskingConfig


@pytest.fixture(autouse=True)
def _small(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(frozen_features, "HORIZON", HORIZON)
    monkeypatch.setattr(frozen_features, "CONTEXT", CONTEXT)
    heads = {"linear probe": HeadConfig("flatten"), "compact, beta 4": HeadConfig("projection", beta=4)}
    monkeypatch.setattr(frozen_features, "HEADS", heads)


def test_models_and_checkpoints_are_read_to_the_same_weights(tmp_path: Path) -> None:
    geometry = save_tiny(tmp_path / "geometry", seed=1)
    save_tiny(tmp_path / "1000", seed=2)
    (tmp_path / "20").mkdir()
    model = MaskedReconstruction(tiny_backbone(2), MaskingConfig())
    save_file(dict(model.state_dict()), tmp_path / "20" / "model.safetensors")
    folders = scaling.snapshot_folders(tmp_path)
    assert list(folders) == [20, 1000]
    digests = {weights_digest(scaling.load_snapshot(folder, geometry)) for folder in folders.values()}
    assert digests == {weights_digest(tiny_backbone(2))}


def test_a_folder_without_snapshots_is_refused(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="Expected subfolders named by numbers of windows"):
        scaling.snapshot_folders(tmp_path)


def test_the_head_is_chosen_by_validation_and_beats_zero() -> None:
    case = synthetic_case()
    row = frozen_features.frozen_row(case, tiny_backbone(), sgd_epochs=0)
    assert row["validation_losses"][row["chosen"]] == row["validation"] == min(row["validation_losses"].values())
    truth = torch.cat([batch["future_values"] for batch in batches(case.test, 64)])
    assert row["mse"] < truth.square().mean()
    assert set(row["validation_losses"]) == {frozen_features.ZERO_SHOT, "linear probe, ridge", "compact, beta 4, ridge"}


def test_test_windows_are_thinned_evenly(monkeypatch: pytest.MonkeyPatch) -> None:
    def fake(name: str, horizon: int, train: int, validation: int, stride: int = 1) -> object:
        return synthetic_case(test_stride=stride)

    monkeypatch.setattr(frozen_features, "load_case", fake)
    whole = len(synthetic_case().test)
    arguments = argparse.Namespace(train_windows=100, validation_windows=100, test_windows=whole)
    assert len(frozen_features.thinned_case("waves", arguments).test) == whole
    arguments.test_windows = whole // 4
    assert frozen_features.thinned_case("waves", arguments).test.stride == 4


def test_the_curve_is_drawn_and_tabled(tmp_path: Path) -> None:
    rows = [
        {"windows": windows, "dataset": name, "mse": mse, "validation": mse + 1}
        for windows, name, mse in [(1000, "a", 0.3), (10, "a", 0.5), (10, "b", 0.9), (1000, "b", 0.7)]
    ]
    scaling.plot(tmp_path / "scaling.png", rows)
    assert (tmp_path / "scaling.png").stat().st_size > 5000
    lines = [line for line in scaling.markdown(rows).splitlines() if line.startswith("|")]
    assert [cell.strip() for cell in lines[2].split("|")[1:5]] == ["10", "0.5000", "0.9000", "0.7000"]
    assert [cell.strip() for cell in lines[3].split("|")[1:5]] == ["1,000", "0.3000", "0.7000", "0.5000"]
