"""Fill series of any length by a model that sees T steps: in windows that overlap, whose fills are averaged.

Shapes: C channels, L steps of a series, T context.
"""

import numpy as np
import torch
from torch import nn

from tracetune.evaluation.fills import linear

PER_CONTEXT = 4  # windows begin every quarter of a context
_ROWS = 64  # channels of windows per forward pass
_ONE_SIDED, _UNSEEN = 1e-4, 1e-8  # weights of fills with values on one side only, and without any


def filled_series(
    model: nn.Module,
    values: np.ndarray,
    context_length: int,
    related: bool,
    device: torch.device | str,
    *,
    wanted: np.ndarray | None = None,
    per_context: int = PER_CONTEXT,
) -> np.ndarray:
    """Return a series [C, L] whose gaps are filled; channels without any value stay NaN unless ``related``.

    Every gap is seen by several windows. Their fills are averaged, with more weight the farther a step is from the
    border of the window. A window in which a gap has values on one side only counts only where no other has both, one
    in which the channel has no value only where no other has any. What no window can see, the inside of gaps longer
    than a context, lies on the straight line over the gap.

    Args:
        model: an imputation model of C channels.
        values: [C, L], scaled, NaN where missing.
        context_length: T.
        related: whether the model fills channels from one another.
        device: where the model is.
        wanted: [L], steps whose fills are read, so that only windows with one of them are computed; None for all.
        per_context: how many windows begin in a context, and see a step.
    """
    missing = np.isnan(values)
    total, weight = np.zeros_like(values), np.zeros_like(values)
    ramp = 1.0 + np.minimum(np.arange(context_length), np.arange(context_length)[::-1])
    stops = _stops(missing.any(axis=0) if wanted is None else wanted, context_length, per_context)
    size = max(1, _ROWS // len(values))
    for first in range(0, len(stops), size):
        part = stops[first : first + size]
        windows = np.stack([_window(values, stop, context_length) for stop in part])
        steps = np.stack([np.arange(context_length) >= context_length - stop for stop in part])
        weights = ramp * _trust(windows, related)
        for stop, fill, counts in zip(part, _filled(model, windows, steps, device), weights, strict=True):
            begin = max(0, stop - context_length)
            total[:, begin:stop] += (counts * fill)[:, begin - stop :]
            weight[:, begin:stop] += counts[:, begin - stop :]
    result = np.where(missing, total / np.where(weight > 0, weight, 1.0), values)
    for channel, unseen in enumerate(missing & (weight == 0)):
        if unseen.any():
            result[channel, unseen] = linear(values[channel])[unseen]
    return result


def _stops(missing: np.ndarray, context_length: int, per_context: int) -> list[int]:
    """Return the ends of the windows with a missing step; so many in a context, the last one at the end."""
    length = len(missing)
    stride = max(1, context_length // per_context)
    stops = list(range(length, min(context_length, length) - 1, -stride))[::-1]
    if stops[0] > context_length:
        stops.insert(0, context_length)
    before = np.concatenate([[0], np.cumsum(missing)])
    return [stop for stop in stops if before[stop] > before[max(0, stop - context_length)]]


def _trust(windows: np.ndarray, related: bool) -> np.ndarray:
    """Return by how much each step of windows [B, C, T] counts, given what stands around it."""
    shown = ~np.isnan(windows)
    before = np.logical_or.accumulate(shown, axis=-1)
    after = np.logical_or.accumulate(shown[..., ::-1], axis=-1)[..., ::-1]
    unseen = _UNSEEN if related else 0.0
    return np.where(before & after, 1.0, np.where(before | after, _ONE_SIDED, unseen))


def _window(values: np.ndarray, stop: int, context_length: int) -> np.ndarray:
    """Return the T steps before ``stop``, NaN before the series."""
    window = np.full((len(values), context_length), np.nan)
    begin = max(0, stop - context_length)
    window[:, context_length - (stop - begin) :] = values[:, begin:stop]
    return window


def _filled(model: nn.Module, windows: np.ndarray, steps: np.ndarray, device: torch.device | str) -> np.ndarray:
    """Return fills [B, C, T] of windows, of which ``steps`` [B, T] are steps of the series."""
    shown = ~np.isnan(windows)
    values = torch.from_numpy(np.where(shown, windows, 0.0).astype(np.float32)).to(device)
    masks = (torch.from_numpy(mask.astype(np.float32)).to(device) for mask in (shown, steps))
    with torch.inference_mode():
        return np.asarray(model(values, *masks).filled.double().cpu().numpy())
