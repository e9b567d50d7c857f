"""Scorer "forecast": how far each step is from its forecast, which knows the steps before it only."""

from dataclasses import dataclass
from typing import ClassVar

import numpy as np
import torch

from tracetune.backbones.backbone import Backbone, ZeroShotForecaster
from tracetune.base.errors import InputError
from tracetune.base.module_device import module_device
from tracetune.tasks.anomaly.model import AnomalyModel
from tracetune.tasks.anomaly.scores.error_scorer import ErrorScorer, fit_error_scorer
from tracetune.tasks.anomaly.scores.scorer import NormalChannel, Reads, register_scorer

_BATCH = 64


@register_scorer
@dataclass(frozen=True)
class Forecast:
    """Stretches of ``steps`` steps, one after the other, each forecast from the context before it.

    The first stretch of a series has no score: nothing is before it.

    Attributes:
        steps: of a stretch.
    """

    steps: int = 16
    name: ClassVar[str] = "forecast"
    reads: ClassVar[Reads] = "model"
    compares_levels: ClassVar[bool] = False

    def __post_init__(self) -> None:
        if self.steps < 1:
            raise InputError(f"Expected stretches of at least 1 step, found {self.steps}.")

    def fit(self, normal: NormalChannel, model: AnomalyModel) -> ErrorScorer:
        """Learn the normal part, see `Scorer`."""
        backbone: Backbone = model.backbone
        if not isinstance(backbone, ZeroShotForecaster):
            raise InputError(
                f"Scorer 'forecast' needs a backbone that forecasts by itself; {type(backbone).__name__} does not. "
                "Use 'neighbours'."
            )
        return fit_error_scorer(normal, ForecastErrors(backbone, self.steps))


class ForecastErrors:
    """Absolute errors of forecasts of ``steps`` steps from the backbone's context."""

    def __init__(self, backbone: Backbone, steps: int) -> None:
        self.backbone = backbone
        self.steps = steps

    @property
    def reach(self) -> int:
        """Return steps of a context and of a forecast."""
        return self.backbone.context_length + self.steps

    def __call__(self, scaled: np.ndarray, at: int) -> np.ndarray:
        """Return the errors [T] of values [T]; NaN in the first stretch and where nothing was observed."""
        context = self.backbone.context_length
        padded = np.concatenate([np.full(context, np.nan), scaled, np.full(self.steps, np.nan)])
        windows = np.lib.stride_tricks.sliding_window_view(padded, context)
        origins = np.arange(-at % self.steps or self.steps, len(scaled), self.steps)
        forecast = np.full(len(scaled) + self.steps, np.nan)
        for first in range(0, len(origins), _BATCH):
            part = origins[first : first + _BATCH]
            for origin, row in zip(part, self._of_contexts(windows[part]), strict=True):
                forecast[origin : origin + self.steps] = row
        return np.abs(forecast[: len(scaled)] - scaled)

    def _of_contexts(self, contexts: np.ndarray) -> np.ndarray:
        """Return forecasts [K, H] of contexts [K, T]; NaN where nothing in them was observed."""
        assert isinstance(self.backbone, ZeroShotForecaster), "as the scorer requires"
        device = module_device(self.backbone)
        observed = torch.as_tensor(np.isfinite(contexts), device=device)[:, None]
        values = torch.as_tensor(np.nan_to_num(contexts), dtype=torch.float32, device=device)[:, None]
        with torch.inference_mode():
            made = self.backbone.forecast(values, observed.float(), self.steps)[:, 0]
        return torch.where(observed[:, 0].any(1, keepdim=True), made, torch.nan).double().cpu().numpy()
