"""Pools of tokens: what they are, and that gradients go through."""

import numpy as np
import torch

from tracetune.tasks.classification.pools import pooled


def test_tokens_are_pooled_in_four_ways() -> None:
    tokens = torch.randn(3, 2, 6, 5, generator=torch.Generator().manual_seed(0))
    part = tokens.numpy()
    expected = np.concatenate([part.mean(2), part.max(2), part.std(2), (part > 0).mean(2)], axis=1)
    found = pooled(tokens)
    assert found.shape == (3, 1, 4 * 2 * 5)
    np.testing.assert_allclose(found[:, 0], expected.reshape(3, -1), atol=1e-5)


def test_gradients_are_finite_where_tokens_do_not_differ() -> None:
    tokens = torch.ones(1, 1, 4, 2, requires_grad=True)
    pooled(tokens).sum().backward()
    assert tokens.grad is not None
    assert torch.isfinite(tokens.grad).all()
    assert tokens.grad.abs().sum() > 0
