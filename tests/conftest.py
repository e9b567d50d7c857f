"""Shared fixtures: quiet, small, without network."""

import gc
import os

import pytest
import torch

os.environ.setdefault("HF_HUB_OFFLINE", "1")
os.environ.setdefault("HF_HUB_DISABLE_TELEMETRY", "1")
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
