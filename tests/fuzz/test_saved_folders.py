"""Folders of forecasters, damaged in thousands of ways: an InputError that can be read, or the forecasts as they were.

Where a record is damaged, half of the cases set its digests right again, so that what lies behind them is tried too.
"""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from tests.fuzz.damage import attempt
from tests.tiny import HORIZON, save_tiny, tiny_backbone
from tracetune import Forecaster, HeadConfig, LoraOptions
from tracetune.adapters.lora import add_lora
from tracetune.estimators.intervals import LEVELS, ResidualQuantiles
from tracetune.tasks.forecasting.model import ForecastModel

SHORT, LONG = 120, 2400
SERIES = np.sin(np.arange(80) / 3)[None]


def record(model: ForecastModel, base: str, digest: str | None) -> dict[str, Any]:
    return {
        "method": "lora",
        "winner": "lora",
        "base_model": {"name": base, "weights_sha256": digest},
        "prediction_length": HORIZON,
        "context_length": model.context_length,
        "resolutions": [1],
        "season": 1,
        "trend": 0.0,
        "head": vars(model.head_config),
        "candidates": [{"name": "lora", "validation_loss": 0.5}],
        "validation": {"margin": 1.0},
        "parameters": {"head": 1, "adapters": 2},
        "seconds": {"lora": 0.5},
        "selection": None,
        "data": {"items": 1, "channels": ["target"], "freq": "h"},
        "config": {"method": {"name": "lora"}, "training": {"learning_rate": 5e-4}},
        "seed": 0,
        "versions": {"torch": "2"},
    }


@pytest.fixture(scope="module")
def templates(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """A foundation model, a model with adapters on it, one that carries its backbone, and a whole one."""
    from tracetune.backbones.loading import weights_digest

    root = tmp_path_factory.mktemp("templates")
    base = save_tiny(root / "base")
    values = np.sort(np.random.default_rng(0).normal(size=(HORIZON, len(LEVELS))), axis=1)
    intervals = ResidualQuantiles(np.array(LEVELS), values)
    for name, digest in (("adapter", weights_digest(tiny_backbone())), ("with_backbone", None), ("whole", None)):
        model = ForecastModel.from_backbone(tiny_backbone(), HORIZON, HeadConfig("projection", beta=2))
        trace = record(model, base, digest) | {"weights": "whole" if name == "whole" else "adapter"}
        adapted = model if name == "whole" else add_lora(model, LoraOptions())
        for parameter in adapted.parameters():
            if parameter.requires_grad:
                torch.nn.init.normal_(parameter, std=0.1)
        Forecaster(adapted, base, trace=trace, intervals=intervals, device="cpu").save_pretrained(root / name)
    return {name: root / name for name in ("base", "adapter", "with_backbone", "whole")}


def forecast(folder: Path) -> np.ndarray:
    fitted = (folder / "trace.json").exists()
    model = Forecaster.from_pretrained(folder, None if fitted else HORIZON, device="cpu")
    return next(model.predict_arrays([SERIES]))


def test_damaged_folders(templates: dict[str, Path], tmp_path: Path) -> None:
    assert attempt(range(SHORT), templates, tmp_path, forecast)["refused"] > SHORT / 2


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore::UserWarning")
def test_many_damaged_folders(templates: dict[str, Path], tmp_path: Path) -> None:
    counts = attempt(range(SHORT, SHORT + LONG), templates, tmp_path, forecast)
    print(counts)
    assert counts["refused"] > LONG / 2
