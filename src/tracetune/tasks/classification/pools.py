"""Tokens of one scale, pooled over their patches: mean, maximum, deviation, and the share above 0.

Shapes: B batch, C channels, N patches, D width.
"""

import torch
from torch import Tensor

from tracetune.heads.step_gradient import above_zero

POOLS = 4
_LEAST_VARIANCE = 1e-8  # a deviation of 0 has no gradient


def pooled(tokens: Tensor) -> Tensor:
    """Return the pools of tokens [B, C, N, D] side by side, as one token [B, 1, 4 C D]."""
    deviation = (tokens.var(dim=-2, unbiased=False) + _LEAST_VARIANCE).sqrt()
    pools = [tokens.mean(dim=-2), tokens.amax(dim=-2), deviation, above_zero(tokens).mean(dim=-2)]
    return torch.cat(pools, dim=-2).flatten(-2).unsqueeze(-2)
