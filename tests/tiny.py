"""A tiny real model and tiny real data, for tests of everything above the backbone."""

from pathlib import Path

import numpy as np
import pandas as pd
import torch

from tracetune.backbones.moment import Moment, MomentConfig
from tracetune.heads.config import HeadConfig
from tracetune.tasks.forecasting.model import ForecastModel

CONTEXT, PATCH, WIDTH, HORIZON = 64, 8, 16, 12


def tiny_backbone(seed: int = 0, dropout: float = 0.0) -> Moment:
    torch.manual_seed(seed)
    t5_config = {
        "d_model": WIDTH,
        "d_kv": 8,
        "d_ff": 32,
        "num_layers": 2,
        "num_heads": 2,
        "feed_forward_proj": "gated-gelu",
        "dropout_rate": dropout,
    }
    config = MomentConfig(t5_config=t5_config, seq_len=CONTEXT, patch_len=PATCH, partial_patches="fill")
    return Moment(config).eval()


def tiny_forecast_model(head: HeadConfig | None = None, seed: int = 0) -> ForecastModel:
    backbone = tiny_backbone(seed)
    torch.manual_seed(seed + 1)
    return ForecastModel.from_backbone(backbone, HORIZON, head or HeadConfig("projection", beta=2)).eval()


def save_tiny(folder: Path, seed: int = 0) -> str:
    tiny_backbone(seed).save_pretrained(folder)
    return str(folder)


def seasonal_frame(items: int = 2, length: int = 240, seed: int = 0) -> pd.DataFrame:
    """Hourly series with a daily season, a trend and noise; the magnitudes differ a thousandfold."""
    rng = np.random.default_rng(seed)
    steps = np.arange(length)
    frames = []
    for item in range(items):
        values = np.sin(2 * np.pi * (steps + 5 * item) / 24) + 0.005 * steps + 0.1 * rng.normal(size=length)
        frames.append(
            pd.DataFrame(
                {
                    "item_id": f"item{item}",
                    "timestamp": pd.date_range("2024-01-01", periods=length, freq="h"),
                    "target": 1000.0**item * values,
                }
            )
        )
    return pd.concat(frames, ignore_index=True)
