"""What a foundation model must offer to be fine-tuned here."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol, runtime_checkable

from torch import Tensor, nn


@dataclass(frozen=True)
class InstanceStatistics:
    """Location and scale of each input series, as its normalisation found them.

    Attributes:
        location: [B, C, 1] mean of the observed steps.
        scale: [B, C, 1] standard deviation of the observed steps, positive.
    """

    location: Tensor
    scale: Tensor

    def denormalise(self, values: Tensor) -> Tensor:
        """Map values [B, C, L] from the normalised space back to the units of the input."""
        return values * self.scale + self.location


@runtime_checkable
class Backbone(Protocol):
    """A pretrained encoder of time series, with the one task that it can do by itself.

    ``encode`` gives tokens for a head of ours; ``forecast`` is the zero-shot forecast.
    """

    context_length: int
    patch_length: int
    width: int

    def encode(self, values: Tensor, input_mask: Tensor | None = None) -> tuple[Tensor, InstanceStatistics]:
        """Tokens [B, C, N, D] and statistics of values [B, C, T] with observed steps ``input_mask`` [B, C, T]."""
        ...

    def forecast(self, past_values: Tensor, input_mask: Tensor | None, prediction_length: int) -> Tensor:
        """Zero-shot forecast [B, C, H] of past values [B, C, T]."""
        ...

    def pieces(self, context_length: int, prediction_length: int) -> int:
        """How many passes a zero-shot forecast of H steps takes, each continuing from the one before."""
        ...

    def num_patches(self, context_length: int) -> int:
        """Number of tokens N for a context of T steps."""
        ...

    def save_pretrained(self, folder: str | Path) -> None:
        """Write weights and configuration so that ``load_backbone(folder)`` finds them."""
        ...


@runtime_checkable
class MaskedBackbone(Backbone, Protocol):
    """A backbone that forecasts by rebuilding patches that are hidden from it."""

    @property
    def token_to_patch(self) -> nn.Linear:
        """The map from a token [D] to the P steps of its patch, normalised."""
        ...

    def encode_future(
        self, past_values: Tensor, input_mask: Tensor | None, prediction_length: int
    ) -> tuple[Tensor, InstanceStatistics]:
        """Tokens [B, C, N, D], the last of which belong to hidden patches in place of the next H steps."""
        ...


Prefix = Callable[[Tensor, Tensor], tuple[Tensor, int]]
"""From embedded patches [B, C, N, D] and the attended ones [B, C, N] to hidden states and the number of blocks done."""


@runtime_checkable
class BlockwiseBackbone(Backbone, Protocol):
    """A backbone whose blocks run one by one, so that those which do not change need not run again.

    Where ``prefix`` is set, ``encode`` and ``forecast`` ask it for the hidden states to go on from.
    """

    prefix: Prefix | None

    @property
    def blocks(self) -> nn.ModuleList:
        """The blocks in the order in which they run."""
        ...

    def run_blocks(self, hidden: Tensor, attended: Tensor, start: int = 0, stop: int | None = None) -> Tensor:
        """Hidden states [B, C, N, D] after blocks ``start`` to ``stop``, given those before."""
        ...


def frozen_blocks(blocks: Sequence[nn.Module] | nn.ModuleList) -> int:
    """How many of the first blocks have nothing that trains."""
    trains = (any(parameter.requires_grad for parameter in block.parameters()) for block in blocks)
    return next((number for number, trainable in enumerate(trains) if trainable), len(blocks))
