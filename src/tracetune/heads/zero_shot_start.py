"""Heads that start as the zero-shot forecast.

A masked backbone forecasts by rebuilding patches that are hidden from it: one linear map from the token of a patch to
its P steps. A head that reads these tokens contains that map and can start with it: fine-tuning begins at the zero-shot
forecast, and ridge regression shrinks towards it instead of towards 0.
"""

from collections.abc import Sequence
from typing import NamedTuple

import torch
from torch import Tensor, nn

from tracetune.heads.kinds.flatten import FlattenHead
from tracetune.heads.kinds.projection import ConvolutionHead, ProjectionHead


class ZeroShotTokens(NamedTuple):
    """The tokens of one resolution among those that a head reads.

    Attributes:
        length: how many they are; the last ceil(k H / P) of them are those of hidden patches.
        resolution: points a step k, of which every k-th is forecast.
    """

    length: int
    resolution: int = 1


def start_at_zero_shot(
    head: nn.Module, reconstruction: nn.Linear, tokens: Sequence[ZeroShotTokens] | None = None
) -> bool:
    """Give a head the weights with which it forecasts what the backbone rebuilds in the last patches.

    Compact heads need a reduced width D' of at least P: their first P directions become those of the
    reconstruction, the others stay as they are. Of several resolutions the head forecasts the average, up to the
    reconstruction's bias, which counts in units of their mean scale.

    Args:
        head: maps tokens [..., N, D] to a forecast [..., H].
        reconstruction: maps a token [D] to the P steps of its patch.
        tokens: the N tokens by resolution; None where all are of resolution 1.

    Returns:
        Whether the head can do so; otherwise it is as before.
    """
    weight, bias = reconstruction.weight.detach(), reconstruction.bias.detach()
    patch_length = len(weight)
    if isinstance(head, FlattenHead):
        _write(head.output, weight, bias, tokens)
        return True
    if isinstance(head, ProjectionHead) and head.down.out_features >= patch_length:
        if isinstance(head, ConvolutionHead):
            head.start_as_projection()
        head.down.weight.data[:patch_length] = weight
        pick = torch.eye(patch_length, head.down.out_features, dtype=weight.dtype, device=weight.device)
        _write(head.output, pick, bias, tokens)
        return True
    return False


def _write(layer: nn.Linear, weight: Tensor, bias: Tensor, tokens: Sequence[ZeroShotTokens] | None) -> None:
    """Set a linear layer from all features [N F] to H steps to ``weight`` [P, F] on each hidden patch, averaged."""
    steps, (patch_length, features) = layer.out_features, weight.shape
    parts = tokens or [ZeroShotTokens(layer.in_features // features)]
    layer.weight.data.zero_()
    layer.bias.data.zero_()
    end = 0
    for length, resolution in parts:
        end += length * features
        patches = -(-resolution * steps // patch_length)
        points = slice(resolution - 1, resolution * steps, resolution)
        blocks = torch.block_diag(*[weight] * patches)[points]
        layer.weight.data[:, end - patches * features : end] = blocks / len(parts)
        layer.bias.data += bias.repeat(patches)[points] / len(parts)
