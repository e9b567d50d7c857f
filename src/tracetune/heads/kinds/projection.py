"""Compact heads with narrower tokens: TRACE's projection (Li & Zhu, arXiv 2503.16991), and a convolution before it."""

from torch import Tensor, nn

from tracetune.base.errors import InputError, argument
from tracetune.heads.head import output_layer
from tracetune.heads.kinds.kind import register_head

_KERNEL = 3  # patches that the convolution sees at once


@register_head("projection")
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
        self.down = nn.Linear(width, _reduced_width(width, beta), bias=False)
        nn.init.orthogonal_(self.down.weight)
        self.dropout = nn.Dropout(dropout)
        self.output = output_layer(num_patches * self.down.out_features, prediction_length)

    def forward(self, tokens: Tensor) -> Tensor:
        """Forecast [..., H] from tokens [..., N, D]."""
        return self.output(self.dropout(self.reduce(tokens).flatten(-2)))

    def reduce(self, tokens: Tensor) -> Tensor:
        """Return reduced tokens [..., N, D'] of tokens [..., N, D]."""
        return self.down(tokens)

    @staticmethod
    def weights(num_patches: int, width: int, prediction_length: int, beta: int = 1) -> int:
        """Return D D' + N D' H with D' = D / beta."""
        reduced = _reduced_width(width, beta)
        return width * reduced + num_patches * reduced * prediction_length


@register_head("convolution")
class ConvolutionHead(ProjectionHead):
    """A depthwise convolution along the patches, then the projection and the linear probe: 3 D + D D' + N D' H weights.

    Together they are a depthwise separable convolution: every feature has its own filter, without bias, over three
    neighbouring patches (zeros beyond the ends). The filters start as the identity, so that the head starts as a
    `ProjectionHead`, whose arguments and errors it has.
    """

    def __init__(
        self, num_patches: int, width: int, prediction_length: int, beta: int = 1, dropout: float = 0.1
    ) -> None:
        depthwise = nn.Conv1d(width, width, _KERNEL, padding=_KERNEL // 2, groups=width, bias=False)
        super().__init__(num_patches, width, prediction_length, beta, dropout)
        self.depthwise = depthwise
        self.start_as_projection()

    def start_as_projection(self) -> None:
        """Set the filters to the identity."""
        nn.init.dirac_(self.depthwise.weight, groups=len(self.depthwise.weight))

    def reduce(self, tokens: Tensor) -> Tensor:
        """Return filtered and reduced tokens [..., N, D'] of tokens [..., N, D]."""
        rows = tokens.reshape(-1, *tokens.shape[-2:])
        return super().reduce(self.depthwise(rows.mT).mT.reshape(tokens.shape))

    @staticmethod
    def weights(num_patches: int, width: int, prediction_length: int, beta: int = 1) -> int:
        """Return 3 D + D D' + N D' H with D' = D / beta."""
        return _KERNEL * width + ProjectionHead.weights(num_patches, width, prediction_length, beta)


def _reduced_width(width: int, beta: int) -> int:
    if width % beta:
        raise InputError(f"Expected {argument('beta')} to divide the backbone's width D = {width}, found {beta}.")
    return width // beta
