"""A backbone's views of a context: cut or padded to a length, adjusted, at one or several resolutions.

Shapes: B batch, C channels, T context, N patches, D width, H prediction length, Q quantiles, k resolution.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn import functional

from tracetune.backbones.backbone import Backbone, Encoded, MaskedBackbone, QuantileForecaster, ZeroShotForecaster
from tracetune.backbones.normalisation import InstanceStatistics, per_channel
from tracetune.base.errors import InputError
from tracetune.tasks.forecasting.adjustment import Adjustment
from tracetune.tasks.forecasting.resolution import every_step, read_points, read_steps, stretch, token_counts


@dataclass(frozen=True, eq=False)
class ContextViews:
    """A backbone that reads contexts at some resolutions, and without what an adjustment takes out.

    Attributes:
        backbone: encodes or forecasts each view.
        prediction_length: H.
        context_length: T; shorter contexts are padded on the left as unobserved, longer ones are cut.
        resolutions: points a step at which series are read, see tasks/forecasting/resolution.py.
        adjustment: trend and season that are taken out before and put back after.
        tokens: which of them a head reads, "context", "future" or "all".
    """

    backbone: Backbone
    prediction_length: int
    context_length: int
    resolutions: Sequence[int]
    adjustment: Adjustment
    tokens: str

    def encode(self, past_values: Tensor, input_mask: Tensor | None) -> Encoded:
        """Return the tokens [B, C, N, D] of past values [B, C, T] that a head reads, and the values' statistics.

        Of several resolutions, tokens stand one after the other, each in units of the mean scale, so that what a head
        makes of them is the average of what it would make of each. With an adjustment the location is [B, C, H].
        """
        if not self.adjustment.changes:
            return self._encode_views(past_values, input_mask)
        past_values, input_mask = fit_context(past_values, input_mask, self.context_length)
        past_values, added = self._adjusted(past_values, input_mask)
        tokens, statistics = self._encode_views(past_values, input_mask)
        return Encoded(tokens, InstanceStatistics(statistics.location + added, statistics.scale))

    def forecast(self, past_values: Tensor, input_mask: Tensor) -> tuple[Tensor, Tensor | None]:
        """Return the zero-shot forecast [B, C, H], and its quantiles [B, C, H, Q] where the backbone has some.

        Raises:
            InputError: the backbone does not forecast by itself.
        """
        if not self.adjustment.changes:
            return self._forecast_views(past_values, input_mask)
        adjusted, added = self._adjusted(past_values, input_mask)
        forecast, quantiles = self._forecast_views(adjusted, input_mask)
        return forecast + added, None if quantiles is None else quantiles + added.unsqueeze(-1)

    def token_counts(self, tokens: str) -> list[int]:
        """Return how many tokens of a kind there are at each resolution."""
        return token_counts(self.backbone, self.resolutions, self.context_length, self.prediction_length, tokens)

    def _encode_views(self, past_values: Tensor, input_mask: Tensor | None) -> Encoded:
        """Return the tokens of all resolutions, and their mean statistics."""
        views = [self._encode_at(resolution, past_values, input_mask) for resolution in self.resolutions]
        if len(views) == 1:
            return views[0]
        scale = torch.stack([view.statistics.scale for view in views]).mean(dim=0)
        location = torch.stack([view.statistics.location for view in views]).mean(dim=0)
        tokens = [view.tokens * (view.statistics.scale / scale).unsqueeze(-1) for view in views]
        return Encoded(torch.cat(tokens, dim=-2), InstanceStatistics(location, scale))

    def _encode_at(self, resolution: int, past_values: Tensor, input_mask: Tensor | None) -> Encoded:
        """Return the tokens that the head reads at one resolution."""
        context = self._context_at(resolution, past_values, input_mask)
        if self.tokens == "context":
            return self.backbone.encode(*context)
        assert isinstance(self.backbone, MaskedBackbone), "only these have tokens of the future"
        points = resolution * self.prediction_length
        return self.backbone.encode_future(*context, points, future_only=self.tokens == "future")

    def _forecast_views(self, past_values: Tensor, input_mask: Tensor) -> tuple[Tensor, Tensor | None]:
        """Return the mean forecast of all resolutions, and its quantiles where the backbone has some."""
        found = [self._forecast_at(resolution, past_values, input_mask) for resolution in self.resolutions]
        if len(found) == 1:
            return found[0]
        quantiles = [each for _, each in found if each is not None]
        return _mean([forecast for forecast, _ in found]), _mean(quantiles) if quantiles else None

    def _forecast_at(self, resolution: int, past_values: Tensor, input_mask: Tensor) -> tuple[Tensor, Tensor | None]:
        """Return the forecast of the backbone by itself, and its quantiles where it has some, at one resolution."""
        backbone = self.backbone
        if not isinstance(backbone, ZeroShotForecaster):
            raise InputError(
                f"{type(backbone).__name__} does not forecast by itself: expected a head to forecast with, found "
                "none. Fit it first."
            )
        context = self._context_at(resolution, past_values, input_mask)
        points = resolution * self.prediction_length
        if not isinstance(backbone, QuantileForecaster):
            return every_step(backbone.forecast(*context, points), resolution), None
        quantiles = every_step(backbone.forecast_quantiles(*context, points), resolution)
        return quantiles[..., backbone.quantile_levels.index(0.5)], quantiles

    def _adjusted(self, past_values: Tensor, input_mask: Tensor) -> tuple[Tensor, Tensor]:
        """Return past values [B, C, T] without trend and season, and what these add to the H steps that come."""
        return self.adjustment.apply(past_values, per_channel(input_mask, past_values), self.prediction_length)

    def _context_at(self, resolution: int, past_values: Tensor, input_mask: Tensor | None) -> tuple[Tensor, Tensor]:
        """Return what the backbone reads of past values at one resolution: values, and which are observed."""
        longest = self.backbone.context_length
        steps = read_steps(self.context_length, longest, resolution)
        values, observed = fit_context(past_values, input_mask, steps)
        if resolution == 1:
            return values, observed
        stretched = stretch(values, per_channel(observed, values), resolution)
        return fit_context(*stretched, read_points(steps, longest, resolution))


def fit_context(past_values: Tensor, input_mask: Tensor | None, length: int) -> tuple[Tensor, Tensor]:
    """Return past values and mask, cut to their last ``length`` entries, or padded on the left to as many."""
    if input_mask is None:
        input_mask = torch.ones_like(past_values)
    missing = length - past_values.shape[-1]  # negative padding cuts
    return functional.pad(past_values, (missing, 0)), functional.pad(input_mask, (missing, 0))


def decided_tokens(
    tokens: str, backbone: Backbone, resolutions: Sequence[int], context_length: int, prediction_length: int
) -> str:
    """Return which tokens a head reads, "auto" decided: those of the future where the backbone has them.

    Raises:
        InputError: tokens of the future, and a backbone that has none for this horizon.
    """
    points = [read_points(context_length, backbone.context_length, k) for k in resolutions]
    masked = isinstance(backbone, MaskedBackbone) and all(
        backbone.num_passes(read, k * prediction_length) == 1 for k, read in zip(resolutions, points, strict=True)
    )
    if tokens == "auto":
        return "future" if masked else "context"
    if tokens != "context" and not masked:
        raise InputError(
            f"Expected a backbone that forecasts {prediction_length} steps in one pass by rebuilding hidden patches of "
            f"a context of {context_length} steps, for a head that reads tokens={tokens!r}; this one does not. "
            "Use tokens='context' (or 'auto'), or a shorter horizon."
        )
    return tokens


def _mean(parts: Sequence[Tensor]) -> Tensor:
    return torch.stack(list(parts)).mean(dim=0)
