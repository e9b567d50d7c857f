"""Data of all tasks, and a fit of a few steps."""

import numpy as np
import pandas as pd

from tests.tiny_text import reviews
from tracetune import FitConfig, TrainingConfig

STEPS = np.arange(240)
WAVE = np.sin(STEPS / 4)
TABLE = pd.DataFrame({"day": pd.date_range("2024-01-01", periods=240), "a": WAVE, "b": np.cos(STEPS / 4) + WAVE})
SERIES = [np.sin(np.arange(64) / (2 + 2 * (number % 2)) + number)[None] for number in range(12)]
NAMES = ["slow" if number % 2 else "fast" for number in range(12)]
TEXTS, LABELS = reviews(24)
_TRAINING = TrainingConfig(max_steps=6, batch_size=8, evaluations=1, learning_rate=1e-2)


def settings(method: str) -> FitConfig:
    """Return a fit of a few steps."""
    return FitConfig(method=method, head_training=_TRAINING, training=_TRAINING, guard_margin=0.0, shrink="none")
