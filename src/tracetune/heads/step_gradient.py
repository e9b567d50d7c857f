"""A step from 0 to 1 that has a gradient: forwards the step, backwards a steep sigmoid."""

import torch
from torch import Tensor

_STEEPNESS = 8.0


def above_zero(values: Tensor, unit: Tensor | float = 1.0) -> Tensor:
    """Return 1 where values are above 0, else 0, with the gradient of sigmoid(8 values / unit), since a step has none.

    Args:
        values: of any shape.
        unit: by how much values usually differ, broadcast to them.
    """
    steps = (values > 0).to(values.dtype)
    if not values.requires_grad:
        return steps
    smooth = torch.sigmoid(_STEEPNESS * values / unit)
    return steps + (smooth - smooth.detach())
