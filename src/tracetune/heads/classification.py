"""A head for classification: statistics of the tokens over time, at each scale, and one linear layer to the classes.

Shapes: B batch, C channels, N patches of all scales, D width, V scales, K classes.
"""

import math
from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn import functional

from tracetune.base.errors import InputError, unknown_name
from tracetune.heads.head import output_layer

RIDGE, SVM = "ridge", "svm"
SOLVERS = (RIDGE, SVM)
POOLS = 4  # mean, maximum, deviation, share above 0
_STEEPNESS = 8.0  # of the sigmoid whose gradient stands for that of the step
_LEAST_VARIANCE = 1e-8  # a deviation of 0 has no gradient


@dataclass(frozen=True)
class ClassificationHeadConfig:
    """Configuration of a classification head, and of what it reads.

    Attributes:
        dropout: share of the pooled features that is dropped in training; none is dropped once a solution was found
            without gradient descent.
        scales: lengths to which every series is resampled, as shares of the context; a longer one is cut into windows
            that overlap by half. Those at which the backbone cannot encode, or makes fewer than four patches, are left
            out.
        solver: what solves the layer without gradient descent: "ridge" regression on the classes, or linear support
            vector machines ("svm").
    """

    dropout: float = 0.1
    scales: tuple[float, ...] = (0.25, 0.5, 1.0, 2.0)
    solver: str = RIDGE

    def __post_init__(self) -> None:
        if not 0 <= self.dropout < 1:
            raise InputError(f"Expected a head dropout in [0, 1), found {self.dropout}.")
        object.__setattr__(self, "scales", tuple(self.scales))
        if not self.scales or not all(math.isfinite(scale) and 0 < scale <= 16 for scale in self.scales):
            raise InputError(f"Expected scales above 0 and up to 16, such as (0.5, 1.0), found {self.scales}.")
        if self.solver not in SOLVERS:
            raise unknown_name("head solver", self.solver, SOLVERS)


class ClassificationHead(nn.Module):
    """Tokens of every channel and scale, pooled over their patches in four ways, through one linear layer.

    Args:
        channels: C.
        width: D of a token.
        classes: K.
        patches: patches of each scale, N in all.
        dropout: share of the 4 V C D pooled features that is dropped in training.
        solver: what solves the layer without gradient descent.
    """

    def __init__(
        self,
        channels: int,
        width: int,
        classes: int,
        patches: tuple[int, ...],
        dropout: float = 0.1,
        solver: str = RIDGE,
    ) -> None:
        super().__init__()
        self.patches, self.solver = patches, solver
        self.dropout = nn.Dropout(dropout)
        self.output = output_layer(len(patches) * POOLS * channels * width, classes)

    @property
    def blocks(self) -> int:
        """Return the number of equal blocks of features, one a scale, each of which can be solved by itself."""
        return len(self.patches)

    def forward(self, tokens: Tensor, scale: int | None = None) -> Tensor:
        """Return logits [B, K] from tokens [B, C, N, D]; with ``scale``, those of one, taken to stand for all V."""
        if scale is None:
            return self.output(self.dropout(self.reduce(tokens).flatten(-2)))
        return self.blocks * self._part(tokens, scale) + self.output.bias

    def by_scale(self, tokens: Tensor) -> Tensor:
        """Return what each scale adds to the logits, [B, V, K], from tokens [B, C, N, D] of all scales."""
        parts = tokens.split(self.patches, dim=-2)
        return torch.stack([self._part(part, number) for number, part in enumerate(parts)], dim=1)

    def _part(self, tokens: Tensor, scale: int) -> Tensor:
        """Return the sums [B, K] of the weights of one scale times its features."""
        weight = self.output.weight.chunk(self.blocks, dim=1)[scale]
        return functional.linear(self.dropout(_pooled(tokens).flatten(-2)), weight)

    def reduce(self, tokens: Tensor) -> Tensor:
        """Return pooled tokens [B, 4 V C, D]: of one scale after the other mean, maximum, deviation, share above 0."""
        return torch.cat([_pooled(part) for part in tokens.split(self.patches, dim=-2)], dim=-2)


def _pooled(tokens: Tensor) -> Tensor:
    """Return pools [B, 4 C, D] of tokens [B, C, N, D]."""
    deviation = (tokens.var(dim=-2, unbiased=False) + _LEAST_VARIANCE).sqrt()
    return torch.cat([tokens.mean(dim=-2), tokens.amax(dim=-2), deviation, _above_zero(tokens).mean(dim=-2)], dim=-2)


def _above_zero(tokens: Tensor) -> Tensor:
    """Return 1 above 0, else 0; with the gradient of a steep sigmoid, since a step has none."""
    smooth = torch.sigmoid(_STEEPNESS * tokens)
    return (tokens > 0).to(tokens.dtype) + (smooth - smooth.detach())
