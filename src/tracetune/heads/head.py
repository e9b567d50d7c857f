"""The protocol of heads, and the registry of kinds.

A head is one file: a class registered with `register_head`. Compact heads are the reduced heads of TRACE (Li &
Zhu, arXiv 2503.16991), where most of the trainable parameters of a fine-tuned forecaster are saved; ``beta`` is the
factor by which the N D features of a series shrink.
"""

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Protocol, TypeVar, runtime_checkable

from torch import Tensor, nn

_INITIAL_SPREAD = 0.02  # of the first forecasts, in standard deviations of the input series


@runtime_checkable
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


@dataclass(frozen=True)
class HeadKind:
    """One entry of the registry.

    Attributes:
        module: builds a `Head` from N, D, H, ``dropout`` and, where it ``reduces``, ``beta``; its ``weights``
            takes N, D, H (and ``beta``) and gives the number of weights in closed form.
        reduces: whether the kind reduces the features by a factor ``beta``.
    """

    module: Any
    reduces: bool


HEADS: dict[str, HeadKind] = {}
H = TypeVar("H", bound=type[nn.Module])


def register_head(kind: str, *, reduces: bool = True) -> Callable[[H], H]:
    """Make a head known as ``kind`` (a class decorator); see `HeadKind`."""

    def register(module: H) -> H:
        if kind in HEADS:
            raise AssertionError(f"head {kind!r} is registered twice")
        HEADS[kind] = HeadKind(module, reduces)
        return module

    return register


def output_layer(features: int, outputs: int) -> nn.Linear:
    """Return a new output layer whose first forecasts are the mean of the input series, to within 2 % of its deviation.

    The biases are 0. The weights are not exactly 0, because then no gradient would reach what lies below the head in
    the first step.
    """
    layer = nn.Linear(features, outputs)
    nn.init.normal_(layer.weight, std=_INITIAL_SPREAD / math.sqrt(features))
    nn.init.zeros_(layer.bias)
    return layer
