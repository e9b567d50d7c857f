"""Heads that start as the zero-shot forecast.

A masked backbone forecasts by rebuilding patches that are hidden from it: one linear map from the token of a patch to
its P steps. A head that reads these tokens contains that map and can start with it: fine-tuning begins at the zero-shot
forecast, and ridge regression shrinks towards it instead of towards 0.
"""

import torch
from torch import Tensor, nn

from tracetune.heads.convolution import ConvolutionHead
from tracetune.heads.flatten import FlattenHead
from tracetune.heads.projection import ProjectionHead


def start_at_zero_shot(head: nn.Module, reconstruction: nn.Linear) -> bool:
    """Give a head the weights with which it forecasts what the backbone rebuilds in the last patches.

    Compact heads need a reduced width D' of at least P: their first P directions become those of the
    reconstruction, the others stay as they are.

    Args:
        head: maps tokens [..., N, D] to a forecast [..., H]; the last ceil(H / P) tokens are those of hidden patches.
        reconstruction: maps a token [D] to the P steps of its patch.

    Returns:
        Whether the head can do so; otherwise it is as before.
    """
    weight, bias = reconstruction.weight.detach(), reconstruction.bias.detach()
    patch_length = len(weight)
    if isinstance(head, FlattenHead):
        _write(head.output, weight, bias)
        return True
    if isinstance(head, ProjectionHead | ConvolutionHead) and head.down.out_features >= patch_length:
        if isinstance(head, ConvolutionHead):
            nn.init.dirac_(head.depthwise.weight, groups=len(head.depthwise.weight))
        head.down.weight.data[:patch_length] = weight
        pick = torch.eye(patch_length, head.down.out_features, dtype=weight.dtype, device=weight.device)
        _write(head.output, pick, bias)
        return True
    return False


def _write(layer: nn.Linear, weight: Tensor, bias: Tensor) -> None:
    """Set a linear layer from all features [N F] to H steps to ``weight`` [P, F] on each of the last patches."""
    steps, (patch_length, features) = layer.out_features, weight.shape
    patches = -(-steps // patch_length)
    blocks = torch.block_diag(*[weight] * patches)[:steps]
    layer.weight.data.zero_()
    layer.weight.data[:, -patches * features :] = blocks
    layer.bias.data.copy_(bias.repeat(patches)[:steps])
