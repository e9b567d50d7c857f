"""A head for classification: one linear layer to the classes, from features of each scale and of the series itself.

Shapes: B batch, V scales, F features, K classes.
"""

import torch
from torch import Tensor, nn
from torch.nn import functional

from tracetune.heads.classification_config import RIDGE
from tracetune.heads.head import output_layer
from tracetune.heads.series_blocks import SeriesBlock, SeriesBlocks


class ClassificationHead(nn.Module):
    """Blocks of features, one a scale and those of the series itself, through one linear layer.

    What it reads of a series is one token with all its features, [B, 1, F].

    Args:
        widths: features of each scale.
        classes: K.
        blocks: what makes the blocks after these, from the series itself; None for none.
        dropout: share of the features that is dropped in training.
        solver: what solves the layer without gradient descent.
    """

    def __init__(
        self,
        widths: tuple[int, ...],
        classes: int,
        blocks: SeriesBlocks | None = None,
        dropout: float = 0.1,
        solver: str = RIDGE,
    ) -> None:
        super().__init__()
        blocks = blocks or SeriesBlocks()
        self.convolutions, self.stretches = blocks.convolutions, blocks.stretches
        self.competing_kernels = blocks.competing_kernels
        self.widths = (*widths, *(block.features for block in blocks.present))
        self.kinds = (0,) * len(widths) + tuple(range(1, 1 + len(blocks.present)))
        self.scales, self.solver = len(widths), solver
        self.dropout = nn.Dropout(dropout)
        self.output = output_layer(sum(self.widths), classes)

    @property
    def series_blocks(self) -> list[SeriesBlock]:
        """Return what makes the blocks after the scales, in order."""
        return SeriesBlocks(self.convolutions, self.stretches, self.competing_kernels).present

    def forward(self, tokens: Tensor, scale: int | None = None) -> Tensor:
        """Return logits [B, K] from features [B, 1, F]; with ``scale``, from those of one, taken to stand for all V."""
        if scale is None:
            return self.output(self.dropout(self.reduce(tokens).flatten(-2)))
        return self.scales * self._part(tokens, scale) + self.output.bias

    def by_block(self, tokens: Tensor) -> Tensor:
        """Return what each block adds to the logits, [B, blocks, K], from features [B, 1, F] of all of them."""
        parts = tokens.split(self.widths, dim=-1)
        return torch.stack([self._part(part, number) for number, part in enumerate(parts)], dim=1)

    def _part(self, tokens: Tensor, block: int) -> Tensor:
        """Return the sums [B, K] of the weights of one block times its features [B, 1, F of the block]."""
        weight = self.output.weight.split(self.widths, dim=1)[block]
        return functional.linear(self.dropout(tokens.flatten(-2)), weight)

    def reduce(self, tokens: Tensor) -> Tensor:
        """Return the features [B, 1, F] as they are."""
        return tokens
