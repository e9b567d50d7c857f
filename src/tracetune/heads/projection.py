"""The compact head of TRACE (Li & Zhu, arXiv 2503.16991): narrower tokens first, then the linear probe on them."""

from torch import Tensor, nn

from tracetune.base.errors import InputError, argument
from tracetune.heads.head import output_layer, register_head


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
        self.down = down_projection(width, beta)
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


def down_projection(width: int, beta: int) -> nn.Linear:
    """Return a new map from D to D / beta features with orthonormal rows.

    Raises:
        InputError: ``beta`` does not divide D.
    """
    down = nn.Linear(width, _reduced_width(width, beta), bias=False)
    nn.init.orthogonal_(down.weight)
    return down


def _reduced_width(width: int, beta: int) -> int:
    if width % beta:
        raise InputError(f"Expected {argument('beta')} to divide the backbone's width D = {width}, found {beta}.")
    return width // beta
