"""A head for classification: mean and maximum over the patches, then one linear layer to the classes.

Shapes: B batch, C channels, N patches, D width, K classes.
"""

from dataclasses import dataclass

import torch
from torch import Tensor, nn

from tracetune.base.errors import InputError
from tracetune.heads.head import output_layer


@dataclass(frozen=True)
class ClassificationHeadConfig:
    """Which classification head to put on a backbone.

    Attributes:
        dropout: share of the pooled features that is dropped in training; none is dropped once a solution was found
            without gradient descent.
    """

    dropout: float = 0.1

    def __post_init__(self) -> None:
        if not 0 <= self.dropout < 1:
            raise InputError(f"Expected a head dropout in [0, 1), found {self.dropout}.")


class ClassificationHead(nn.Module):
    """Tokens of every channel, pooled over the patches in two ways, through one linear layer.

    Args:
        channels: C.
        width: D of a token.
        classes: K.
        dropout: share of the 2 C D pooled features that is dropped in training.
    """

    def __init__(self, channels: int, width: int, classes: int, dropout: float = 0.1) -> None:
        super().__init__()
        self.dropout = nn.Dropout(dropout)
        self.output = output_layer(2 * channels * width, classes)

    def forward(self, tokens: Tensor) -> Tensor:
        """Return logits [B, K] from tokens [B, C, N, D]."""
        return self.output(self.dropout(self.reduce(tokens).flatten(-2)))

    def reduce(self, tokens: Tensor) -> Tensor:
        """Return pooled tokens [B, 2 C, D], the means of all channels before their maxima."""
        return torch.cat([tokens.mean(dim=-2), tokens.amax(dim=-2)], dim=-2)
