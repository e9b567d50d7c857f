"""The second phase remembers what frozen blocks make of the windows: fewer blocks run, the losses stay."""

import logging
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch._dynamo.config as limits
from transformers import TrainerCallback

from tests.tiny import HORIZON, seasonal_frame, tiny_backbone
from tracetune import FitConfig, HeadConfig, TrainingConfig
from tracetune.adapters.adalora import AdaLoraOptions
from tracetune.adapters.lora import LoraOptions
from tracetune.data.reading.read import panel_from_frame
from tracetune.data.splits import fit_split
from tracetune.fitting.adapter_phase import _obstacle, train_adapters
from tracetune.fitting.methods import AdaLora, Lora, Method, Trace
from tracetune.fitting.trained import TrainedAdapters
from tracetune.selection.config import SelectionConfig
from tracetune.tasks.forecasting.data import forecast_data
from tracetune.tasks.forecasting.model import ForecastModel
from tracetune.tasks.task import TrainingData
from tracetune.training.run import Run

LATE = Lora(LoraOptions(target_modules=("*.block.1.*",)))
TRAINING = TrainingConfig(max_steps=12, batch_size=32, evaluations=3, learning_rate=5e-3)
FLATTEN = HeadConfig("flatten")
NOTHING_KEPT = 0  # bytes of cache


@pytest.fixture(scope="module")
def data() -> TrainingData:
    panel = panel_from_frame(seasonal_frame(length=160))
    return forecast_data(panel, fit_split(panel, HORIZON), 64, HORIZON, 1, 16, 64)


def tune(data: TrainingData, folder: Path, head: HeadConfig | None = FLATTEN, **options: Any) -> TrainedAdapters:
    config = FitConfig(**{"training": TRAINING, "method": "lora", **options})
    start = ForecastModel.from_backbone(tiny_backbone(), HORIZON, head).requires_grad_(False)
    return train_adapters(start, data, config, Run(folder))[1]


def losses(tuned: TrainedAdapters) -> list[float]:
    return [entry[name] for entry in tuned.history for name in ("loss", "eval_loss") if name in entry]


@pytest.mark.parametrize("head", [HeadConfig("flatten"), HeadConfig("projection", beta=2, tokens="all"), None])
def test_losses_are_those_without_a_cache(data: TrainingData, tmp_path: Path, head: HeadConfig | None) -> None:
    remembered = tune(data, tmp_path / "with", head, method=LATE)
    computed = tune(data, tmp_path / "without", head, method=LATE, cache_bytes=NOTHING_KEPT)
    assert losses(remembered) == pytest.approx(losses(computed), rel=1e-5)
    # the first block ran once for each window that came by, and for no other; without room it ran every time
    seen = len(data.validation) + len(data.train)
    assert remembered.prefix_blocks["computed"] <= seen
    assert computed.prefix_blocks["reused"] == 0
    assert sum(remembered.prefix_blocks.values()) == computed.prefix_blocks["computed"]


def test_trace_remembers_once_its_lower_modules_are_closed(data: TrainingData, tmp_path: Path) -> None:
    selection = SelectionConfig(
        keep=1, warmup_steps=1, final_step=4, interval=1, scoring_batches=1, batch_size=16, score="random"
    )
    reused = []
    for seed in range(6):
        options = {"method": Trace(replace(selection, seed=seed))}
        remembered = tune(data, tmp_path / f"with{seed}", **options)
        computed = tune(data, tmp_path / f"without{seed}", **options, cache_bytes=NOTHING_KEPT)
        assert losses(remembered) == pytest.approx(losses(computed), rel=1e-4)
        kept = remembered.report.content["selection"]["kept"]
        reused.append((kept[0].split(".")[3], remembered.prefix_blocks.get("reused", 0)))
        if {block for block, _ in reused} == {"0", "1"}:
            break
    assert {block for block, _ in reused} == {"0", "1"}
    assert all(count > 0 for block, count in reused if block == "1")


@pytest.mark.parametrize(
    ("method", "first"),
    [
        (Lora(), 4),
        (Trace(SelectionConfig(final_step=8, cost_share=1.0)), 8),
        (AdaLora(AdaLoraOptions(tinit=1, tfinal=4)), 12),  # ranks fall until step 8
    ],
)
def test_models_that_cannot_win_are_not_evaluated(
    data: TrainingData, tmp_path: Path, method: Method, first: int
) -> None:
    history = tune(data, tmp_path, method=method).history
    assert min(entry["step"] for entry in history if "eval_loss" in entry) == first


@pytest.mark.parametrize("method", ["lora", "full"])
def test_where_every_block_trains_the_log_says_so(
    data: TrainingData, tmp_path: Path, method: str, caplog: pytest.LogCaptureFixture
) -> None:
    with caplog.at_level(logging.INFO, "tracetune"):
        assert tune(data, tmp_path, method=method).prefix_blocks == {}
    assert "not cached: the first block trains" in caplog.text


@pytest.mark.parametrize(
    ("horizon", "head", "training", "reason"),
    [
        (60, None, TRAINING, "several passes"),
        (HORIZON, HeadConfig("flatten"), replace(TRAINING, compile=True), "compiled as a whole"),
    ],
)
def test_what_cannot_be_remembered_is_known_beforehand(
    horizon: int, head: HeadConfig | None, training: TrainingConfig, reason: str
) -> None:
    model = ForecastModel.from_backbone(tiny_backbone(), horizon, head).requires_grad_(False)
    assert reason in (_obstacle(model, FitConfig(method="trace", training=training)) or "")


def test_a_training_that_fails_gives_back_the_limits_of_compilation(data: TrainingData, tmp_path: Path) -> None:
    selection = SelectionConfig(keep=1, warmup_steps=1, final_step=4, interval=1, scoring_batches=1, score="random")
    before, seen = limits.recompile_limit, []

    class Stop(TrainerCallback):
        def on_step_begin(self, args: Any, state: Any, control: Any, **kwargs: Any) -> None:
            if state.global_step == 3:
                seen.append(limits.recompile_limit)
                raise KeyboardInterrupt

    start = ForecastModel.from_backbone(tiny_backbone(), HORIZON, FLATTEN).requires_grad_(False)
    config = FitConfig(training=TRAINING, method=Trace(selection))
    with pytest.raises(KeyboardInterrupt) as stopped:
        train_adapters(start, data, config, Run(tmp_path, callbacks=(Stop(),)))
    assert stopped.traceback  # which holds the run
    assert seen[0] > before
    assert limits.recompile_limit == before
