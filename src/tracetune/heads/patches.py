"""A head for reconstruction: every token becomes the steps of its patch again.

Shapes: B batch, C channels, N patches, D width, P patch length.
"""

import copy
from dataclasses import dataclass

from torch import Tensor, nn


@dataclass(frozen=True)
class PatchHeadConfig:
    """A linear layer from a token to its patch, which starts as the backbone's own; it has no options."""


class PatchHead(nn.Module):
    """One linear layer on each token.

    Args:
        token_to_patch: the backbone's map from a token [D] to P steps, which is copied.
    """

    def __init__(self, token_to_patch: nn.Linear) -> None:
        super().__init__()
        self.output = copy.deepcopy(token_to_patch).requires_grad_(True)

    def forward(self, tokens: Tensor) -> Tensor:
        """Return normalised steps [B, C, N, P] of tokens [B, C, N, D]."""
        return self.output(tokens)
