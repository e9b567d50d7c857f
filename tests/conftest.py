"""Shared fixtures: quiet, small, without network."""

import os
from pathlib import Path

import pytest
import torch

os.environ.setdefault("HF_HUB_OFFLINE", "1")
os.environ.setdefault("HF_HUB_DISABLE_TELEMETRY", "1")
_SHARED = Path(__file__).parents[2] / "shared" / "data"
if "TRACETUNE_DATA" not in os.environ and _SHARED.is_dir():
    os.environ["TRACETUNE_DATA"] = str(_SHARED)
torch.set_num_threads(2)


@pytest.fixture(autouse=True)
def _fixed_seed() -> None:
    torch.manual_seed(0)
