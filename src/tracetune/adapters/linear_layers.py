"""Linear layers that can be adapted, in either layout of their weight."""

from typing import TypeAlias

from torch import nn
from transformers.pytorch_utils import Conv1D

LinearLayer: TypeAlias = nn.Linear | Conv1D
"""A layer to adapt; Conv1D is the linear layer of GPT-2, whose weight is transposed."""


def layer_widths(layer: LinearLayer) -> tuple[int, int]:
    """Return how many inputs and outputs a layer has."""
    return (layer.nx, layer.nf) if isinstance(layer, Conv1D) else (layer.in_features, layer.out_features)
