"""Which forecasting head: its configuration, the registry of kinds, and what each costs in weights."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from torch import nn

from tracetune.base.errors import InputError, unknown_name
from tracetune.heads.compact import (
    ConvolutionHead,
    PoolingHead,
    ProjectionHead,
    convolution_weights,
    pooling_weights,
    projection_weights,
)
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


TOKENS = ("auto", "context", "future", "all")


@dataclass(frozen=True)
class HeadConfig:
    """Which forecasting head to put on a backbone.

    Attributes:
        kind: a name in `HEADS`: "flatten" (linear probe), "projection", "convolution" or "pooling".
        beta: factor by which the compact kinds reduce the features; "flatten" keeps all of them (1).
        dropout: share of the features before the output layer that is dropped in training; a head that fine-tuning has
            solved in closed form trains on without.
        tokens: which tokens the head reads: "context" (those of the context, as MOMENT's linear probe), "future"
            (those of hidden patches in place of the horizon), "all" (both; the oldest patches make room), or "auto":
            "future" where the backbone rebuilds hidden patches and the horizon fits in one pass, else "context". Heads
            on tokens of the future start as the zero-shot forecast, see heads/zero_shot_start.py.
    """

    kind: str = "flatten"
    beta: int = 1
    dropout: float = 0.1
    tokens: str = "context"

    def __post_init__(self) -> None:
        if self.kind not in HEADS:
            raise unknown_name("head", self.kind, HEADS)
        if not isinstance(self.beta, int) or isinstance(self.beta, bool) or self.beta < 1:
            raise InputError(f"Expected beta to be a whole number of at least 1, found {self.beta!r}.")
        if self.beta > 1 and not HEADS[self.kind].reduces:
            reducing = ", ".join(name for name, kind in HEADS.items() if kind.reduces)
            raise InputError(
                f"Head {self.kind!r} keeps all features: expected beta=1, found {self.beta}. "
                f"Heads that take a beta: {reducing}."
            )
        if self.tokens not in TOKENS:
            raise unknown_name("tokens", self.tokens, TOKENS)
        if not 0 <= self.dropout < 1:
            raise InputError(f"Expected a head dropout in [0, 1), found {self.dropout}.")


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
