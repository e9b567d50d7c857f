"""A compact head that looks at neighbouring patches before it narrows the tokens."""

from torch import Tensor, nn

from tracetune.heads.head import output_layer, register_head
from tracetune.heads.projection import ProjectionHead, down_projection

_KERNEL = 3  # patches that the convolution sees at once


@register_head("convolution")
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
        self.down = down_projection(width, beta)
        self.dropout = nn.Dropout(dropout)
        self.output = output_layer(num_patches * self.down.out_features, prediction_length)

    def forward(self, tokens: Tensor) -> Tensor:
        """Forecast [..., H] from tokens [..., N, D]."""
        return self.output(self.dropout(self.reduce(tokens).flatten(-2)))

    def reduce(self, tokens: Tensor) -> Tensor:
        """Return filtered and reduced tokens [..., N, D'] of tokens [..., N, D]."""
        rows = tokens.reshape(-1, *tokens.shape[-2:])
        return self.down(self.depthwise(rows.mT).mT.reshape(tokens.shape))

    @staticmethod
    def weights(num_patches: int, width: int, prediction_length: int, beta: int = 1) -> int:
        """Return 3 D + D D' + N D' H with D' = D / beta."""
        return _KERNEL * width + ProjectionHead.weights(num_patches, width, prediction_length, beta)
