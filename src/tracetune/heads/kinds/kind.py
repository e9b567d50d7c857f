"""Kinds of forecasting heads, and their registry.

A kind is one file in this folder: a class registered with `register_head`. Compact heads are the reduced heads of TRACE
(Li & Zhu, arXiv 2503.16991), where most of the trainable parameters of a fine-tuned forecaster are saved; ``beta`` is
the factor by which the N D features of a series shrink.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, TypeVar

from torch import nn


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
