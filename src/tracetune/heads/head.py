"""What a head is, which one is asked for, and the registry of kinds.

A head is one file: a class registered with :func:`register_head`. Compact heads are the reduced heads of TRACE (Li &
Zhu, arXiv 2503.16991), where most of the trainable parameters of a fine-tuned forecaster are saved; ``beta`` is the
factor by which the N D features of a series shrink.
"""

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Protocol, TypeVar, runtime_checkable

from torch import Tensor, nn

from tracetune.base.errors import InputError
from tracetune.heads.config import HeadConfig

_INITIAL_SPREAD = 0.02  # of the first forecasts, in standard deviations of the input series


@runtime_checkable
class Head(Protocol):
    """A module that reduces tokens and reads them with one linear layer.

    Calling it maps tokens [..., N, D] to ``output(reduce(tokens).flatten(-2))``, but for dropout: whoever knows the
    reduction can solve the output layer without gradient descent.

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
        module: builds a :class:`Head` from N, D, H, ``dropout`` and, where it ``reduces``, ``beta``; its ``weights``
            takes N, D, H (and ``beta``) and gives the number of weights in closed form.
        reduces: whether the kind reduces the features by a factor ``beta``.
    """

    module: Any
    reduces: bool


HEADS: dict[str, HeadKind] = {}
H = TypeVar("H", bound=type[nn.Module])


def register_head(kind: str, *, reduces: bool = True) -> Callable[[H], H]:
    """Class decorator: make a head known as ``kind``; see :class:`HeadKind`."""

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


def build_head(config: HeadConfig, num_patches: int, width: int, prediction_length: int) -> nn.Module:
    """A new head [..., N, D] -> [..., H].

    Args:
        config: which one.
        num_patches: N.
        width: D.
        prediction_length: H.

    Raises:
        InputError: a size below 1, or a ``beta`` that does not fit N or D.
    """
    _check_sizes(num_patches=num_patches, width=width, prediction_length=prediction_length)
    module: Callable[..., nn.Module] = HEADS[config.kind].module
    return module(num_patches, width, prediction_length, dropout=config.dropout, **_reduction(config))


def head_parameters(config: HeadConfig, num_patches: int, width: int, prediction_length: int) -> int:
    """Number of weights of a head, in closed form, as the TRACE paper counts them: without biases.

    Every kind has H biases besides, all in its output layer.

    Raises:
        InputError: a size below 1, or a ``beta`` that does not fit N or D.
    """
    _check_sizes(num_patches=num_patches, width=width, prediction_length=prediction_length)
    return HEADS[config.kind].module.weights(num_patches, width, prediction_length, **_reduction(config))


def _reduction(config: HeadConfig) -> dict[str, Any]:
    return {"beta": config.beta} if HEADS[config.kind].reduces else {}


def _check_sizes(**sizes: int) -> None:
    for name, size in sizes.items():
        if size < 1:
            raise InputError(f"Expected {name} of at least 1, found {size}.")
