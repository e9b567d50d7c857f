"""A compact head without parameters of its own: means of neighbouring patches, then the linear probe."""

import math

from torch import Tensor, nn
from torch.nn import functional

from tracetune.base.errors import InputError, argument
from tracetune.heads.head import output_layer
from tracetune.heads.kinds.kind import register_head


@register_head("pooling")
class PoolingHead(nn.Module):
    """The mean of every ``beta`` neighbouring patches, then the linear probe: ceil(N / beta) D H weights.

    The reduction has no parameters. Where ``beta`` does not divide N, the last group is the mean of fewer patches.

    Args:
        num_patches: N.
        width: D.
        prediction_length: H.
        beta: patches per group; at most N.
        dropout: share of the ceil(N / beta) D pooled features that is dropped in training.

    Raises:
        InputError: ``beta`` is larger than N.
    """

    def __init__(
        self, num_patches: int, width: int, prediction_length: int, beta: int = 1, dropout: float = 0.1
    ) -> None:
        super().__init__()
        self.beta = beta
        self.dropout = nn.Dropout(dropout)
        self.output = output_layer(_groups(num_patches, beta) * width, prediction_length)

    def forward(self, tokens: Tensor) -> Tensor:
        """Forecast [..., H] from tokens [..., N, D]."""
        return self.output(self.dropout(self.reduce(tokens).flatten(-2)))

    def reduce(self, tokens: Tensor) -> Tensor:
        """Return pooled tokens [..., ceil(N / beta), D] of tokens [..., N, D]."""
        rows = tokens.reshape(-1, *tokens.shape[-2:])
        pooled = functional.avg_pool1d(rows.mT, self.beta, ceil_mode=True).mT  # [rows, ceil(N / beta), D]
        return pooled.reshape(*tokens.shape[:-2], *pooled.shape[-2:])

    @staticmethod
    def weights(num_patches: int, width: int, prediction_length: int, beta: int = 1) -> int:
        """Return the number of weights, ceil(N / beta) D H."""
        return _groups(num_patches, beta) * width * prediction_length


def _groups(num_patches: int, beta: int) -> int:
    if beta > num_patches:
        raise InputError(
            f"Expected {argument('beta')} of at most the number of patches N = {num_patches}, found {beta}."
        )
    return math.ceil(num_patches / beta)
