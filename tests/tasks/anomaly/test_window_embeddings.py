"""The embeddings that the scorer compares, and the loss on them."""

from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch.nn import functional

from tests.tiny import tiny_backbone
from tracetune.tasks.anomaly.embedding_memory import EmbeddingMemory
from tracetune.tasks.anomaly.scores.features import EmbeddedShape
from tracetune.tasks.anomaly.window_embeddings import contrastive_losses, embedded, resampled


def drawn(seed: int, negatives: int = 4, dtype: torch.dtype = torch.float64) -> tuple[torch.Tensor, torch.Tensor]:
    generator = torch.Generator().manual_seed(seed)
    vectors = torch.randn(3, 3 + negatives, 5, generator=generator, dtype=dtype)
    return functional.normalize(vectors, dim=-1), torch.rand(3, 2, generator=generator, dtype=dtype) + 0.1


def test_the_loss_of_orthogonal_windows_is_known() -> None:
    """Both positives are the anchor, all K negatives orthogonal to it: log(1 + K exp(-1 / t)), whatever the weights."""
    one, other = torch.eye(2)
    vectors = torch.stack([one, one, one, *[other] * 5])[None]
    expected = np.log1p(5 * np.exp(-1 / 0.2))
    assert contrastive_losses(vectors, torch.tensor([[1.0, 0.3]]), 0.2).item() == pytest.approx(expected, rel=1e-4)
    same = torch.stack([one] * 8)[None]
    assert contrastive_losses(same, torch.tensor([[1.0, 0.0]])).item() == pytest.approx(np.log(6))


def test_each_positive_is_told_from_the_negatives_as_by_cross_entropy() -> None:
    vectors, pull = drawn(0)
    cosines = (vectors[:, :1] @ vectors[:, 1:].transpose(1, 2))[:, 0] / 0.1
    none = torch.zeros(3, dtype=torch.long)
    each = [
        functional.cross_entropy(torch.cat([cosines[:, [place]], cosines[:, 2:]], dim=1), none, reduction="none")
        for place in (0, 1)
    ]
    expected = (pull * torch.stack(each, dim=1)).sum(1) / pull.sum(1)
    torch.testing.assert_close(contrastive_losses(vectors, pull), expected)


def test_gradients_are_those_of_finite_differences() -> None:
    vectors, pull = drawn(1)
    assert torch.autograd.gradcheck(lambda free: contrastive_losses(free, pull), vectors.requires_grad_())


@settings(max_examples=25)
@given(st.integers(0, 1000), st.permutations(range(4)))
def test_neither_the_order_of_negatives_nor_a_rotation_changes_the_loss(seed: int, order: list[int]) -> None:
    vectors, pull = drawn(seed)
    rotation, _ = torch.linalg.qr(torch.randn(5, 5, generator=torch.Generator().manual_seed(seed)).double())
    moved = vectors[:, [0, 1, 2, *(3 + place for place in order)]] @ rotation
    torch.testing.assert_close(contrastive_losses(moved, pull), contrastive_losses(vectors, pull))


def test_embeddings_know_neither_level_nor_scale_and_are_those_of_the_scorer() -> None:
    windows = np.random.default_rng(0).normal(size=(6, 40)).cumsum(axis=1)
    backbone = tiny_backbone()
    found = embedded(backbone, resampled(torch.as_tensor(windows, dtype=torch.float32), backbone))
    assert found.shape == (6, 2 * 16)  # a quarter of the context: two patches
    torch.testing.assert_close(found.norm(dim=-1), torch.ones(6))
    torch.testing.assert_close(EmbeddedShape(backbone)(windows), found)
    torch.testing.assert_close(EmbeddedShape(backbone)(7 * windows - 100), found, atol=1e-3, rtol=1e-3)


def test_windows_that_were_embedded_before_are_remembered_while_that_is_asked_for(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    backbone = tiny_backbone()
    rows: list[int] = []
    encode = backbone.encode

    def counted(values: torch.Tensor, *rest: Any) -> Any:
        rows.append(len(values))
        return encode(values, *rest)

    monkeypatch.setattr(backbone, "encode", counted)
    windows = np.random.default_rng(0).normal(size=(6, 32))
    plain = EmbeddedShape(backbone)(windows)
    assert rows == [6]
    memory = EmbeddingMemory()
    shape = EmbeddedShape(backbone, memory)
    with memory.open():
        torch.testing.assert_close(shape(windows[:4]), plain[:4])
        torch.testing.assert_close(shape(windows[[5, 1, 5, 0]]), plain[[5, 1, 5, 0]])
        torch.testing.assert_close(shape(windows[:2]), plain[:2])
        assert rows == [6, 4, 1]  # of the second call one is new, of the third none
        torch.testing.assert_close(shape(windows[:4, :16]), EmbeddedShape(backbone)(windows[:4, :16].copy()))
    shape(windows[:4])
    assert rows[-1] == 4
