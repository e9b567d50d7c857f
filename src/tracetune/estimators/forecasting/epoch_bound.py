"""Epochs of long series: a bounded number of windows counts as one, since windows a step apart are nearly the same."""

import logging
from dataclasses import replace

from tracetune.base.errors import Remark, argument
from tracetune.fitting.config import FitConfig
from tracetune.fitting.names import ZERO_SHOT
from tracetune.training.config import ALL, AUTO, TrainingConfig

logger = logging.getLogger(__name__)

EPOCH_WINDOWS = 20_000  # docs/results/long_series.md


def with_bounded_epochs(config: FitConfig, windows: int) -> FitConfig:
    """Return a configuration in which ``epoch_windows`` is no longer "auto": a number, or "all" where that is no more.

    Args:
        config: how head and method train.
        windows: that can train.
    """
    return replace(
        config, head_training=_bounded(config.head_training, windows), training=_bounded(config.training, windows)
    )


def say_bound(asked: FitConfig, bounded: FitConfig, windows: int) -> None:
    """Say in the log where epochs have fewer windows than there are without being asked for."""
    phases = [] if asked.start == ZERO_SHOT else [(asked.head_training, bounded.head_training)]
    if asked.method.adapts_backbone:
        phases.append((asked.training, bounded.training))
    if any(before.epoch_windows == AUTO and after.epoch_windows != ALL for before, after in phases):
        logger.warning(
            Remark(
                f"An epoch is {EPOCH_WINDOWS:,} of the {windows:,} windows that can train, drawn anew each time; "
                f"{argument('epoch_windows', ALL)} takes all of them."
            )
        )


def _bounded(training: TrainingConfig, windows: int) -> TrainingConfig:
    if training.epoch_windows != AUTO:
        return training
    fewer = training.max_steps <= 0 and windows > EPOCH_WINDOWS
    return replace(training, epoch_windows=EPOCH_WINDOWS if fewer else ALL)
