"""Cached features: the same rows in the same order, within the memory allowed."""

import logging

import pytest
import torch

from tracetune.training.feature_cache import CachedBatches, cache_batches
from tracetune.training.storage import Storage


def doubled(batch: dict[str, torch.Tensor]) -> dict[str, torch.Tensor]:
    return {"twice": 2 * batch["x"]}


def test_the_cache_holds_what_would_have_been_computed() -> None:
    data = CachedBatches({"x": torch.arange(10.0).view(10, 1)})
    cache = cache_batches(doubled, data, batch_size=3)
    assert len(cache) == 10
    assert cache.__getitems__([7, 0])["twice"].tolist() == [[14.0], [0.0]]
    assert cache[9]["twice"].item() == 18.0


def test_what_does_not_fit_is_not_cached_and_said(caplog: pytest.LogCaptureFixture) -> None:
    data = CachedBatches({"x": torch.arange(10.0).view(10, 1)})
    with caplog.at_level(logging.WARNING):
        assert cache_batches(doubled, data, storage=Storage(39)) is None
    assert "are not cached" in caplog.text
    assert cache_batches(doubled, data, storage=Storage(40)) is not None
