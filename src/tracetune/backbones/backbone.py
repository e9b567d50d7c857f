"""The interface of foundation models that are fine-tuned here."""

from abc import ABC, abstractmethod
from collections.abc import Callable, Sequence
from typing import NamedTuple, Protocol, runtime_checkable

from torch import Tensor, nn

from tracetune.backbones.normalisation import InstanceStatistics


class Encoded(NamedTuple):
    """Tokens of series, and the statistics to denormalise with.

    Attributes:
        tokens: [B, C, N, D].
        statistics: of the series, in whose units forecasts are given back.
    """

    tokens: Tensor
    statistics: InstanceStatistics


class Backbone(nn.Module, ABC):
    """A pretrained encoder of time series. The protocols below describe what some backbones can do besides.

    Attributes:
        context_length: T that it was pretrained with.
        width: D of a token.
    """

    context_length: int
    width: int

    @abstractmethod
    def encode(self, values: Tensor, input_mask: Tensor | None = None, patch_mask: Tensor | None = None) -> Encoded:
        """Normalise and encode series.

        Args:
            values: [B, C, T], any T; NaN counts as missing.
            input_mask: [B, C, T] or [B, T], 1 where observed; None for all observed.
            patch_mask: [B, C, N] or [B, N] bool, true for patches hidden from the model; a backbone that cannot hide
                patches raises InputError.
        """

    @abstractmethod
    def num_patches(self, context_length: int) -> int:
        """Return the number of tokens N for a context of T steps."""

    @abstractmethod
    def adapted_layers(self) -> list[str]:
        """Return the names of the linear layers that adapters go on."""


@runtime_checkable
class ZeroShotForecaster(Protocol):
    """A backbone with a zero-shot forecast."""

    def forecast(self, past_values: Tensor, input_mask: Tensor | None, prediction_length: int) -> Tensor:
        """Return the zero-shot forecast [B, C, H] of past values [B, C, T]."""
        ...

    def num_passes(self, context_length: int, prediction_length: int) -> int:
        """Return how many passes a forecast of H steps takes, each continuing from the one before."""
        ...


@runtime_checkable
class QuantileForecaster(ZeroShotForecaster, Protocol):
    """A backbone with zero-shot quantiles; its point forecast is the median.

    Attributes:
        quantile_levels: Q levels in (0, 1), ascending, 0.5 among them.
    """

    quantile_levels: tuple[float, ...]

    def forecast_quantiles(self, past_values: Tensor, input_mask: Tensor | None, prediction_length: int) -> Tensor:
        """Return the zero-shot quantiles [B, C, H, Q] of past values [B, C, T], at ``quantile_levels``."""
        ...


@runtime_checkable
class MaskedBackbone(ZeroShotForecaster, Protocol):
    """A backbone that forecasts by rebuilding patches that are hidden from it."""

    @property
    def token_to_patch(self) -> nn.Linear:
        """Return the map from a token [D] to the P steps of its patch, normalised."""
        ...

    def encode_future(
        self, past_values: Tensor, input_mask: Tensor | None, prediction_length: int, future_only: bool = False
    ) -> Encoded:
        """Encode a context whose last patches are hidden ones in place of the next H steps; or these alone."""
        ...


Prefix = Callable[[Tensor, Tensor], tuple[Tensor, int]]
"""From embedded patches [B, C, N, D] and the attended ones [B, C, N] to hidden states and the number of blocks done."""


@runtime_checkable
class DecodingBackbone(Protocol):
    """A backbone with layers that only its zero-shot forecast runs; under a head they are not adapted."""

    def decoder_layers(self) -> list[str]:
        """Return the names of these layers, some of ``adapted_layers()``."""
        ...


@runtime_checkable
class BlockwiseBackbone(Protocol):
    """A backbone whose blocks run one by one, so that those which do not change need not run again.

    Where ``prefix`` is set, ``encode`` and ``forecast`` ask it for the hidden states to go on from.
    """

    prefix: Prefix | None

    @property
    def blocks(self) -> nn.ModuleList:
        """Return the blocks in the order in which they run."""
        ...

    def run_blocks(self, hidden: Tensor, attended: Tensor, start: int = 0, stop: int | None = None) -> Tensor:
        """Return hidden states [B, C, N, D] after blocks ``start`` to ``stop``, given those before."""
        ...


def evaluate_frozen(embedding: nn.Module, blocks: nn.ModuleList) -> None:
    """Set embedding and blocks below the lowest trainable one to evaluation mode: their outputs are fixed."""
    frozen = frozen_blocks(blocks)
    if frozen and not any(parameter.requires_grad for parameter in embedding.parameters()):
        embedding.eval()
        blocks[:frozen].eval()


def frozen_blocks(blocks: Sequence[nn.Module] | nn.ModuleList) -> int:
    """Return how many of the first blocks have no trainable parameter."""
    trainable = (any(parameter.requires_grad for parameter in block.parameters()) for block in blocks)
    return next((number for number, is_trainable in enumerate(trainable) if is_trainable), len(blocks))
