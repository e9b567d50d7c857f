"""Epochs of long series are bounded where nothing was asked for, and only there."""

import logging
from typing import Any

import pytest

from tracetune import FitConfig, TrainingConfig
from tracetune.estimators.forecasting.epoch_bound import EPOCH_WINDOWS, say_bound, with_bounded_epochs


@pytest.mark.parametrize(
    ("training", "windows", "epoch_windows"),
    [
        ({}, EPOCH_WINDOWS, "all"),
        ({}, EPOCH_WINDOWS + 1, EPOCH_WINDOWS),
        ({"epoch_windows": "all"}, 10**6, "all"),
        ({"epoch_windows": 10**5}, 10**6, 10**5),
        ({"max_steps": 10}, 10**6, "all"),
    ],
)
def test_automatic_epochs_become_a_number_of_windows(
    training: dict[str, Any], windows: int, epoch_windows: int | str
) -> None:
    config = FitConfig(training=TrainingConfig(**training), head_training=TrainingConfig(**training))
    bounded = with_bounded_epochs(config, windows)
    assert bounded.training.epoch_windows == bounded.head_training.epoch_windows == epoch_windows
    assert with_bounded_epochs(bounded, windows) == bounded


@pytest.mark.parametrize(
    ("config", "said"),
    [
        (FitConfig(), True),
        (FitConfig(training=TrainingConfig(max_steps=10)), True),  # the head is bounded
        (FitConfig(training=TrainingConfig(max_steps=10), start="zero-shot"), False),
        (FitConfig(method="linear_probe", head_training=TrainingConfig(epoch_windows=500)), False),
    ],
)
def test_what_is_bounded_without_being_asked_for_is_said(
    config: FitConfig, said: bool, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.WARNING)
    say_bound(config, with_bounded_epochs(config, 10**6), 10**6)
    assert ("An epoch is 20,000 of the 1,000,000 windows" in caplog.text) is said
