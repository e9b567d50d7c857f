"""Configuration of forecasting heads; importable without PyTorch."""

from dataclasses import dataclass
from typing import TypedDict

from tracetune.base.argument_types import checked_fields
from tracetune.base.errors import InputError, argument, unknown_name

TOKENS = ("auto", "context", "future", "all")


class HeadSettings(TypedDict):
    """Arguments of a `HeadConfig`, which itself is not made before PyTorch is needed."""

    kind: str
    beta: int
    tokens: str


FORECASTING_HEAD: HeadSettings = {"kind": "projection", "beta": 4, "tokens": "auto"}
"""The head of forecasters where none is chosen: a projection on tokens of the future where the backbone has them."""


@checked_fields
@dataclass(frozen=True)
class HeadConfig:
    """Configuration of a forecasting head.

    >>> from tracetune.heads.build import head_parameters
    >>> head_parameters(HeadConfig(), num_patches=64, width=768, prediction_length=720)
    35389440
    >>> head_parameters(HeadConfig("projection", beta=8), num_patches=64, width=768, prediction_length=720)
    4497408

    Attributes:
        kind: a name in `HEADS`: "flatten" (linear probe), "projection", "convolution" or "pooling".
        beta: factor by which the compact kinds reduce the features; "flatten" keeps all of them (1).
        dropout: share of the features before the output layer that is dropped in training; none is dropped once the
            head was solved in closed form.
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
        from tracetune.heads.kinds.kind import HEADS  # with PyTorch; not needed to know the defaults

        if self.kind not in HEADS:
            raise unknown_name("head", self.kind, HEADS)
        if self.beta < 1:
            raise InputError(f"Expected {argument('beta')} of at least 1, found {self.beta}.")
        if self.beta > 1 and not HEADS[self.kind].reduces:
            reducing = ", ".join(name for name, kind in HEADS.items() if kind.reduces)
            raise InputError(
                f"Head {self.kind!r} keeps all features: expected {argument('beta', 1)}, found {self.beta}. "
                f"Heads that take a beta: {reducing}."
            )
        if self.tokens not in TOKENS:
            raise unknown_name(argument("tokens", flag="--head-tokens"), self.tokens, TOKENS)
        if not 0 <= self.dropout < 1:
            raise InputError(f"Expected a head dropout in [0, 1), found {self.dropout}.")
