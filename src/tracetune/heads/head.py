"""The protocol of heads, and their output layer."""

import math
from typing import Protocol, TypeGuard

from torch import Tensor, nn

_INITIAL_SPREAD = 0.02  # of the first forecasts, in standard deviations of the input series


class Head(Protocol):
    """A module that reduces tokens and reads them with one linear layer.

    Calling it maps tokens [..., N, D] to ``output(reduce(tokens).flatten(-2))``, but for dropout, so that the output
    layer can be solved without gradient descent.

    Attributes:
        output: the last layer, from all N' D' reduced features to the outputs.
    """

    output: nn.Linear

    def reduce(self, tokens: Tensor) -> Tensor:
        """Return reduced tokens [..., N', D'] of tokens [..., N, D]."""
        ...


def is_head(module: object) -> TypeGuard[Head]:
    """Return whether a module is a head.

    No check of a protocol by ``isinstance``: since Python 3.12 that does not see a module's submodules.
    """
    return hasattr(module, "reduce") and isinstance(getattr(module, "output", None), nn.Linear)


def output_layer(features: int, outputs: int) -> nn.Linear:
    """Return a new output layer whose first forecasts are the mean of the input series, to within 2 % of its deviation.

    The biases are 0. The weights are not exactly 0, because then no gradient would reach what lies below the head in
    the first step.
    """
    layer = nn.Linear(features, outputs)
    nn.init.normal_(layer.weight, std=_INITIAL_SPREAD / math.sqrt(features))
    nn.init.zeros_(layer.bias)
    return layer
