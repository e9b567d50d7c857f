"""Settings of a fit that a task does not read are refused, not recorded."""

from pathlib import Path

import numpy as np
import pytest

from tests.estimators.imputation.series import wide
from tracetune import AnomalyDetector, Classifier, FitConfig, Imputer, InputError, module_importance
from tracetune.fitting.config import refuse_unread


def test_settings_at_their_defaults_are_no_choice() -> None:
    refuse_unread(FitConfig(), "texts", "train_stride", "validation")
    refuse_unread(FitConfig(train_stride=4), "texts", "validation")
    with pytest.raises(InputError, match=r"^train_stride=4 changes nothing for texts\. Leave it out\.$"):
        refuse_unread(FitConfig(train_stride=4), "texts", "validation", "train_stride")


def test_a_folder_for_checkpoints_may_be_a_path() -> None:
    assert FitConfig(checkpoints=Path("runs") / "one") == FitConfig(checkpoints=str(Path("runs/one")))


def test_every_task_refuses_what_it_does_not_read(base_folder: str) -> None:
    wave = np.sin(np.arange(900) / 6)
    series, labels = np.random.default_rng(0).normal(size=(8, 1, 64)), ["a", "b"] * 4
    fits = [
        (FitConfig("lora", train_stride=4), lambda config: Imputer.from_pretrained(base_folder).fit(wide(200), config)),
        (
            FitConfig("lora", validation="last"),
            lambda config: AnomalyDetector.from_pretrained(base_folder).fit(wave, config),
        ),
        (
            FitConfig("lora", validation_windows=8),
            lambda config: Classifier.from_pretrained(base_folder).fit(series, labels, config),
        ),
        (
            FitConfig("lora", validation="last"),
            lambda config: module_importance(Classifier.from_pretrained(base_folder), series, labels, config),
        ),
    ]
    for config, fit in fits:
        with pytest.raises(InputError, match=r"(train_stride|validation|validation_windows)=.* changes nothing for"):
            fit(config)
