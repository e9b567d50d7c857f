"""Tokens of one scale, pooled over their patches: mean, maximum, deviation, and the share above 0.

Shapes: B batch, C channels, N patches, D width.
"""

import torch
from torch import Tensor

POOLS = 4
_STEEPNESS = 8.0  # of the sigmoid whose gradient stands for that of the step
_LEAST_VARIANCE = 1e-8  # a deviation of 0 has no gradient


def pooled(tokens: Tensor) -> Tensor:
    """Return the pools of tokens [B, C, N, D] side by side, as one token [B, 1, 4 C D]."""
    deviation = (tokens.var(dim=-2, unbiased=False) + _LEAST_VARIANCE).sqrt()
    pools = [tokens.mean(dim=-2), tokens.amax(dim=-2), deviation, _above_zero(tokens).mean(dim=-2)]
    return torch.cat(pools, dim=-2).flatten(-2).unsqueeze(-2)


def _above_zero(tokens: Tensor) -> Tensor:
    """Return 1 above 0, else 0; with the gradient of a steep sigmoid, since a step has none."""
    smooth = torch.sigmoid(_STEEPNESS * tokens)
    return (tokens > 0).to(tokens.dtype) + (smooth - smooth.detach())
