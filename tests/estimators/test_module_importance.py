"""Importance of modules for every task: of saved models and of foundation models, by one function."""

from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from tests.tiny import HORIZON, save_tiny, seasonal_frame
from tracetune import (
    AnomalyDetector,
    Classifier,
    FitConfig,
    Forecaster,
    Imputer,
    InputError,
    Lora,
    Scoring,
    TrainingConfig,
    module_importance,
)
from tracetune.estimators.module_importance import trained_model
from tracetune.estimators.scored_modules import Estimator
from tracetune.selection.importance import score_modules

FEW: dict[str, Any] = {"batch_size": 8, "max_steps": 3}
LORA = FitConfig(method=Lora(), head_training=TrainingConfig(**FEW), training=TrainingConfig(**FEW, learning_rate=1e-2))
KEPT = FitConfig(
    method=Lora(),
    head_start="gradient",
    head_training=TrainingConfig(batch_size=8, max_steps=1, learning_rate=1e-6),
    training=TrainingConfig(batch_size=8, max_steps=8, learning_rate=1e-2),
    guard_margin=0.0,
    shrink="none",
)


def series_and_labels() -> tuple[np.ndarray, list[str]]:
    steps = np.arange(40)
    noise = np.random.default_rng(0).normal(size=(12, 2, 40))
    waves = np.stack([np.sin(steps / (2 if number % 2 else 5)) for number in range(12)])[:, None]
    return waves + 0.3 * noise, ["fast" if number % 2 else "slow" for number in range(12)]


def two_channels() -> pd.DataFrame:
    steps = np.arange(400)
    noise = np.random.default_rng(1).normal(size=(2, 400))
    values = np.sign(np.sin(steps / 9)) * (1 + 0.3 * np.sin(steps / 4)) + 0.05 * noise
    return pd.DataFrame({"time": pd.date_range("2024-01-01", periods=400, freq="h"), "a": values[0], "b": values[1]})


TASKS: dict[str, Any] = {
    "forecasting": (Forecaster, {"prediction_length": HORIZON}, lambda: (seasonal_frame(),)),
    "classification": (Classifier, {}, series_and_labels),
    "anomaly": (AnomalyDetector, {}, lambda: (two_channels(),)),
    "imputation": (Imputer, {}, lambda: (two_channels(),)),
}


@pytest.mark.parametrize("task", TASKS)
def test_modules_of_a_foundation_model_and_of_a_saved_one_are_scored(task: str, tmp_path: Path) -> None:
    kind, options, data = TASKS[task]
    base = kind.from_pretrained(save_tiny(tmp_path / "base"), **options, device="cpu")
    chosen = Scoring(("gated_dsic", "magnitude"), samples=6, batch_size=6)
    signed, magnitude = module_importance(base, *data(), config=LORA, scoring=chosen)
    assert (signed.method, magnitude.method) == ("gated_dsic", "magnitude")
    assert len(signed.names) == 14
    assert np.isfinite(signed.scores).all()
    assert (magnitude.scores > 0).any(), "LoRA was trained"

    tuned = base.fit(*data(), config=KEPT)
    if task == "imputation":  # a random backbone rebuilds nothing, so that no method wins
        with pytest.raises(InputError, match="did best on validation, out of the method 'lora'"):
            module_importance(tuned, *data(), scoring=chosen)
        tuned.model, tuned.trace["head"] = trained_model(base.scored_modules(*data(), config=LORA)), {"related": 1}
    tuned.save_pretrained(tmp_path / "tuned")
    saved: Estimator = kind.from_pretrained(tmp_path / "tuned", device="cpu")
    one, other = module_importance(saved, *data(), scoring=chosen)
    validation = saved.scored_modules(*data()).data.validation
    assert one.samples == min(6, len(validation))
    expected = score_modules(saved.model, [], method="magnitude") if saved.model is not None else None
    assert expected is not None
    np.testing.assert_array_equal(other.scores, expected.scores)
    assert one.names == expected.names


def test_labels_go_with_classes_only(tmp_path: Path) -> None:
    base = Imputer.from_pretrained(save_tiny(tmp_path / "base"), device="cpu")
    with pytest.raises(InputError, match="Imputer takes no labels"):
        module_importance(base, two_channels(), ["a"])


def test_a_detector_without_training_has_no_modules(tmp_path: Path) -> None:
    base = AnomalyDetector.from_pretrained(save_tiny(tmp_path / "base"), device="cpu")
    learned = base.fit(two_channels())
    with pytest.raises(InputError, match="found none: nothing was trained"):
        module_importance(learned, two_channels())


def test_a_saved_imputer_wants_its_channels(tmp_path: Path) -> None:
    base = Imputer.from_pretrained(save_tiny(tmp_path / "base"), device="cpu")
    tuned = base.fit(two_channels(), config=KEPT)
    with pytest.raises(InputError, match="Expected columns 'a', 'b'; found columns 'time', 'c', 'd'"):
        module_importance(tuned, two_channels().rename(columns={"a": "c", "b": "d"}))


def test_unknown_scores_are_refused() -> None:
    with pytest.raises(InputError, match="Unknown score 'dsic'"):
        Scoring(("dsic",))


def test_what_is_no_estimator_is_refused() -> None:
    with pytest.raises(InputError, match="Expected an estimator of tracetune, found str"):
        module_importance("tracetune/tiny", two_channels())  # type: ignore[arg-type]
