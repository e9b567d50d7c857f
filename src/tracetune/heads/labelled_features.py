"""Features that the output layer of a classification head reads, of all samples at once.

Shapes: B batch, C channels, N patches, D width, S samples, F features of the output layer.
"""

from collections.abc import Iterable, Mapping
from typing import Protocol

import numpy as np
import torch
from torch import Tensor

from tracetune.base.errors import InputError


class Reducer(Protocol):
    """Whatever reduces tokens: the part of a `Head` that is not trained here."""

    def reduce(self, tokens: Tensor) -> Tensor:
        """Return reduced tokens [..., N', D'] of tokens [..., N, D]."""
        ...


@torch.no_grad()
def labelled_features(head: Reducer, batches: Iterable[Mapping[str, Tensor]]) -> tuple[np.ndarray, np.ndarray]:
    """Return features [S, F], float64, and labels [S].

    Args:
        head: reduces the tokens.
        batches: with ``tokens`` [B, C, N, D] and ``labels`` [B].

    Raises:
        InputError: no sample.
    """
    parts = [
        (head.reduce(batch["tokens"].float()).flatten(-2).double().cpu(), batch["labels"].cpu()) for batch in batches
    ]
    if not parts:
        raise InputError("Expected at least one sample, found none.")
    return torch.cat([part for part, _ in parts]).numpy(), torch.cat([labels for _, labels in parts]).numpy()
