"""Embeddings of windows, and the loss that brings those of neighbouring windows together.

The scorer "neighbours" measures distances between these embeddings, and the loss trains them: both from here.

Shapes: B batch, K windows or negatives, V views (windows of a sample), W steps of a window, N patches, D width.
"""

from typing import TYPE_CHECKING

import torch
from torch import Tensor
from torch.nn import functional

if TYPE_CHECKING:
    from tracetune.backbones.backbone import Backbone

POSITIVES = 2  # a neighbour in time, and a repetition; they follow the anchor, and negatives follow them
NEGATIVES = 5
VIEWS = 1 + POSITIVES + NEGATIVES
TEMPERATURE = 0.1
_SHARE_OF_CONTEXT = 4


def resampled_steps(backbone: "Backbone") -> int:
    """Return how many steps a resampled window has: a quarter of the backbone's context."""
    return max(backbone.context_length // _SHARE_OF_CONTEXT, 2)


def resampled(windows: Tensor, backbone: "Backbone") -> Tensor:
    """Return windows [K, W], interpolated linearly, as [K, steps]: windows of any width cost the same."""
    steps = resampled_steps(backbone)
    return functional.interpolate(windows[:, None], size=steps, mode="linear", align_corners=True)[:, 0]


def embedded(backbone: "Backbone", windows: Tensor) -> Tensor:
    """Return unit vectors [K, N D]: the tokens of resampled windows [K, steps], each encoded by itself."""
    tokens = backbone.encode(windows[:, None])[0]
    return functional.normalize(tokens.flatten(1).float(), dim=-1)


def contrastive_losses(vectors: Tensor, pull: Tensor, temperature: float = TEMPERATURE) -> Tensor:
    """Return the loss of each sample [B]: InfoNCE over its own views, positives weighted.

    With the cosine s_v of the anchor and view v, temperature t, weights w_p of the positives p and negatives k,

        loss = sum_p w_p l_p / sum_p w_p,    l_p = -log( exp(s_p / t) / (exp(s_p / t) + sum_k exp(s_k / t)) )

    l_p is InfoNCE (van den Oord et al. 2018, eq. 4). That a positive is a neighbour in time is from temporal
    neighbourhood coding (Tonekaboni et al., ICLR 2021), that positives count by how alike the raw series are from soft
    contrastive learning (Lee et al., ICLR 2024). Negatives are those of the sample, so that samples are independent.

    Args:
        vectors: [B, V, E] unit vectors of the anchor, its positives, and its negatives, in this order.
        pull: [B, 2] weights of the positives, not negative, not all 0.
        temperature: what cosines are divided by.
    """
    cosines = (vectors[:, :1] * vectors[:, 1:]).sum(-1) / temperature  # [B, V - 1]
    positives, negatives = cosines[:, :POSITIVES], cosines[:, POSITIVES:]
    pushed = torch.logsumexp(negatives, dim=1, keepdim=True)
    losses = torch.logaddexp(positives, pushed) - positives
    return (losses * pull).sum(1) / pull.sum(1)
