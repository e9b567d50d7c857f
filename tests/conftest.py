"""Shared fixtures: quiet, small, without network."""

import gc
import os
from pathlib import Path
from typing import TYPE_CHECKING

import hypothesis
import pytest
import torch

if TYPE_CHECKING:
    from tracetune import Forecaster

os.environ.setdefault("HF_HUB_OFFLINE", "1")
os.environ.setdefault("HF_HUB_DISABLE_TELEMETRY", "1")
hypothesis.settings.register_profile("any machine", deadline=None)  # a busy one is slow now and then
hypothesis.settings.load_profile("any machine")
torch.set_num_threads(1 if "PYTEST_XDIST_WORKER" in os.environ else 2)  # workers share the cores


@pytest.fixture(autouse=True)
def _fixed_seed() -> None:
    torch.manual_seed(0)


def pytest_collection_finish() -> None:
    """Leave what was imported out of every later garbage collection, of which each training begins and ends with one.

    Hundreds of thousands of objects of the libraries are alive to the end: to walk them takes half a second a time.
    """
    gc.collect()
    gc.freeze()


@pytest.fixture(scope="module")
def base_folder(tmp_path_factory: pytest.TempPathFactory) -> str:
    """A folder with a tiny foundation model."""
    from tests.tiny import save_tiny  # tests without models need not wait for its imports

    return save_tiny(tmp_path_factory.mktemp("base"))


@pytest.fixture(scope="module")
def base(base_folder: str) -> "Forecaster":
    """The tiny foundation model as a forecaster, not tuned."""
    from tests.tiny import HORIZON
    from tracetune import Forecaster

    return Forecaster.from_pretrained(base_folder, HORIZON, device="cpu")


@pytest.fixture(scope="module")
def table(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A CSV file with the series of `tests.tiny.seasonal_frame`."""
    from tests.tiny import seasonal_frame

    path = tmp_path_factory.mktemp("data") / "series.csv"
    seasonal_frame().to_csv(path, index=False)
    return path
