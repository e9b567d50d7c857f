"""Output of forecasting models.

Shapes: B batch, C channels, H prediction length, Q quantiles.
"""

from dataclasses import dataclass

from torch import Tensor

from tracetune.tasks.task import Output


@dataclass
class ForecastOutput(Output):
    """Output of a forecast model.

    Attributes:
        loss: [] mean of ``sample_losses``; None without future values.
        sample_losses: [B] mean squared error (or quantile loss) of each sample over its observed future steps.
        forecast: [B, C, H] in the units of the input.
        scale: [B, C, 1] standard deviation of each input series.
        quantiles: [B, C, H, Q] for zero-shot quantiles, at the backbone's levels, in the units of the input; None for
            point forecasts.
    """

    forecast: Tensor | None = None
    scale: Tensor | None = None
    quantiles: Tensor | None = None
