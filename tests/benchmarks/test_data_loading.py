"""The loading benchmark: shares are ratios of what was measured, medians leave the first round out."""

from collections.abc import Iterator

import numpy as np
import pytest
import torch

from benchmarks import data_loading
from tests.benchmarks.synthetic import synthetic_case
from tests.tiny import HORIZON, tiny_backbone
from tracetune.adapters.lora import LoraOptions, add_lora
from tracetune.tasks.forecasting.model import ForecastModel


@pytest.fixture(autouse=True)
def _small(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(data_loading, "HORIZON", HORIZON)


def test_a_row_has_times_of_all_three_and_their_ratios() -> None:
    windows = synthetic_case().train
    row = data_loading.loading_row(windows, tiny_backbone(), batch_size=2, rounds=2)
    assert (row["channels"], row["windows"]) == (2, len(windows))
    assert row["share_of_step"] == pytest.approx(row["load_us"] / row["training_step_us"])
    assert row["share_of_forward"] == pytest.approx(row["load_us"] / row["frozen_forward_us"])
    assert 0 < row["load_us"] < row["training_step_us"]
    assert "| waves" in data_loading.markdown([{"dataset": "waves", **row}])


def test_a_time_is_the_median_of_rounds_after_the_first(monkeypatch: pytest.MonkeyPatch) -> None:
    def clock() -> Iterator[float]:
        now = 0.0
        for duration in (100, 200, 1, 10, 3, 30, 2, 20):  # a, b, a, b, ...
            yield now
            now += duration
            yield now

    ticks = clock()
    monkeypatch.setattr(data_loading.time, "process_time", lambda: next(ticks))
    calls: list[str] = []
    actions = {"a": lambda: calls.append("a"), "b": lambda: calls.append("b")}
    assert data_loading.interleaved(actions, rounds=3) == {"a": 2, "b": 20}
    assert calls == ["a", "b"] * 4


def test_the_step_trains_the_adapters() -> None:
    model = add_lora(ForecastModel.from_backbone(tiny_backbone(), HORIZON), LoraOptions()).train()
    before = {name: parameter.detach().clone() for name, parameter in model.named_parameters()}
    step = data_loading.training_step(model, synthetic_case().train.__getitems__([0, 1, 2]))
    step()
    changed = {name for name, parameter in model.named_parameters() if not torch.equal(parameter, before[name])}
    assert changed
    assert all("lora_" in name for name in changed)


def test_random_walks_are_walks() -> None:
    walks = data_loading.random_walks(3, 1000)
    assert walks.shape == (3, 1000)
    assert walks.dtype == np.float32
    assert np.diff(walks, axis=1).std() == pytest.approx(1, abs=0.05)
    assert np.abs(np.corrcoef(np.diff(walks, axis=1)) - np.eye(3)).max() < 0.15
