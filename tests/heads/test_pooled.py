"""Pooling of tokens, and the head on what it leaves."""

import pytest
import torch

from tracetune.base.errors import InputError
from tracetune.heads.head import is_head
from tracetune.heads.pooled import PooledHead, PooledHeadConfig

TOKENS = torch.arange(24.0).view(2, 4, 3)
ATTENDED = torch.tensor([[1, 1, 0, 0], [1, 1, 1, 1]])


def test_padding_does_not_count() -> None:
    mean = PooledHeadConfig("mean").pooled(TOKENS, ATTENDED)
    torch.testing.assert_close(mean[:, 0], torch.stack([TOKENS[0, :2].mean(0), TOKENS[1].mean(0)]))
    first = PooledHeadConfig("first").pooled(TOKENS, ATTENDED)
    torch.testing.assert_close(first[:, 0], TOKENS[:, 0])
    both = PooledHeadConfig("both")
    torch.testing.assert_close(both.pooled(TOKENS, ATTENDED), torch.cat([mean, first], dim=1))
    assert both.vectors == 2


def test_the_head_is_one_linear_layer() -> None:
    head = PooledHead(6, 5).eval()
    assert is_head(head)
    vectors = torch.randn(2, 2, 3)
    torch.testing.assert_close(head(vectors), head.output(head.reduce(vectors).flatten(-2)))


def test_wrong_options_are_refused() -> None:
    with pytest.raises(InputError, match="Unknown pooling 'maximum'"):
        PooledHeadConfig("maximum")
    with pytest.raises(InputError, match="dropout"):
        PooledHeadConfig(dropout=1.0)
