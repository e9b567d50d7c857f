"""Prediction intervals for point forecasts: quantiles of the validation errors, by horizon step.

Split conformal prediction with errors in units of each series' own deviation (Lei et al. 2018, section 2).
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import nn

from tracetune.base.errors import InputError
from tracetune.data.windows import BatchSource, batches, chosen_rows

LEVELS = (0.01, 0.05, *(round(0.1 * step, 1) for step in range(1, 10)), 0.95, 0.99)
_SMALLEST_SAMPLE = 20  # windows; fewer say nothing about the tails of one horizon step
_LARGEST_SAMPLE = 4096  # windows; more do not sharpen the quantiles visibly


@dataclass(frozen=True)
class ResidualQuantiles:
    """Quantiles of (truth - forecast) / deviation of the context.

    Attributes:
        levels: [Q] in (0, 1), ascending.
        values: [H, Q].
    """

    levels: np.ndarray
    values: np.ndarray

    def at(self, levels: Sequence[float]) -> np.ndarray:
        """Values [H, len(levels)] at other levels, interpolated linearly.

        Raises:
            InputError: a level lies outside of those that were estimated.
        """
        low, high = self.levels[0], self.levels[-1]
        for level in levels:
            if not low <= level <= high:
                raise InputError(f"Expected quantile levels between {low} and {high}, found {level}.")
        return np.stack([np.interp(levels, self.levels, row) for row in self.values])

    def to_dict(self) -> dict[str, Any]:
        """As JSON."""
        return {"levels": self.levels.tolist(), "values": self.values.tolist()}

    @classmethod
    def from_dict(cls, content: Mapping[str, Any]) -> "ResidualQuantiles":
        """From :meth:`to_dict`."""
        return cls(np.asarray(content["levels"]), np.asarray(content["values"]))


def residual_quantiles(model: nn.Module, validation: BatchSource, batch_size: int = 256) -> ResidualQuantiles:
    """Error quantiles of ``model`` over (at most 4,096 evenly spaced) validation windows.

    From fewer than 20 windows the errors of all horizon steps make one sample: a short series has a single window,
    whose one error a step would be every quantile at once.
    """
    size = len(validation)
    chosen = np.unique(np.linspace(0, size - 1, min(size, _LARGEST_SAMPLE)).astype(int)).tolist()
    device = next(model.parameters()).device
    residuals = []
    model.eval()
    with torch.inference_mode():
        for batch in batches(chosen_rows(validation, chosen), batch_size, device):
            output = model(batch["past_values"], batch["input_mask"])
            error = (batch["future_values"] - output.forecast) / output.scale
            residuals.append(torch.where(batch["future_mask"] > 0, error, torch.nan).flatten(0, 1).cpu().numpy())
    stacked = np.concatenate(residuals)  # [windows * C, H]
    if len(stacked) < _SMALLEST_SAMPLE:
        stacked = np.broadcast_to(stacked.reshape(-1, 1), (stacked.size, stacked.shape[1]))
    values = np.nanquantile(stacked, LEVELS, axis=0).T
    return ResidualQuantiles(np.asarray(LEVELS), np.round(np.nan_to_num(values), 6))
