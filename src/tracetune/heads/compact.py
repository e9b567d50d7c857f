"""Compact heads: fewer features per series first, then the linear probe on what is left.

These are the reduced heads of TRACE (Li & Zhu, arXiv 2503.16991), where most of the trainable parameters of a
fine-tuned forecaster are saved. ``beta`` is the factor by which the N D features of a series shrink.
"""

import math

from torch import Tensor, nn
from torch.nn import functional

from tracetune.base.errors import InputError
from tracetune.heads.flatten import FlattenHead, flatten_weights

_KERNEL = 3  # patches that the convolution sees at once


class ProjectionHead(nn.Module):
    """Each token down to D' = D / beta features, then the linear probe: D D' + N D' H weights.

    The down-projection has no bias, since the output layer's would absorb it. It starts with orthonormal
    rows, which keep the scale of the tokens.

    Args:
        num_patches: N.
        width: D.
        prediction_length: H.
        beta: reduction factor; divides D.
        dropout: share of the N D' reduced features that is dropped in training.

    Raises:
        InputError: ``beta`` does not divide D.
    """

    def __init__(
        self, num_patches: int, width: int, prediction_length: int, beta: int = 1, dropout: float = 0.1
    ) -> None:
        super().__init__()
        self.down = _down_projection(width, beta)
        self.output = FlattenHead(num_patches, self.down.out_features, prediction_length, dropout)

    def forward(self, tokens: Tensor) -> Tensor:
        """Forecast [..., H] from tokens [..., N, D]."""
        return self.output(self.reduce(tokens))

    def reduce(self, tokens: Tensor) -> Tensor:
        """Reduced tokens [..., N, D'] of tokens [..., N, D]."""
        return self.down(tokens)


class ConvolutionHead(nn.Module):
    """A depthwise separable convolution along the patches, then the linear probe: 3 D + D D' + N D' H weights.

    The depthwise part gives every feature its own filter over three neighbouring patches (zeros beyond the
    ends); the pointwise part reduces D to D' = D / beta. The filters start as the identity, so that the head
    starts as a `ProjectionHead`. Neither part has a bias.

    Args:
        num_patches: N.
        width: D.
        prediction_length: H.
        beta: reduction factor; divides D.
        dropout: share of the N D' reduced features that is dropped in training.

    Raises:
        InputError: ``beta`` does not divide D.
    """

    def __init__(
        self, num_patches: int, width: int, prediction_length: int, beta: int = 1, dropout: float = 0.1
    ) -> None:
        super().__init__()
        self.depthwise = nn.Conv1d(width, width, _KERNEL, padding=_KERNEL // 2, groups=width, bias=False)
        nn.init.dirac_(self.depthwise.weight, groups=width)
        self.down = _down_projection(width, beta)
        self.output = FlattenHead(num_patches, self.down.out_features, prediction_length, dropout)

    def forward(self, tokens: Tensor) -> Tensor:
        """Forecast [..., H] from tokens [..., N, D]."""
        return self.output(self.reduce(tokens))

    def reduce(self, tokens: Tensor) -> Tensor:
        """Filtered and reduced tokens [..., N, D'] of tokens [..., N, D]."""
        rows = tokens.reshape(-1, *tokens.shape[-2:])
        return self.down(self.depthwise(rows.mT).mT.reshape(tokens.shape))


class PoolingHead(nn.Module):
    """The mean of every ``beta`` neighbouring patches, then the linear probe: ceil(N / beta) D H weights.

    The reduction has no parameters. Where ``beta`` does not divide N, the last group is the mean of fewer patches.

    Args:
        num_patches: N.
        width: D.
        prediction_length: H.
        beta: patches per group; at most N.
        dropout: share of the ceil(N / beta) D pooled features that is dropped in training.

    Raises:
        InputError: ``beta`` is larger than N.
    """

    def __init__(
        self, num_patches: int, width: int, prediction_length: int, beta: int = 1, dropout: float = 0.1
    ) -> None:
        super().__init__()
        self.beta = beta
        self.output = FlattenHead(_groups(num_patches, beta), width, prediction_length, dropout)

    def forward(self, tokens: Tensor) -> Tensor:
        """Forecast [..., H] from tokens [..., N, D]."""
        return self.output(self.reduce(tokens))

    def reduce(self, tokens: Tensor) -> Tensor:
        """Pooled tokens [..., ceil(N / beta), D] of tokens [..., N, D]."""
        rows = tokens.reshape(-1, *tokens.shape[-2:])
        pooled = functional.avg_pool1d(rows.mT, self.beta, ceil_mode=True).mT  # [rows, ceil(N / beta), D]
        return pooled.reshape(*tokens.shape[:-2], *pooled.shape[-2:])


def projection_weights(num_patches: int, width: int, prediction_length: int, beta: int = 1) -> int:
    """Weights of a `ProjectionHead`: D D' + N D' H with D' = D / beta."""
    reduced = _reduced_width(width, beta)
    return width * reduced + flatten_weights(num_patches, reduced, prediction_length)


def convolution_weights(num_patches: int, width: int, prediction_length: int, beta: int = 1) -> int:
    """Weights of a `ConvolutionHead`: 3 D + D D' + N D' H with D' = D / beta."""
    return _KERNEL * width + projection_weights(num_patches, width, prediction_length, beta)


def pooling_weights(num_patches: int, width: int, prediction_length: int, beta: int = 1) -> int:
    """Weights of a `PoolingHead`: ceil(N / beta) D H."""
    return flatten_weights(_groups(num_patches, beta), width, prediction_length)


def _down_projection(width: int, beta: int) -> nn.Linear:
    down = nn.Linear(width, _reduced_width(width, beta), bias=False)
    nn.init.orthogonal_(down.weight)
    return down


def _reduced_width(width: int, beta: int) -> int:
    if width % beta:
        raise InputError(f"Expected a beta that divides the backbone's width D = {width}, found {beta}.")
    return width // beta


def _groups(num_patches: int, beta: int) -> int:
    if beta > num_patches:
        raise InputError(f"Expected a beta of at most the number of patches N = {num_patches}, found {beta}.")
    return math.ceil(num_patches / beta)
