"""Losses of a model over a whole data set, sample by sample."""

import numpy as np
import torch
from torch import nn

from tracetune.base.module_device import module_device
from tracetune.data.batch_source import BatchSource
from tracetune.data.windows import batches


def sample_losses(model: nn.Module, source: BatchSource, batch_size: int = 256) -> np.ndarray:
    """Return the loss of each sample, [len(source)] float64, in evaluation mode.

    Args:
        model: returns ``sample_losses`` [B] for a batch.
        source: the samples.
        batch_size: samples per forward pass.
    """
    device = module_device(model)
    model.eval()
    with torch.inference_mode():
        losses = [model(**batch).sample_losses.double().cpu().numpy() for batch in batches(source, batch_size, device)]
    return np.concatenate(losses)


def validation_loss(model: nn.Module, source: BatchSource, batch_size: int = 256) -> float:
    """Return the mean of `sample_losses`."""
    return float(sample_losses(model, source, batch_size).mean())
