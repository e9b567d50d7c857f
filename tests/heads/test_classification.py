"""The classification head: what it pools, and that gradients go through."""

import numpy as np
import pytest
import torch

from tracetune.base.errors import InputError
from tracetune.heads.classification import ClassificationHead, ClassificationHeadConfig
from tracetune.heads.head import is_head


def test_tokens_of_each_scale_are_pooled_in_four_ways() -> None:
    tokens = torch.randn(3, 2, 9, 5, generator=torch.Generator().manual_seed(0))
    head = ClassificationHead(2, 5, 4, patches=(3, 6)).eval()
    assert is_head(head)
    expected = []
    for part in (tokens[:, :, :3].numpy(), tokens[:, :, 3:].numpy()):
        expected += [part.mean(2), part.max(2), part.std(2), (part > 0).mean(2)]
    np.testing.assert_allclose(head.reduce(tokens), np.concatenate(expected, axis=1), atol=1e-5)
    assert head(tokens).shape == (3, 4)
    assert head.output.in_features == 2 * 4 * 2 * 5


def test_gradients_are_finite_where_tokens_do_not_differ() -> None:
    tokens = torch.ones(1, 1, 4, 2, requires_grad=True)
    ClassificationHead(1, 2, 2, patches=(4,)).eval()(tokens).sum().backward()
    assert tokens.grad is not None
    assert torch.isfinite(tokens.grad).all()
    assert tokens.grad.abs().sum() > 0


@pytest.mark.parametrize("options", [{"dropout": 1.0}, {"scales": ()}, {"scales": (0.0,)}, {"scales": (float("nan"),)}])
def test_impossible_options_are_refused(options: dict[str, object]) -> None:
    with pytest.raises(InputError, match="Expected"):
        ClassificationHeadConfig(**options)  # type: ignore[arg-type]
