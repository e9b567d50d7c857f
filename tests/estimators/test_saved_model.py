"""Saved folders: what was tuned, merged, trained in full or tuned again comes back; what was touched is found out."""

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import torch
from peft import LoraConfig, PeftModel

from tests.tiny import HORIZON, save_tiny, seasonal_frame, tiny_forecast_model
from tracetune import FitConfig, Forecaster, HeadConfig, InputError, TrainingConfig
from tracetune.estimators.saved_model import is_saved_model, read_saved_model

FRAME = seasonal_frame(items=1)


def quick(method: str, **options: object) -> FitConfig:
    training = TrainingConfig(num_train_epochs=1, max_steps=4, batch_size=32, evaluations=1, learning_rate=5e-3)
    head = HeadConfig("projection", beta=2)
    return FitConfig(method=method, head=head, head_training=training, training=training, **options)


@pytest.fixture(scope="module")
def tuned(base: Forecaster) -> Forecaster:
    """LoRA with weights far from where they started, so that merging and saving have something to keep."""
    tuned = base.fit(FRAME, config=quick("lora", start="zero-shot"))
    assert tuned.trace["winner"] == "lora"
    return tuned


@pytest.fixture(scope="module")
def saved(tuned: Forecaster, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("saved") / "run"
    tuned.save_pretrained(folder)
    return folder


def forecast(model: Forecaster) -> np.ndarray:
    return model.predict_df(FRAME)["predictions"].to_numpy()


def came_back(model: Forecaster, folder: Path) -> Forecaster:
    """The model as loaded from where it was saved; its forecasts are those before.

    Whole weights are equal to the bit; where they lie elsewhere in memory, their products may round otherwise.
    """
    model.save_pretrained(folder)
    loaded = Forecaster.from_pretrained(folder, device="cpu")
    levels = None if model.intervals is None else [0.1, 0.9]
    found, expected = loaded.predict_df(FRAME, levels), model.predict_df(FRAME, levels)
    if isinstance(model.model, PeftModel):
        pd.testing.assert_frame_equal(found, expected, check_exact=True)
    else:
        torch.testing.assert_close(loaded.model.state_dict(), model.model.state_dict(), rtol=0, atol=0)
        pd.testing.assert_frame_equal(found, expected, rtol=1e-6, atol=1e-6)
    return loaded


def files(folder: Path) -> set[str]:
    return {path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_file()}


def test_a_merged_model_is_saved_whole(tuned: Forecaster, tmp_path: Path) -> None:
    merged = tuned.merge()
    np.testing.assert_allclose(forecast(merged), forecast(tuned), atol=1e-4)
    loaded = came_back(merged, tmp_path / "merged")
    assert files(tmp_path / "merged") == {
        "README.md",
        "backbone/config.json",
        "backbone/model.safetensors",
        "trace.json",
    }
    assert loaded.trace["merged"] is True
    assert loaded.merge() is loaded


def test_a_merged_model_is_tuned_on_from_where_it_is(tuned: Forecaster, tmp_path: Path) -> None:
    """Its own forecast is where the second fit starts, and the folder holds the base that no name gives."""
    merged = came_back(tuned.merge(), tmp_path / "merged")
    again = merged.fit(FRAME, config=quick("lora"))
    losses = {one["name"]: one["validation_loss"] for one in again.trace["candidates"]}
    first = {one["name"]: one["validation_loss"] for one in tuned.trace["candidates"]}
    assert losses["zero-shot"] == pytest.approx(first["lora"], rel=1e-3)
    loaded = came_back(again, tmp_path / "again")
    assert {"backbone/config.json", "backbone/model.safetensors"} < files(tmp_path / "again")
    shutil.rmtree(tmp_path / "merged")
    came_back(loaded.merge(), tmp_path / "again and merged")


def test_a_model_trained_in_full_is_saved_and_tuned_on(base: Forecaster, tmp_path: Path) -> None:
    full = came_back(base.fit(FRAME, config=quick("full", start="zero-shot")), tmp_path / "full")
    assert full.trace["winner"] == "full"
    came_back(full.fit(FRAME, config=quick("full", start="zero-shot")), tmp_path / "twice")
    probe = came_back(full.fit(FRAME, config=quick("linear_probe")), tmp_path / "probe")
    assert probe.trace["base_model"]["weights_sha256"] is None
    as_base = Forecaster.from_pretrained(tmp_path / "full" / "backbone", HORIZON, device="cpu")
    assert np.isfinite(forecast(as_base)).all()


def test_the_head_that_is_recorded_is_the_one_that_is_used(base: Forecaster, tmp_path: Path) -> None:
    """A second fit with another head, which the first one beats: the first head goes on."""
    first = base.fit(FRAME, config=quick("linear_probe")).merge()
    other = FitConfig(
        method="lora",
        start="zero-shot",
        head=HeadConfig("flatten"),
        training=TrainingConfig(max_steps=1, learning_rate=30.0, max_grad_norm=1e6),
    )
    second = first.fit(FRAME, config=other)
    assert second.trace["winner"] == "zero-shot"
    assert second.trace["head"] == first.trace["head"]
    came_back(second, tmp_path / "second")


def test_a_second_adapter_set_that_is_active_is_saved(saved: Path, tmp_path: Path) -> None:
    model = Forecaster.from_pretrained(saved, device="cpu")
    before = forecast(model)
    layer = "backbone.encoder.block.0.layer.0.SelfAttention.q"
    model.model.add_adapter("other", LoraConfig(r=1, lora_alpha=30, target_modules=[layer]))
    model.model.set_adapter("other")
    for name, parameter in model.model.named_parameters():
        if "other" in name:
            torch.nn.init.normal_(parameter, std=0.5)
    assert np.abs(forecast(model) - before).max() > 1e-3
    came_back(model, tmp_path / "other")


def test_an_adapter_set_without_the_head_it_runs_with_is_refused(tmp_path: Path) -> None:
    from tracetune.adapters.lora import LoraOptions, add_lora
    from tracetune.estimators.saved_model import save_model

    model = add_lora(tiny_forecast_model(), LoraOptions())
    model.add_adapter("headless", LoraConfig(target_modules=["backbone.encoder.block.0.layer.0.SelfAttention.q"]))
    model.set_adapter("headless")
    with pytest.raises(InputError, match=r"Expected the head in adapter set 'headless'.*modules_to_save=\['head'\]"):
        save_model(tmp_path / "run", model, {"base_model": {"name": "x", "weights_sha256": "y"}}, "")
    assert list(tmp_path.iterdir()) == []


def test_a_tuned_model_is_not_tuned_on_unmerged(tuned: Forecaster) -> None:
    with pytest.raises(InputError, match="is fine-tuned already") as raised:
        tuned.fit(FRAME)
    assert "forecaster.merge().fit(...)" in str(raised.value)
    assert f"Forecaster.from_pretrained(...) with {tuned.base_name!r}" in str(raised.value)
    assert "--model with" in raised.value.for_command_line()


def test_losses_that_are_not_finite_do_not_stop_a_model_from_being_saved(tuned: Forecaster, tmp_path: Path) -> None:
    candidates = [*tuned.trace["candidates"], {**tuned.trace["candidates"][-1], "validation_loss": float("inf")}]
    broken = Forecaster(tuned.model, tuned.base_name, trace={**tuned.trace, "candidates": candidates}, device="cpu")
    loaded = came_back(broken, tmp_path / "run")
    assert loaded.trace["candidates"][-1]["validation_loss"] is None


def test_used_folders_are_refused_and_left_alone(tuned: Forecaster, tmp_path: Path) -> None:
    (tmp_path / "mine").touch()
    with pytest.raises(InputError, match="is not empty"):
        tuned.save_pretrained(tmp_path)
    assert [path.name for path in tmp_path.iterdir()] == ["mine"]


def test_the_base_is_found_from_elsewhere(base: Forecaster, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A base that was named by a relative path is recorded by its absolute one."""
    save_tiny(tmp_path / "base")
    monkeypatch.chdir(tmp_path)
    tuned = Forecaster.from_pretrained("base", HORIZON, device="cpu").fit(FRAME, config=quick("linear_probe"))
    tuned.save_pretrained("run")
    monkeypatch.chdir("/")
    np.testing.assert_array_equal(forecast(Forecaster.from_pretrained(tmp_path / "run", device="cpu")), forecast(tuned))


def test_another_task_or_format_is_refused(saved: Path, tmp_path: Path) -> None:
    assert is_saved_model(saved)
    with pytest.raises(InputError, match=r"Expected a model for classification .*, found one for 'forecasting'"):
        read_saved_model(saved, "classification", lambda record, where: None)
    folder = touched(saved, tmp_path, "trace.json", lambda record: record.update(format=3))
    with pytest.raises(InputError, match=r"newer tracetune \(format 3; this one reads 2\). Upgrade"):
        read_saved_model(folder, "forecasting", lambda record, where: None)


def test_a_base_is_named_for_tuned_models_only(base: Forecaster, tuned: Forecaster, tmp_path: Path) -> None:
    with pytest.raises(InputError, match="is no fine-tuned model"):
        Forecaster.from_pretrained(base.base_name, HORIZON, base="tracetune/tiny")
    tuned.merge().save_pretrained(tmp_path / "merged")
    with pytest.raises(InputError, match="holds its own backbone: leave out base"):
        Forecaster.from_pretrained(tmp_path / "merged", base=base.base_name)


def touched(saved: Path, place: Path, name: str, change: Callable[[Any], object]) -> Path:
    folder = place / "run"
    shutil.copytree(saved, folder)
    content = json.loads((folder / name).read_text())
    change(content)
    (folder / name).write_text(json.dumps(content))
    return folder


@pytest.mark.parametrize(
    "change",
    [
        lambda config: config["target_modules"].pop(),
        lambda config: config.update(lora_alpha=-config["lora_alpha"]),
        lambda config: config.update(use_rslora=1),
        lambda config: config.pop("bias"),
    ],
)
def test_every_change_of_the_adapter_s_configuration_is_found_out(
    saved: Path, tmp_path: Path, change: Callable[[dict], object]
) -> None:
    folder = touched(saved, tmp_path, "adapter_config.json", change)
    with pytest.raises(InputError, match=r"adapter_config.json is not the file that was saved .* SHA-256 differs"):
        Forecaster.from_pretrained(folder)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda record: record.pop("head"), "trace.json has no head"),
        (lambda record: record.pop("base_model"), "trace.json has no base_model"),
        (
            lambda record: record.update(weights="full"),
            "Expected weights in .* to be 'adapter' or 'whole', found 'full'",
        ),
        (lambda record: record.update(prediction_length="12"), "Expected prediction_length in .* a whole number"),
        (lambda record: record.update(prediction_length=13), "Expected intervals for 13 steps in .* found 12"),
        (
            lambda record: record["intervals"]["values"][0].reverse(),
            "intervals in .*trace.json cannot be used: .* ascend",
        ),
        (
            lambda record: record["base_model"].update(name="gone"),
            r"say where it is now with base\. Unknown model 'gone'",
        ),
        (lambda record: record.update(winner="zero-shot"), "SHA-256 differs"),
        (lambda record: record["base_model"].update(weights_sha256="0" * 64), "SHA-256 differs"),
    ],
)
def test_every_change_of_the_record_is_found_out(
    saved: Path, tmp_path: Path, change: Callable[[dict], object], message: str
) -> None:
    with pytest.raises(InputError, match=message):
        Forecaster.from_pretrained(touched(saved, tmp_path, "trace.json", change))


@pytest.mark.parametrize(
    ("name", "spoil", "message"),
    [
        ("adapter_model.safetensors", lambda path: path.write_bytes(path.read_bytes()[:-64]), "damaged or truncated"),
        ("adapter_model.safetensors", lambda path: path.unlink(), "adapter_model.safetensors; it does not exist"),
        ("adapter_config.json", lambda path: path.write_text("{"), "not a valid JSON file"),
        ("adapter_config.json", lambda path: path.unlink(), "adapter_config.json; it does not exist"),
        ("trace.json", lambda path: path.write_text("[]"), "Expected an object"),
        ("trace.json", lambda path: path.write_text("{}"), "trace.json has no format"),
    ],
)
def test_damaged_files_are_refused(
    saved: Path, tmp_path: Path, name: str, spoil: Callable[[Path], object], message: str
) -> None:
    folder = tmp_path / "run"
    shutil.copytree(saved, folder)
    spoil(folder / name)
    with pytest.raises(InputError, match=message):
        Forecaster.from_pretrained(folder)


def test_files_of_two_models_do_not_mix(saved: Path, base: Forecaster, tmp_path: Path) -> None:
    base.fit(seasonal_frame(items=1, seed=4), config=quick("lora", start="zero-shot")).save_pretrained(
        tmp_path / "other"
    )
    for name in ("adapter_model.safetensors", "trace.json"):
        folder = tmp_path / f"with the other {name}"
        shutil.copytree(saved, folder)
        shutil.copy(tmp_path / "other" / name, folder / name)
        with pytest.raises(InputError, match="SHA-256 differs"):
            Forecaster.from_pretrained(folder)
