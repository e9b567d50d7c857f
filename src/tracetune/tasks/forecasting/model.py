"""Forecasting: a backbone, a head, and the loss of their forecast."""

import copy
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import ClassVar

from torch import Tensor, nn

from tracetune.backbones.backbone import Backbone, Encoded, MaskedBackbone, QuantileForecaster, ZeroShotForecaster
from tracetune.backbones.loading import load_backbone
from tracetune.backbones.normalisation import InstanceStatistics, normalise, per_channel
from tracetune.base.argument_types import checked
from tracetune.base.errors import InputError, argument
from tracetune.base.module_device import module_device
from tracetune.heads.build import build_head
from tracetune.heads.config import FORECASTING_HEAD, HeadConfig
from tracetune.heads.head import is_head
from tracetune.heads.solvers.ridge import fit_ridge
from tracetune.heads.zero_shot_start import ZeroShotTokens, start_at_zero_shot
from tracetune.tasks.forecasting.adjustment import UNADJUSTED, Adjustment
from tracetune.tasks.forecasting.context_views import ContextViews, decided_tokens, fit_context
from tracetune.tasks.forecasting.losses import quantile_loss_per_sample, squared_error_per_sample
from tracetune.tasks.forecasting.output import ForecastOutput
from tracetune.tasks.forecasting.resolution import checked_resolutions, require_resolutions, token_counts
from tracetune.tasks.task import Features, TaskModel


class ForecastModel(TaskModel):
    """Backbone and forecasting head.

    Without a head (``head=None``) the forecast is the backbone's zero-shot forecast. Contexts shorter than T are padded
    on the left as unobserved, longer ones are cut to their last T steps.

    Inputs, forecasts and losses are in the steps of the series, whatever the resolution at which the backbone reads
    them (see tasks/forecasting/resolution.py). Of several resolutions the forecasts are averaged; a head reads the
    tokens of all.

    >>> import torch
    >>> from tracetune import HeadConfig
    >>> head = HeadConfig("projection", beta=4)
    >>> model = ForecastModel.from_pretrained("tracetune/tiny", prediction_length=24, head=head, context_length=96)
    >>> output = model(past_values=torch.randn(8, 1, 96), future_values=torch.randn(8, 1, 24))
    >>> output.forecast.shape, output.sample_losses.shape
    (torch.Size([8, 1, 24]), torch.Size([8]))

    Attributes:
        resolutions: points a step at which the backbone reads series; (1,) for series as they are.
        adjustment: trend and season that are taken out of contexts before and put back after.
        head_tokens: which tokens the head reads, see HeadConfig ("auto" is decided here).
        head_config: what the head was built from; None for the zero-shot forecast.
        kept_directions: how many rows of a compact head's projection make up the forecast with which the head starts;
            None where it starts from random weights.
        first_weights: the weights of an earlier fine-tuning with which the head starts; None where it starts as the
            zero-shot forecast, or from random weights.
        quantile_loss: whether the loss is that of the backbone's quantiles; else it is the squared error of the
            forecast.
    """

    labels = ("future_values",)

    def __init__(
        self,
        backbone: Backbone,
        head: nn.Module | None,
        prediction_length: int,
        context_length: int,
        name_or_path: str = "",
        head_tokens: str = "context",
        resolutions: Sequence[int] = (1,),
        adjustment: Adjustment = UNADJUSTED,
    ) -> None:
        super().__init__(backbone, head, name_or_path)
        self.adjustment = adjustment
        self.head_tokens = head_tokens
        self.resolutions = tuple(resolutions)
        self.head_config: HeadConfig | None = None
        self.kept_directions: int | None = None
        self.first_weights: dict[str, Tensor] | None = None
        self.quantile_loss = False
        self.prediction_length = prediction_length
        self.context_length = context_length

    @classmethod
    @checked
    def from_pretrained(
        cls,
        name_or_folder: str,
        prediction_length: int,
        head: HeadConfig | None = None,
        context_length: int | None = None,
        resolution: int | Sequence[int] = 1,
        adjustment: Adjustment = UNADJUSTED,
    ) -> "ForecastModel":
        """Load a backbone and put a new head on it; ``head=None`` leaves the zero-shot forecast.

        Raises:
            InputError: unknown model, damaged files, lengths below 1, or a resolution that the backbone cannot forecast
                at.
        """
        backbone = load_backbone(name_or_folder)
        return cls.from_backbone(
            backbone, prediction_length, head, context_length, name_or_folder, resolution, adjustment
        )

    @classmethod
    @checked
    def from_backbone(
        cls,
        backbone: Backbone,
        prediction_length: int,
        head: HeadConfig | None = None,
        context_length: int | None = None,
        name_or_path: str = "",
        resolution: int | Sequence[int] = 1,
        adjustment: Adjustment = UNADJUSTED,
    ) -> "ForecastModel":
        """Put a new head on a backbone that is already loaded.

        Raises:
            InputError: lengths below 1, a head that reads tokens which this backbone does not have, or a resolution
                that it cannot forecast at.
        """
        resolutions = checked_resolutions(resolution)
        context_length = backbone.context_length if context_length is None else context_length
        for name, value in {"prediction_length": prediction_length, "context_length": context_length}.items():
            if value < 1:
                raise InputError(f"Expected {argument(name)} of at least 1, found {value}.")
        require_resolutions(backbone, resolutions, prediction_length)
        if head is None:
            lengths_and_name = prediction_length, context_length, str(name_or_path)
            return cls(backbone, None, *lengths_and_name, resolutions=resolutions, adjustment=adjustment)
        tokens = decided_tokens(head.tokens, backbone, resolutions, context_length, prediction_length)
        counts = token_counts(backbone, resolutions, context_length, prediction_length, tokens)
        module = build_head(head, sum(counts), backbone.width, prediction_length).to(module_device(backbone))
        lengths_and_name = prediction_length, context_length, str(name_or_path)
        model = cls(backbone, module, *lengths_and_name, tokens, resolutions, adjustment)
        model.head_config = head
        if tokens != "context":
            assert isinstance(backbone, MaskedBackbone), "only these have tokens of the future"
            if start_at_zero_shot(module, backbone.token_to_patch, model._zero_shot_tokens()):
                model.kept_directions = backbone.token_to_patch.out_features
        return model

    @property
    def zero_shot_quantile_levels(self) -> tuple[float, ...] | None:
        """Return the Q levels of the quantiles that the model forecasts; None where it forecasts points only."""
        zero_shot = self.head is None and isinstance(self.backbone, QuantileForecaster)
        return tuple(self.backbone.quantile_levels) if zero_shot else None

    @property
    def tokens_per_sample(self) -> int:
        """Return the number of tokens of a context, over all resolutions: samples have one channel."""
        return sum(self._views.token_counts("context"))

    def forward(  # type: ignore[override]  # batches of forecasting have these entries
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
            past_values, input_mask = fit_context(past_values, input_mask, self.context_length)
            forecast, quantiles = self._views.forecast(past_values, input_mask)
            scale = _context_scale(past_values, input_mask)
        else:
            tokens, statistics = self.encode(past_values, input_mask)
            forecast, scale, quantiles = self.decode(tokens, statistics), statistics.scale, None
        if future_values is None:
            return ForecastOutput(forecast=forecast, scale=scale, quantiles=quantiles)
        losses = self._sample_losses(forecast, quantiles, future_values, future_mask)
        return ForecastOutput(losses.mean(), losses, forecast, scale, quantiles)

    def encode(self, past_values: Tensor, input_mask: Tensor | None = None) -> Encoded:
        """Return the tokens [B, C, N, D] of past values [B, C, T] that the head reads, and the values' statistics."""
        return self._views.encode(past_values, input_mask)

    def decode(self, tokens: Tensor, statistics: InstanceStatistics) -> Tensor:
        """Forecast [B, C, H] from tokens [B, C, N, D]."""
        assert self.head is not None, "decode needs a head"
        return statistics.denormalise(self.head(tokens).float())

    def features(self, batch: Mapping[str, Tensor]) -> dict[str, Tensor]:
        """Return tokens [B, C, N, D], statistics [B, C, 1] and the future [B, C, H] of a batch of windows."""
        tokens, statistics = self.encode(batch["past_values"], batch["input_mask"])
        return {
            "tokens": tokens,
            "location": statistics.location,
            "scale": statistics.scale,
            "future_values": batch["future_values"],
            "future_mask": batch["future_mask"],
        }

    def loss(self, outputs: Tensor, features: Mapping[str, Tensor]) -> ForecastOutput:
        """Return the losses of normalised forecasts [B, C, H]."""
        forecast = InstanceStatistics(features["location"], features["scale"]).denormalise(outputs)
        losses = squared_error_per_sample(forecast, features["future_values"], features["future_mask"])
        return ForecastOutput(loss=losses.mean(), sample_losses=losses)

    def zero_shot_head(self) -> nn.Module | None:
        """Return a head that starts as the zero-shot forecast, with the further directions of the present one.

        A head that started as that of an earlier fine-tuning goes back to that one.
        """
        if self.kept_directions is None or self.head is None:
            return None
        head = copy.deepcopy(self.head)
        if self.first_weights is not None:
            head.load_state_dict(self.first_weights)
            return head
        start_at_zero_shot(head, self.backbone.token_to_patch, self._zero_shot_tokens())
        return head

    def start_at(self, tuned: "ForecastModel") -> None:
        """Start the head as that of a model tuned before, if both are of one kind; else leave it as it is."""
        if tuned.head is None or self.head is None or tuned.head_config != self.head_config:
            return
        self.first_weights = {name: weight.detach().clone() for name, weight in tuned.head.state_dict().items()}
        self.head.load_state_dict(self.first_weights)
        down = getattr(self.head, "down", None)
        self.kept_directions = 0 if down is None else down.out_features

    def cache_obstacle(self) -> str | None:
        """Return why states of frozen blocks cannot be kept: several passes for one sample."""
        if len(self.resolutions) > 1:
            return "several resolutions are several passes, and states are kept of one"
        if self.head is None and self.backbone.num_passes(self.context_length, self.prediction_length) > 1:
            return "this horizon takes several passes through the blocks, of which each depends on the one before"
        return None

    def _sample_losses(
        self, forecast: Tensor, quantiles: Tensor | None, future_values: Tensor, future_mask: Tensor | None
    ) -> Tensor:
        """Return the loss [B] of each sample."""
        if not self.quantile_loss:
            return squared_error_per_sample(forecast, future_values, future_mask)
        assert quantiles is not None, "only what forecasts quantiles by itself is trained on their loss"
        return quantile_loss_per_sample(quantiles, self.backbone.quantile_levels, future_values, future_mask)

    @property
    def _views(self) -> ContextViews:
        """Return the backbone with the contexts that it reads."""
        lengths = self.prediction_length, self.context_length
        return ContextViews(self.backbone, *lengths, self.resolutions, self.adjustment, self.head_tokens)

    def _zero_shot_tokens(self) -> list[ZeroShotTokens]:
        """Return how many tokens the head reads at each resolution."""
        counts = self._views.token_counts(self.head_tokens)
        return [ZeroShotTokens(*pair) for pair in zip(counts, self.resolutions, strict=True)]


def _context_scale(past_values: Tensor, input_mask: Tensor) -> Tensor:
    observed = per_channel(input_mask, past_values).bool() & ~past_values.isnan()
    return normalise(past_values, observed)[1].scale


@dataclass(frozen=True)
class Forecasting:
    """The task of forecasting H steps from T.

    Attributes:
        prediction_length: H.
        context_length: T.
        name_or_path: where the backbone comes from.
        tuned: what is tuned on, head included, in place of the zero-shot forecast of its backbone; None for a backbone
            that was not tuned before.
        quantile_loss: models without a head are trained and compared by the loss of their quantiles. Heads forecast
            points: where they compete, the loss of all is the squared error.
        resolutions: points a step at which the backbone reads series.
        adjustment: trend and season that are taken out before and put back after.
    """

    prediction_length: int
    context_length: int
    name_or_path: str = ""
    tuned: ForecastModel | None = None
    quantile_loss: bool = False
    resolutions: tuple[int, ...] = (1,)
    adjustment: Adjustment = UNADJUSTED
    name: ClassVar[str] = "forecasting"

    @property
    def default_head(self) -> HeadConfig:
        """Return a projection on tokens of the future where the backbone has them."""
        return HeadConfig(**FORECASTING_HEAD)

    def model(self, backbone: Backbone, head: HeadConfig) -> ForecastModel:
        """Put a new head on a backbone; one like that of the model that is tuned on starts with its weights."""
        model = self._model(backbone, head)
        if self.tuned is not None:
            model.start_at(self.tuned)
        return model

    def zero_shot(self, backbone: Backbone) -> ForecastModel | None:
        """Return the backbone forecasting by itself, or the model that is tuned on; None where there is neither."""
        if self.tuned is not None:
            tuned = copy.copy(self.tuned)  # same weights, with the loss of this task
            tuned.quantile_loss = self.quantile_loss
            return tuned
        if not isinstance(backbone, ZeroShotForecaster):
            return None
        model = self._model(backbone, None)
        model.quantile_loss = self.quantile_loss
        return model

    def solve_head(self, model: TaskModel, train: Features, validation: Features) -> float:
        """Solve the head by ridge regression, see heads/solvers/ridge.py; returns the validation loss."""
        assert isinstance(model, ForecastModel) and is_head(model.head)
        return fit_ridge(model.head, train, validation, kept_directions=model.kept_directions).validation_loss

    def _model(self, backbone: Backbone, head: HeadConfig | None) -> ForecastModel:
        lengths = self.prediction_length, head, self.context_length
        return ForecastModel.from_backbone(backbone, *lengths, self.name_or_path, self.resolutions, self.adjustment)
