"""TRACE and AdaLoRA inside the Forecaster: what comes out is what the record says, also after an interruption."""

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
import torch
from peft import PeftModel
from safetensors.torch import load_file
from torch import Tensor
from transformers import TrainerCallback

from tests.tiny import HORIZON, seasonal_frame
from tracetune import AdaLora, FitConfig, Forecaster, ForecastModel, HeadConfig, InputError, Trace, TrainingConfig
from tracetune.adapters.adalora import AdaLoraOptions
from tracetune.data.batch_source import spread_sample
from tracetune.data.reading.read import panel_from_frame
from tracetune.data.splits import fit_split
from tracetune.fitting.fit import tune
from tracetune.fitting.methods import METHODS, Method
from tracetune.selection.budgets.step_time_profile import StepTimeProfile
from tracetune.selection.config import SelectionConfig
from tracetune.selection.layers import lora_modules
from tracetune.tasks.forecasting.data import forecast_data
from tracetune.tasks.forecasting.model import Forecasting
from tracetune.tasks.task import TrainingData
from tracetune.training.measure import validation_loss
from tracetune.training.run import Run

STEPS = 24
SELECTION = SelectionConfig(
    keep=5, warmup_steps=2, final_step=14, interval=3, cost_share=1.0, scoring_batches=2, batch_size=16
)


def quick(method: Method | str = "trace", **options: Any) -> FitConfig:
    training = TrainingConfig(max_steps=STEPS, batch_size=16, evaluations=8, learning_rate=5e-3)
    head_training = replace(training, evaluations=3)
    head = {"head": HeadConfig("projection", beta=2), "head_start": "gradient"}
    defaults = {**head, "training": training}
    chosen = Trace(SELECTION) if method == "trace" else method
    return FitConfig(**{"method": chosen, "head_training": head_training, **defaults, **options})


@pytest.fixture(scope="module")
def traced(base: Forecaster) -> Forecaster:
    return base.fit(seasonal_frame(), config=quick())


def windows(forecaster: Forecaster, frame: pd.DataFrame) -> TrainingData:
    """The windows that ``Forecaster.fit`` makes of a frame."""
    panel = panel_from_frame(frame)
    return forecast_data(panel, fit_split(panel, HORIZON), forecaster.context_length, HORIZON, 1, 16, 8192)


def trained_weights(forecaster: Forecaster) -> dict[str, Tensor]:
    return {
        name: weight.detach().clone() for name, weight in forecaster.model.named_parameters() if weight.requires_grad
    }


class Crash(Exception):
    pass


class CrashAt(TrainerCallback):
    """Ends a run as a kill would, after a step of the phase that trains adapters."""

    def __init__(self, step: int) -> None:
        self.step = step

    def on_step_end(self, args: Any, state: Any, control: Any, model: Any = None, **kwargs: Any) -> None:
        if isinstance(model, PeftModel) and state.global_step == self.step:
            raise Crash


def test_trace_is_the_default() -> None:
    assert FitConfig().method == Trace()
    assert set(METHODS) == {"trace", "lora", "adalora", "dora", "linear_probe", "full"}


def test_the_model_has_the_modules_and_losses_of_its_record(traced: Forecaster) -> None:
    selection = traced.trace["selection"]
    losses = {candidate["name"]: candidate["validation_loss"] for candidate in traced.trace["candidates"]}
    assert list(losses) == ["zero-shot", "head", "trace"]
    assert traced.trace["winner"] == "trace"
    assert len(selection["kept"]) == 5
    assert list(lora_modules(traced.model)) == selection["kept"] == selection["rounds"][-1]["open"]
    validation = windows(traced, seasonal_frame()).validation
    assert validation_loss(traced.model, validation) == losses["trace"]


def test_the_record_counts_parameters_and_time_apart(traced: Forecaster) -> None:
    parameters, selection = traced.trace["parameters"], traced.trace["selection"]
    adapters = sum(weight.numel() for name, weight in trained_weights(traced).items() if "lora_" in name)
    assert parameters["adapters"] == selection["kept_parameters"] == adapters
    assert parameters["adapters_before_selection"] == sum(selection["parameters"].values()) > adapters
    assert parameters["head"] == sum(w.numel() for name, w in trained_weights(traced).items() if "lora_" not in name)
    assert [record["step"] for record in selection["rounds"]] == [2, 5, 8, 11, 14]
    assert selection["forward_equivalents"] == 5 + 5 * 2 * 3  # one check of the rows, then two batches a round
    assert set(traced.trace["seconds"]) == {"head", "trace", "selection"}
    assert traced.trace["seconds"]["selection"] == pytest.approx(selection["scoring_seconds"], abs=1e-3)


def test_a_budget_in_time_is_kept_by_the_measured_profile(base: Forecaster) -> None:
    selection = base.fit(
        seasonal_frame(), config=quick(method=Trace(replace(SELECTION, keep=0.8, budget_unit="time")))
    ).trace["selection"]
    profile = StepTimeProfile.from_json(selection["step_time_profile"])
    assert set(profile.cost) == set(selection["parameters"])
    for record in selection["rounds"]:
        limit = max(record["budget"] / 1000 * profile.full, profile.least)
        assert profile.seconds(record["open"]) <= limit * (1 + 1e-9)


def test_the_saved_folder_is_plain_peft_with_the_kept_modules_only(
    traced: Forecaster, base_folder: str, tmp_path: Path
) -> None:
    traced.save_pretrained(tmp_path / "run")
    trace = json.loads((tmp_path / "run" / "trace.json").read_text())
    config = json.loads((tmp_path / "run" / "adapter_config.json").read_text())
    assert sorted(config["target_modules"]) == sorted(trace["selection"]["kept"])
    assert config["modules_to_save"] == ["head"]
    fresh = ForecastModel.from_pretrained(base_folder, HORIZON, HeadConfig(**trace["head"]))
    plain = PeftModel.from_pretrained(fresh, str(tmp_path / "run")).eval()
    assert set(lora_modules(plain)) == set(trace["selection"]["kept"])
    series = torch.randn(4, 1, 64)
    with torch.no_grad():
        assert (plain(series).forecast - traced.model(series).forecast).abs().max().item() == 0.0


def test_the_best_checkpoint_is_sought_after_the_final_step(base: Forecaster) -> None:
    """Models from before t_f cannot win, so that their validation losses are not computed."""
    selection = replace(SELECTION, keep=1, warmup_steps=16, final_step=18, interval=1)
    tuned = base.fit(seasonal_frame(), config=replace(quick(Trace(selection)), shrink="none"))
    evaluated = {entry["step"]: entry["eval_loss"] for entry in tuned.history["trace"] if "eval_loss" in entry}
    assert list(evaluated) == [18, 21, 24]
    candidate = tuned.trace["candidates"][-1]
    assert candidate["validation_loss"] == pytest.approx(min(evaluated.values()), rel=1e-5)
    assert len(lora_modules(tuned.model)) == 1


@pytest.mark.parametrize(
    ("options", "step"),
    [({}, 1), ({}, 10), ({"method": Trace(replace(SELECTION, keep="auto"))}, 10), ({"method": "adalora"}, 10)],
)
def test_a_run_killed_in_the_middle_ends_where_a_whole_one_does(
    base: Forecaster, tmp_path: Path, options: dict[str, Any], step: int
) -> None:
    frame = seasonal_frame(items=1)
    whole = base.fit(frame, config=quick(**options))
    config = quick(**options, checkpoints=str(tmp_path / "checkpoints"))
    with pytest.raises(Crash):
        base.fit(frame, config=config, callbacks=[CrashAt(step)])
    resumed = base.fit(frame, config=config)
    one, other = trained_weights(whole), trained_weights(resumed)
    assert one.keys() == other.keys()
    assert all(torch.equal(one[name], other[name]) for name in one)
    assert resumed.trace["candidates"] == whole.trace["candidates"]
    if whole.trace["selection"] is not None:
        for key in ("rounds", "kept", "best_step"):
            assert resumed.trace["selection"][key] == whole.trace["selection"][key]


def test_where_adapters_only_harm_the_head_with_all_gates_closed_comes_out(base: Forecaster, tmp_path: Path) -> None:
    ruinous = TrainingConfig(max_steps=6, learning_rate=30.0, head_learning_rate=30.0, max_grad_norm=1e6)
    tuned = base.fit(seasonal_frame(items=1), config=quick(Trace(SelectionConfig(keep=2)), training=ruinous))
    losses = {candidate["name"]: candidate["validation_loss"] for candidate in tuned.trace["candidates"]}
    assert tuned.trace["winner"] == "head"
    assert losses["head"] == min(losses.values())
    assert tuned.trace["parameters"]["adapters"] == 0
    assert len(tuned.trace["selection"]["kept"]) == 2  # what TRACE found is on record all the same
    tuned.save_pretrained(tmp_path / "run")
    card = (tmp_path / "run" / "README.md").read_text()
    assert "chosen on validation: **head**" in card


def test_method_is_a_shortcut_for_the_configuration_s(base: Forecaster) -> None:
    frame = seasonal_frame(items=1)
    tuned = base.fit(frame, config=quick("trace"), method="linear_probe")
    assert tuned.trace["method"] == tuned.trace["config"]["method"]["name"] == "linear_probe"
    assert tuned.trace["selection"] is None
    with pytest.raises(InputError, match="Did you mean 'trace'"):
        base.fit(frame, method="trase")


def test_adalora_saves_its_ranks_and_plain_peft_loads_them(base: Forecaster, base_folder: str, tmp_path: Path) -> None:
    options = AdaLoraOptions(init_r=4, target_r=1, tfinal=10)
    tuned = base.fit(seasonal_frame(), config=quick(AdaLora(options)))
    assert tuned.trace["winner"] == "adalora"
    tuned.save_pretrained(tmp_path / "run")
    config = json.loads((tmp_path / "run" / "adapter_config.json").read_text())
    assert sum(sum(kept) for kept in config["rank_pattern"].values()) == 14 * 1
    saved = load_file(tmp_path / "run" / "adapter_model.safetensors")
    assert sum(len(tensor) for name, tensor in saved.items() if "lora_A" in name) == 14 * 1
    fresh = ForecastModel.from_pretrained(base_folder, HORIZON, HeadConfig("projection", beta=2))
    plain = PeftModel.from_pretrained(fresh, str(tmp_path / "run")).eval()
    series = torch.randn(4, 1, 64)
    with torch.no_grad():
        assert (plain(series).forecast - tuned.model(series).forecast).abs().max().item() == 0.0
    frame = seasonal_frame()
    merged = tuned.merge().predict_df(frame)["predictions"]
    assert merged.to_numpy() == pytest.approx(tuned.predict_df(frame)["predictions"].to_numpy(), rel=1e-4)


def test_tune_gives_the_trained_model_whoever_is_better(base: Forecaster) -> None:
    data = windows(base, seasonal_frame(items=1))
    task, backbone = Forecasting(HORIZON, base.context_length), base.forecast_model.backbone
    with Run.at(None) as run:
        model = tune(task, backbone, data, quick("lora"), run)
    assert len(lora_modules(model)) == 14
    assert any(weight.abs().max() > 0 for name, weight in model.named_parameters() if "lora_B" in name)
    with pytest.raises(InputError, match="trains more than the head, found 'linear_probe'"):
        tune(task, backbone, data, quick("linear_probe"), run)


def test_scored_windows_are_spread_over_the_validation_part(base: Forecaster) -> None:
    validation = windows(base, seasonal_frame()).validation
    chosen = spread_sample(validation, 10)
    size = len(validation)
    assert all(
        part * size // 10 <= index < (part + 1) * size // 10 for part, index in enumerate(sorted(chosen.indices))
    )
    assert len(chosen) == 10
    assert chosen.__getitems__([0, 9])["past_values"].shape == (2, 1, 64)
    assert spread_sample(validation, size) is validation


@pytest.mark.parametrize(
    ("config", "message"),
    [
        (quick(method=Trace(replace(SELECTION, keep=15))), "keep between 1 and 14 modules"),
        (quick(method=Trace(replace(SELECTION, final_step=STEPS + 1))), f"<= {STEPS} training steps"),
        (quick(AdaLora(AdaLoraOptions(tfinal=STEPS))), "before the last tfinal"),
    ],
)
def test_what_does_not_fit_is_refused_before_anything_trains(
    base: Forecaster, config: FitConfig, message: str, tmp_path: Path
) -> None:
    with pytest.raises(InputError, match=message):
        base.fit(seasonal_frame(), config=replace(config, checkpoints=str(tmp_path / "checkpoints")))
    assert not (tmp_path / "checkpoints").exists()


def test_a_zero_shot_start_has_no_head(base: Forecaster, base_folder: str, tmp_path: Path) -> None:
    tuned = base.fit(seasonal_frame(items=1), config=quick("lora", start="zero-shot"))
    assert tuned.trace is not None
    zero_shot, lora = (candidate["validation_loss"] for candidate in tuned.trace["candidates"])
    assert [candidate["name"] for candidate in tuned.trace["candidates"]] == ["zero-shot", "lora"]
    assert lora < zero_shot
    assert tuned.trace["head"] is None
    assert tuned.trace["parameters"]["head"] == 0 < tuned.trace["parameters"]["adapters"]
    tuned.save_pretrained(tmp_path / "run")
    frame = seasonal_frame(items=1)
    loaded = Forecaster.from_pretrained(tmp_path / "run", device="cpu").predict_df(frame)
    assert (loaded["predictions"] == tuned.predict_df(frame)["predictions"]).all()
    plain = PeftModel.from_pretrained(ForecastModel.from_pretrained(base_folder, HORIZON), str(tmp_path / "run")).eval()
    series = torch.randn(4, 1, 64)
    with torch.no_grad():
        assert (plain(series).forecast - tuned.model(series).forecast).abs().max().item() == 0.0


def test_a_run_that_ends_early_goes_on_in_its_direction_and_says_so(
    base: Forecaster, caplog: pytest.LogCaptureFixture
) -> None:
    config = quick("lora", start="zero-shot")
    short = replace(config.training, max_steps=2, evaluations=1, learning_rate=1e-4)
    trace = base.fit(seasonal_frame(), config=replace(config, training=short)).trace
    (lora,) = (candidate for candidate in trace["candidates"] if candidate["name"] == "lora")
    assert trace["validation"]["ended_early"] == ["lora"]
    assert lora["factor"] == pytest.approx(2 / 3 * 4)
    losses = trace["validation"]["factors"]["lora"]
    assert losses["4.0"] < losses["1.0"] < losses["0.0"]
    assert "training ended early" in caplog.text


def test_a_start_without_anything_to_train_is_refused() -> None:
    with pytest.raises(InputError, match="nothing to train"):
        quick("linear_probe", start="zero-shot")
    with pytest.raises(InputError, match="Unknown start 'zero-shto'"):
        quick(start="zero-shto")


def test_room_below_none_is_refused() -> None:
    with pytest.raises(InputError, match="cache_bytes of at least 0, found -1"):
        quick(cache_bytes=-1)
