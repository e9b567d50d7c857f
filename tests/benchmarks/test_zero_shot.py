"""The zero-shot benchmark on series whose answers are known."""

import numpy as np
import pandas as pd
import pytest
import torch
from torch import Tensor

from benchmarks import zero_shot
from tracetune.backbones.backbone import Backbone, Encoded
from tracetune.data.datasets import DatasetFile, DatasetInfo, LoadedDataset
from tracetune.data.reading.read import panel_from_frame
from tracetune.data.splits import Borders
from tracetune.evaluation.metrics import smape

LENGTH, CONTEXT = 400, 64


class Repeats(Backbone):
    """A model that fills hidden steps with a constant, and forecasts the last value."""

    patch_length, width, context_length = 8, 4, CONTEXT

    def forward(self, values: Tensor, input_mask: Tensor | None, patch_mask: Tensor) -> Tensor:
        hidden = patch_mask.repeat_interleave(8, dim=-1)
        return torch.where(hidden, 0.25, values)

    def encode(self, values: Tensor, input_mask: Tensor | None = None, patch_mask: Tensor | None = None) -> Encoded:
        raise AssertionError("nothing here reads tokens")

    def adapted_layers(self) -> list[str]:
        return []

    def num_patches(self, context_length: int) -> int:
        return context_length // 8

    def forecast(self, past_values: Tensor, input_mask: Tensor | None, prediction_length: int) -> Tensor:
        return past_values[..., -1:].expand(-1, -1, prediction_length)

    def num_passes(self, context_length: int, prediction_length: int) -> int:
        return 1


def dataset(values: np.ndarray, horizon: int = 0, season: int = 12) -> LoadedDataset:
    frame = pd.DataFrame(
        {"item_id": "a", "timestamp": pd.date_range("2020-01-01", periods=len(values), freq="h"), "target": values}
    )
    panel = panel_from_frame(frame)
    borders = Borders(200, 250, LENGTH)
    file = DatasetFile("a.csv", "series", "0" * 64, "1" * 64, None)
    info = DatasetInfo("a", "long", (file,), "hour", (horizon,), season, borders, "none", "timestamp", "")
    if horizon:
        return LoadedDataset(info, panel.cut(None, -horizon), None, panel.cut(-horizon, None))
    return LoadedDataset(info, panel, borders, None)


@pytest.fixture(autouse=True)
def _short_context(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(zero_shot, "CONTEXT", CONTEXT)
    monkeypatch.setattr(zero_shot, "FILL_STRIDE", 16)


def test_a_straight_line_is_interpolated_without_error(monkeypatch: pytest.MonkeyPatch) -> None:
    values = np.linspace(0, 10, LENGTH)
    monkeypatch.setattr(zero_shot, "load_dataset", lambda name: dataset(values))
    # Hidden patches at the ends have one neighbour only; inside, a line is met exactly.
    monkeypatch.setattr(zero_shot, "draw_patch_mask", inner_patches)
    model, line = zero_shot.fill_rows("a", Repeats())
    assert line["mse"] == pytest.approx(0, abs=1e-9)
    scaled = (values - values[:200].mean()) / values[:200].std()
    starts = sorted({*range(250, LENGTH - CONTEXT, 16), LENGTH - CONTEXT})
    hidden = np.concatenate([scaled[start + 16 : start + 24] for start in starts])
    assert model["mse"] == pytest.approx(np.square(hidden - 0.25).mean(), rel=1e-4)


def inner_patches(batch: int, num_patches: int, config: object, generator: object) -> Tensor:
    """Hides the third patch."""
    return (torch.arange(num_patches) == 2).expand(batch, 1, -1)


def test_windows_cover_the_test_part_to_its_end() -> None:
    windows = zero_shot._test_windows(dataset(np.arange(LENGTH, dtype=float)))
    steps = windows.squeeze(1) * np.arange(200).std() + np.arange(200).mean()
    seen = steps.round().long().unique()
    assert seen.tolist() == list(range(250, LENGTH))


def test_short_series_are_scored_by_smape_in_their_own_units(monkeypatch: pytest.MonkeyPatch) -> None:
    values = 100 + np.tile(np.arange(12.0), 10)
    monkeypatch.setattr(zero_shot, "load_dataset", lambda name: dataset(values, horizon=6))
    model, seasonal, last = zero_shot.short_rows("a", Repeats(), with_ets=False)
    assert seasonal["smape"] == pytest.approx(0, abs=1e-9)
    assert model["smape"] == pytest.approx(last["smape"], rel=1e-5)  # the model repeats too
    assert last["smape"] == pytest.approx(float(smape(values[-6:], np.full(6, values[-7]))))
    assert "sMAPE" in zero_shot.markdown([model, seasonal, last])
