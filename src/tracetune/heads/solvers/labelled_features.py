"""Features that the output layer of a classification head reads, of all samples at once.

Shapes: B batch, C channels, N patches, D width, S samples, F features of the output layer.
"""

from collections.abc import Iterable, Mapping

import numpy as np
import torch
from torch import Tensor

from tracetune.base.errors import InputError
from tracetune.heads.head import Head


@torch.no_grad()
def labelled_features(head: Head, batches: Iterable[Mapping[str, Tensor]]) -> tuple[np.ndarray, np.ndarray]:
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


def require_all_classes(labels: np.ndarray, classes: int) -> None:
    """Refuse labels [S] among which one of the K classes is missing.

    Raises:
        InputError: names the missing ones.
    """
    if missing := sorted(set(range(classes)) - set(labels.tolist())):
        raise InputError(f"Expected training samples of all {classes} classes, found none of {missing}.")
