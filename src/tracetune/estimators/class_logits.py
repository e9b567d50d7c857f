"""Logits of classifiers, batch by batch.

Shapes: S samples, K classes.
"""

import numpy as np
import torch
from torch import nn

from tracetune.data.batch_source import BatchSource
from tracetune.data.windows import batches


def class_logits(model: nn.Module, source: BatchSource, *, device: str, batch_size: int = 256) -> np.ndarray:
    """Return logits [S, K] of samples, or of a head's features of them, float64."""
    model.eval()
    with torch.inference_mode():
        found = [model(**batch).logits for batch in batches(source, batch_size, device)]
    return torch.cat(found).double().cpu().numpy()
