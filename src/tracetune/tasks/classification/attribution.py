"""Attribution of a class to the steps of a series: gradient x input.

For the logit z_k of a class and series x resampled to x' = A x, the attribution of step l of channel c is

    (x_cl - mean_l x_c) * (A^T dz_k/dx')_cl

(Simonyan et al. 2013 for the gradient; the mean is subtracted because a backbone normalises it away). Positive where
the step, as it deviates from its channel's mean, speaks for the class.

Shapes: B batch, C channels, L steps of a series, R of the resampled ones.
"""

import numpy as np
import torch
from torch import nn


def resampled_gradients(model: nn.Module, values: torch.Tensor, classes: torch.Tensor) -> np.ndarray:
    """Return the gradient [B, C, R] of the logit of each sample's class in ``classes`` [B], for values [B, C, R]."""
    model.eval()
    with torch.enable_grad():
        inputs = values.clone().requires_grad_(True)
        logits = model(values=inputs).logits
        chosen = logits.gather(1, classes.unsqueeze(1)).sum()
        (gradient,) = torch.autograd.grad(chosen, inputs)
    return torch.nan_to_num(gradient).double().cpu().numpy()


def attribution(series: np.ndarray, gradient: np.ndarray) -> np.ndarray:
    """Return gradient x input [C, L] of a series [C, L] from its gradient [C, R]; NaN where the series is missing."""
    centred = series - np.nanmean(np.where(np.isnan(series).all(axis=1, keepdims=True), 0.0, series), axis=1)[:, None]
    return centred * np.stack([_transposed(row, series.shape[1]) for row in gradient])


def _transposed(gradient: np.ndarray, steps: int) -> np.ndarray:
    """Return the gradient [L] with regard to the steps of a row without gaps, from that [R] after resampling."""
    resolution = len(gradient)
    if steps > resolution:  # each of the R values is the mean over its share of the series
        edges = np.linspace(0, steps, resolution + 1)
        sums = np.concatenate([[0.0], np.cumsum(gradient)])
        return np.diff(np.interp(np.arange(steps + 1), edges, sums))
    places = np.linspace(0, steps - 1, resolution)
    left = np.minimum(places.astype(np.int64), max(steps - 2, 0))
    share = places - left
    found = np.bincount(left, (1 - share) * gradient, minlength=steps)
    return found if steps == 1 else found + np.bincount(left + 1, share * gradient, minlength=steps)
