"""The linear probe: one linear layer from all tokens of a series to its forecast."""

import math

from torch import Tensor, nn

_INITIAL_SPREAD = 0.02  # of the first forecasts, in standard deviations of the input series


class FlattenHead(nn.Module):
    """Tokens of all patches, side by side, through one linear layer: W in R^{(N D) x H}, and H biases.

    The biases start at 0 and the weights so small that the first forecast is the mean of the input series
    to within 2 % of its standard deviation. They are not exactly 0, because then no gradient would reach
    what lies below the head in the first step.

    Args:
        num_patches: N.
        width: D.
        prediction_length: H.
        dropout: share of the N D features that is dropped in training.
    """

    def __init__(self, num_patches: int, width: int, prediction_length: int, dropout: float = 0.1) -> None:
        super().__init__()
        features = num_patches * width
        self.dropout = nn.Dropout(dropout)
        self.linear = nn.Linear(features, prediction_length)
        nn.init.normal_(self.linear.weight, std=_INITIAL_SPREAD / math.sqrt(features))
        nn.init.zeros_(self.linear.bias)

    def forward(self, tokens: Tensor) -> Tensor:
        """Forecast [..., H] from tokens [..., N, D]."""
        return self.linear(self.dropout(tokens.flatten(-2)))


def flatten_weights(num_patches: int, width: int, prediction_length: int) -> int:
    """Weights of a `FlattenHead`: N D H."""
    return num_patches * width * prediction_length
