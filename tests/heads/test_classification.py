"""The classification head: one layer, block by block."""

import pytest
import torch

from tracetune.base.errors import InputError
from tracetune.heads.classification import ClassificationHead
from tracetune.heads.classification_config import ClassificationHeadConfig
from tracetune.heads.convolutions import Convolutions
from tracetune.heads.head import is_head
from tracetune.heads.series_blocks import SeriesBlocks


def test_one_layer_reads_all_blocks_and_one_scale_stands_for_all() -> None:
    torch.manual_seed(0)
    head = ClassificationHead((3, 5), 4, SeriesBlocks(Convolutions(1, 16, 84))).eval()
    assert is_head(head)
    assert head.widths == (3, 5, 84)
    tokens = torch.randn(6, 1, 92)
    logits = head(tokens)
    weight, bias = head.output.weight, head.output.bias
    torch.testing.assert_close(logits, tokens[:, 0] @ weight.T + bias)
    parts = head.by_block(tokens)
    assert parts.shape == (6, 3, 4)
    torch.testing.assert_close(parts.sum(dim=1) + bias, logits)
    torch.testing.assert_close(head(tokens[..., 3:8], 1), 2 * parts[:, 1] + bias)


@pytest.mark.parametrize(
    "options",
    [
        {"dropout": 1.0},
        {"scales": ()},
        {"scales": (0.0,)},
        {"scales": (float("nan"),)},
        {"convolutions": 83},
        {"stretches": 83},
        {"competing_kernels": 7},
    ],
)
def test_impossible_options_are_refused(options: dict[str, object]) -> None:
    with pytest.raises(InputError, match="Expected"):
        ClassificationHeadConfig(**options)  # type: ignore[arg-type]
