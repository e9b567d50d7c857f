"""Which forecasting head: its configuration, the registry of kinds, and what each costs in weights."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from torch import nn

from tracetune.base.errors import InputError
from tracetune.heads.compact import (
    ConvolutionHead,
    PoolingHead,
    ProjectionHead,
    convolution_weights,
    pooling_weights,
    projection_weights,
)
from tracetune.heads.config import HeadConfig
from tracetune.heads.flatten import FlattenHead, flatten_weights


@dataclass(frozen=True)
class HeadKind:
    """One entry of the registry; both functions take (N, D, H) and, where ``reduces``, ``beta``.

    Attributes:
        module: builds the head, a module from tokens [..., N, D] to a forecast [..., H]; takes ``dropout`` too.
        weights: its number of weights, in closed form.
        reduces: whether the kind reduces the features by a factor ``beta``.
    """

    module: Callable[..., nn.Module]
    weights: Callable[..., int]
    reduces: bool = True


HEADS: dict[str, HeadKind] = {
    "flatten": HeadKind(FlattenHead, flatten_weights, reduces=False),
    "projection": HeadKind(ProjectionHead, projection_weights),
    "convolution": HeadKind(ConvolutionHead, convolution_weights),
    "pooling": HeadKind(PoolingHead, pooling_weights),
}


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
    module = HEADS[config.kind].module
    return module(num_patches, width, prediction_length, dropout=config.dropout, **_reduction(config))


def head_parameters(config: HeadConfig, num_patches: int, width: int, prediction_length: int) -> int:
    """Number of weights of a head, in closed form, as the TRACE paper counts them: without biases.

    Every kind has H biases besides, all in its output layer.

    Raises:
        InputError: a size below 1, or a ``beta`` that does not fit N or D.
    """
    _check_sizes(num_patches=num_patches, width=width, prediction_length=prediction_length)
    return HEADS[config.kind].weights(num_patches, width, prediction_length, **_reduction(config))


def _reduction(config: HeadConfig) -> dict[str, Any]:
    return {"beta": config.beta} if HEADS[config.kind].reduces else {}


def _check_sizes(**sizes: int) -> None:
    for name, size in sizes.items():
        if size < 1:
            raise InputError(f"Expected {name} of at least 1, found {size}.")
