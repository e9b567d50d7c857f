"""Forecasting heads built from a configuration, and their number of weights."""

from collections.abc import Callable

from torch import nn

from tracetune.base.errors import InputError
from tracetune.heads.config import HeadConfig
from tracetune.heads.kinds.kind import HEADS


def build_head(config: HeadConfig, num_patches: int, width: int, prediction_length: int) -> nn.Module:
    """Return a new head [..., N, D] -> [..., H].

    >>> import torch
    >>> head = build_head(HeadConfig("projection", beta=4), num_patches=8, width=16, prediction_length=24)
    >>> head(torch.randn(2, 3, 8, 16)).shape
    torch.Size([2, 3, 24])

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
    """Return the number of weights of a head, in closed form, as the TRACE paper counts them: without biases.

    Every kind has H biases besides, all in its output layer.

    Raises:
        InputError: a size below 1, or a ``beta`` that does not fit N or D.
    """
    _check_sizes(num_patches=num_patches, width=width, prediction_length=prediction_length)
    return HEADS[config.kind].module.weights(num_patches, width, prediction_length, **_reduction(config))


def _reduction(config: HeadConfig) -> dict[str, int]:
    return {"beta": config.beta} if HEADS[config.kind].reduces else {}


def _check_sizes(**sizes: int) -> None:
    for name, size in sizes.items():
        if size < 1:
            raise InputError(f"Expected {name} of at least 1, found {size}.")
