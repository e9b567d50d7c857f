"""A head on pooled tokens: tokens of any number become one or two vectors, and one linear layer reads them.

Shapes: B batch, N tokens, D width, K outputs.
"""

from dataclasses import dataclass

import torch
from torch import Tensor, nn

from tracetune.base.errors import InputError, unknown_name
from tracetune.heads.head import output_layer

FIRST = "first"
POOLINGS = ("mean", FIRST, "both")


@dataclass(frozen=True)
class PooledHeadConfig:
    """Configuration of a head on an encoder of texts.

    Attributes:
        pooling: "mean" of all tokens, the "first" one ([CLS]), or "both" side by side.
        dropout: share of the pooled features that is dropped in training; a head that fine-tuning has solved without
            gradient descent trains on without.
    """

    pooling: str = "mean"
    dropout: float = 0.1

    def __post_init__(self) -> None:
        if self.pooling not in POOLINGS:
            raise unknown_name("pooling", self.pooling, POOLINGS)
        if not 0 <= self.dropout < 1:
            raise InputError(f"Expected a head dropout in [0, 1), found {self.dropout}.")

    @property
    def vectors(self) -> int:
        """Return how many vectors are left of the tokens."""
        return 2 if self.pooling == "both" else 1

    def pooled(self, tokens: Tensor, attended: Tensor) -> Tensor:
        """Return vectors [B, 1 or 2, D] of tokens [B, N, D], of which ``attended`` [B, N] are no padding."""
        parts = []
        if self.pooling != FIRST:
            weights = attended.to(tokens.dtype).unsqueeze(-1)
            parts.append((tokens * weights).sum(dim=1) / weights.sum(dim=1).clamp(min=1))
        if self.pooling != "mean":
            parts.append(tokens[:, 0])
        return torch.stack(parts, dim=1)


class PooledHead(nn.Module):
    """One linear layer on vectors [B, N', D] that pooling has left.

    Args:
        features: N' D.
        outputs: K.
        dropout: share of the features that is dropped in training.
    """

    def __init__(self, features: int, outputs: int, dropout: float = 0.1) -> None:
        super().__init__()
        self.dropout = nn.Dropout(dropout)
        self.output = output_layer(features, outputs)

    def forward(self, tokens: Tensor) -> Tensor:
        """Return outputs [B, K] of vectors [B, N', D]."""
        return self.output(self.dropout(self.reduce(tokens).flatten(-2)))

    def reduce(self, tokens: Tensor) -> Tensor:
        """Return the vectors as they are."""
        return tokens
