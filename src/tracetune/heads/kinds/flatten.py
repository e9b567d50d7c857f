"""The linear probe: one linear layer from all tokens of a series to its forecast."""

from torch import Tensor, nn

from tracetune.heads.head import output_layer
from tracetune.heads.kinds.kind import register_head


@register_head("flatten", reduces=False)
class FlattenHead(nn.Module):
    """Tokens of all patches, side by side, through one linear layer: W in R^{(N D) x H}, and H biases.

    Args:
        num_patches: N.
        width: D.
        prediction_length: H.
        dropout: share of the N D features that is dropped in training.
    """

    def __init__(self, num_patches: int, width: int, prediction_length: int, dropout: float = 0.1) -> None:
        super().__init__()
        self.dropout = nn.Dropout(dropout)
        self.output = output_layer(num_patches * width, prediction_length)

    def forward(self, tokens: Tensor) -> Tensor:
        """Forecast [..., H] from tokens [..., N, D]."""
        return self.output(self.dropout(tokens.flatten(-2)))

    def reduce(self, tokens: Tensor) -> Tensor:
        """Return the tokens [..., N, D] as they are."""
        return tokens

    @staticmethod
    def weights(num_patches: int, width: int, prediction_length: int) -> int:
        """Return the number of weights, N D H."""
        return num_patches * width * prediction_length
