"""Random windows, and a short training on them."""

import torch

from tests.tiny import HORIZON
from tracetune.training.config import TrainingConfig
from tracetune.training.feature_cache import CachedBatches

CONFIG = TrainingConfig(max_steps=12, batch_size=8, evaluations=4, learning_rate=3e-3, early_stopping_patience=9)


def windows(count: int = 40, seed: int = 0) -> CachedBatches:
    generator = torch.Generator().manual_seed(seed)
    series = torch.randn(count, 1, 64 + HORIZON, generator=generator).cumsum(-1)
    past, future = series[..., :64], series[..., 64:]
    return CachedBatches(
        {
            "past_values": past,
            "input_mask": torch.ones_like(past),
            "future_values": future,
            "future_mask": torch.ones_like(future),
        }
    )
