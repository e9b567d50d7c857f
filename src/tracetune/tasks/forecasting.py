"""Forecasting: a backbone, a head, and the loss of their forecast."""

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional
from transformers import PreTrainedConfig
from transformers.utils import ModelOutput

from tracetune.backbones.backbone import Backbone, InstanceStatistics, MaskedBackbone
from tracetune.backbones.loading import load_backbone
from tracetune.base.errors import InputError
from tracetune.heads.head import HeadConfig, build_head
from tracetune.heads.native import start_as_own_forecast


@dataclass
class ForecastOutput(ModelOutput):
    """What a forecast model returns.

    Attributes:
        loss: mean of ``sample_losses``; None without future values.
        sample_losses: [B] mean squared error of each sample over its observed future steps.
        forecast: [B, C, H] in the units of the input.
        scale: [B, C, 1] standard deviation of each input series.
    """

    loss: Tensor | None = None
    sample_losses: Tensor | None = None
    forecast: Tensor | None = None
    scale: Tensor | None = None


class ForecastModel(nn.Module):
    """Backbone and forecasting head as one module, which PEFT, Accelerate and the Trainer take as it is.

    Without a head (``head=None``) the backbone forecasts by itself, zero-shot. Contexts shorter than T
    are padded on the left as unobserved, longer ones are cut to their last T steps.

    Attributes:
        head_tokens: which tokens the head reads, see HeadConfig ("auto" is decided here).
        own_directions: how many rows of a compact head's projection make up the backbone's own forecast, with which the
            head starts; None where it starts from random weights.
    """

    def __init__(
        self,
        backbone: Any,
        head: nn.Module | None,
        prediction_length: int,
        context_length: int,
        name_or_path: str = "",
        head_tokens: str = "context",
    ) -> None:
        super().__init__()
        self.head_tokens = head_tokens
        self.own_directions: int | None = None
        self.backbone = backbone
        self.head = head
        self.prediction_length = prediction_length
        self.context_length = context_length
        # PEFT and the Trainer expect a config. The name is not an attribute of the model itself: PEFT would
        # take it for a hub id and look for its vocabulary there at every save.
        self.config = PreTrainedConfig(name_or_path=name_or_path, architectures=["ForecastModel"])

    @classmethod
    def from_pretrained(
        cls,
        name_or_folder: str,
        prediction_length: int,
        head: HeadConfig | None = None,
        context_length: int | None = None,
    ) -> "ForecastModel":
        """Load a backbone and put a new head on it; ``head=None`` leaves the backbone's own forecast.

        Raises:
            InputError: unknown model, damaged files, or lengths below 1.
        """
        return cls.from_backbone(load_backbone(name_or_folder), prediction_length, head, context_length, name_or_folder)

    @classmethod
    def from_backbone(
        cls,
        backbone: Backbone,
        prediction_length: int,
        head: HeadConfig | None = None,
        context_length: int | None = None,
        name_or_path: str = "",
    ) -> "ForecastModel":
        """Put a new head on a backbone that is already loaded.

        Raises:
            InputError: lengths below 1, or a head that reads tokens which this backbone does not have.
        """
        context_length = backbone.context_length if context_length is None else context_length
        for name, value in (("prediction_length", prediction_length), ("context_length", context_length)):
            if value < 1:
                raise InputError(f"Expected {name} of at least 1, found {value}.")
        if head is None:
            return cls(backbone, None, prediction_length, context_length, str(name_or_path))
        tokens = _resolved_tokens(head.tokens, backbone, context_length, prediction_length)
        patches = backbone.num_patches(prediction_length if tokens == "future" else context_length)
        module = build_head(head, patches, backbone.width, prediction_length)
        model = cls(backbone, module, prediction_length, context_length, str(name_or_path), tokens)
        if tokens != "context":
            assert isinstance(backbone, MaskedBackbone), "only these have tokens of the future"
            if start_as_own_forecast(module, backbone.token_to_patch):
                model.own_directions = backbone.patch_length
        return model

    def forward(
        self,
        past_values: Tensor,
        input_mask: Tensor | None = None,
        future_values: Tensor | None = None,
        future_mask: Tensor | None = None,
    ) -> ForecastOutput:
        """Forecast, and the loss where the future is given.

        Args:
            past_values: [B, C, T], any T; NaN counts as missing.
            input_mask: [B, C, T] or [B, T], 1 where observed.
            future_values: [B, C, H].
            future_mask: [B, C, H], 1 where the future is observed.
        """
        if self.head is None:
            past_values, input_mask = self._fit_context(past_values, input_mask)
            forecast = self.backbone.forecast(past_values, input_mask, self.prediction_length)
            scale = _context_scale(past_values, input_mask)
        else:
            tokens, statistics = self.encode(past_values, input_mask)
            forecast, scale = self.decode(tokens, statistics), statistics.scale
        if future_values is None:
            return ForecastOutput(forecast=forecast, scale=scale)
        losses = squared_error_per_sample(forecast, future_values, future_mask)
        return ForecastOutput(loss=losses.mean(), sample_losses=losses, forecast=forecast, scale=scale)

    def encode(self, past_values: Tensor, input_mask: Tensor | None = None) -> tuple[Tensor, InstanceStatistics]:
        """The tokens [B, C, N, D] of past values [B, C, T] that the head reads, and the statistics of the values."""
        context = self._fit_context(past_values, input_mask)
        if self.head_tokens == "context":
            return self.backbone.encode(*context)
        tokens, statistics = self.backbone.encode_future(*context, self.prediction_length)
        if self.head_tokens == "future":
            tokens = tokens[..., -self.backbone.num_patches(self.prediction_length) :, :]
        return tokens, statistics

    def decode(self, tokens: Tensor, statistics: InstanceStatistics) -> Tensor:
        """Forecast [B, C, H] from tokens [B, C, N, D]."""
        assert self.head is not None, "decode needs a head"
        return statistics.denormalise(self.head(tokens).float())

    def train(self, mode: bool = True) -> "ForecastModel":
        """As usual, but a frozen backbone stays in evaluation mode: dropout would only blur its features."""
        super().train(mode)
        if not any(parameter.requires_grad for parameter in self.backbone.parameters()):
            self.backbone.eval()
        return self

    def _fit_context(self, past_values: Tensor, input_mask: Tensor | None) -> tuple[Tensor, Tensor]:
        if input_mask is None:
            input_mask = torch.ones_like(past_values)
        missing = self.context_length - past_values.shape[-1]  # negative padding cuts
        return functional.pad(past_values, (missing, 0)), functional.pad(input_mask, (missing, 0))


def _resolved_tokens(tokens: str, backbone: Any, context_length: int, prediction_length: int) -> str:
    """Which tokens a head reads, "auto" decided."""
    masked = isinstance(backbone, MaskedBackbone) and backbone.pieces(context_length, prediction_length) == 1
    if tokens == "auto":
        return "future" if masked else "context"
    if tokens != "context" and not masked:
        raise InputError(
            f"Expected a backbone that forecasts {prediction_length} steps in one pass by rebuilding hidden patches of "
            f"a context of {context_length} steps, for a head that reads tokens={tokens!r}; this one does not. "
            "Use tokens='context' (or 'auto'), or a shorter horizon."
        )
    return tokens


def squared_error_per_sample(forecast: Tensor, future_values: Tensor, future_mask: Tensor | None) -> Tensor:
    """Mean squared error [B] of forecasts [B, C, H] over the observed future steps."""
    errors = (forecast - future_values).square()
    if future_mask is None:
        return errors.flatten(1).mean(dim=1)
    return (errors * future_mask).flatten(1).sum(dim=1) / future_mask.flatten(1).sum(dim=1).clamp(min=1)


def head_description(head: HeadConfig | None) -> dict[str, Any] | None:
    """The head's configuration as JSON; None for the backbone's own forecast."""
    return None if head is None else asdict(head)


def _context_scale(past_values: Tensor, input_mask: Tensor) -> Tensor:
    from tracetune.backbones.moment import normalise

    mask = input_mask if input_mask.ndim == 3 else input_mask.unsqueeze(1).expand(past_values.shape)
    return normalise(past_values, mask.bool() & ~past_values.isnan())[1].scale


class HeadOnFeatures(nn.Module):
    """A forecasting head that trains on features computed beforehand; same losses as in its model."""

    def __init__(self, head: nn.Module) -> None:
        super().__init__()
        self.head = head

    def forward(
        self, tokens: Tensor, location: Tensor, scale: Tensor, future_values: Tensor, future_mask: Tensor
    ) -> ForecastOutput:
        """Loss from tokens [B, C, N, D], statistics [B, C, 1] and the future [B, C, H]."""
        forecast = InstanceStatistics(location, scale).denormalise(self.head(tokens.float()).float())
        losses = squared_error_per_sample(forecast, future_values, future_mask)
        return ForecastOutput(loss=losses.mean(), sample_losses=losses)


def frozen_features(model: ForecastModel, batch: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """What :class:`HeadOnFeatures` needs of a batch of windows."""
    tokens, statistics = model.encode(batch["past_values"], batch["input_mask"])
    return {
        "tokens": tokens,
        "location": statistics.location,
        "scale": statistics.scale,
        "future_values": batch["future_values"],
        "future_mask": batch["future_mask"],
    }
