"""Features of the series itself, which a classification head reads beside the tokens of a backbone.

Shapes: S series, B batch, C channels, L steps, F features.
"""

import copy
from dataclasses import dataclass
from typing import Self

from torch import Tensor

from tracetune.heads.classification_config import ClassificationHeadConfig
from tracetune.heads.competing_kernels import CompetingKernels
from tracetune.heads.convolutions import Convolutions
from tracetune.heads.kernel_counts import TAPS
from tracetune.heads.longest_stretches import LongestStretches

SeriesBlock = Convolutions | LongestStretches | CompetingKernels
"""Module from series [B, C, L] to features [B, F], with what it has learned of series without labels."""


@dataclass(frozen=True, eq=False)
class SeriesBlocks:
    """Blocks of features of the series itself; None where one is left out.

    Attributes:
        convolutions: shares of steps above thresholds.
        stretches: longest stretches above thresholds.
        competing_kernels: who wins and who loses of kernels that compete.
    """

    convolutions: Convolutions | None = None
    stretches: LongestStretches | None = None
    competing_kernels: CompetingKernels | None = None

    @classmethod
    def of(cls, config: ClassificationHeadConfig, channels: int, length: int) -> Self:
        """Return new blocks for series [C, L]; none where these are too short for a kernel."""
        if length <= TAPS:
            return cls()
        return cls(
            Convolutions(channels, length, config.convolutions) if config.convolutions else None,
            LongestStretches(channels, length, config.stretches) if config.stretches else None,
            CompetingKernels(channels, length, config.competing_kernels) if config.competing_kernels else None,
        )

    @property
    def present(self) -> list[SeriesBlock]:
        """Return those that are there."""
        return [block for block in (self.convolutions, self.stretches, self.competing_kernels) if block is not None]

    def learn(self, values: Tensor) -> None:
        """Take units and thresholds from series [S, C, L] without labels."""
        for block in self.present:
            block.learn(values)

    def copy(self) -> Self:
        """Return blocks of their own that have learned the same."""
        return copy.deepcopy(self)
