"""Series at several scales: resampled to shares of the context, longer ones cut into windows.

Shapes: B batch, C channels, T context, N patches, D width, R steps of the finest scale, W windows.
"""

import logging
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional

from tracetune.backbones.backbone import Backbone
from tracetune.base.errors import InputError
from tracetune.base.module_device import module_device

logger = logging.getLogger(__name__)

LEAST_PATCHES = 4  # fewer say too little of how a series goes
STATISTICS = 2  # features of a token that say where its window lies and how much it varies
_TOKENS_AT_ONCE = 2048


@dataclass(frozen=True)
class Scales:
    """The scales at which series are encoded.

    Attributes:
        context_length: T.
        lengths: steps of a series at each scale.
        patches: tokens of a series at each scale, of all windows.
    """

    context_length: int
    lengths: tuple[int, ...]
    patches: tuple[int, ...]

    @property
    def resolution(self) -> int:
        """Return R, to which series are resampled before anything else."""
        return max(self.lengths)


def usable_scales(backbone: Backbone, shares: Sequence[float], context_length: int) -> Scales:
    """Return the scales at which a backbone encodes; T itself where there is no other.

    Raises:
        InputError: the backbone cannot encode T steps.
    """
    lengths = sorted({round(share * context_length) for share in shares})
    usable = [length for length in lengths if _encodes(backbone, min(length, context_length))]
    if missing := sorted(set(lengths) - set(usable)):
        logger.info("Scales left out, because the backbone makes too few patches there: %s steps.", missing)
    if not usable:
        if not _encodes(backbone, context_length, least_patches=1):
            raise InputError(f"Expected a backbone that encodes {context_length} steps; it cannot.")
        usable = [context_length]
    patches = [
        len(_starts(length, context_length)) * backbone.num_patches(min(length, context_length)) for length in usable
    ]
    return Scales(context_length, tuple(usable), tuple(patches))


def _encodes(backbone: Backbone, length: int, least_patches: int = LEAST_PATCHES) -> bool:
    """Return whether a backbone makes patches enough of so many steps; some modules take one length alone."""
    if length < 1 or backbone.num_patches(length) < least_patches:
        return False
    try:
        with torch.no_grad():
            backbone.encode(torch.linspace(0, 1, length, device=module_device(backbone)).expand(1, 1, -1))
    except (InputError, RuntimeError, ValueError, AssertionError, IndexError):
        return False
    return True


def _starts(length: int, context_length: int) -> list[int]:
    """Return where the windows of a scale start: they overlap by half, and the last one ends with the series."""
    last = max(length - context_length, 0)
    return [*range(0, last, max(context_length // 2, 1)), last]


def encode_scale(backbone: Backbone, values: Tensor, scales: Scales, number: int) -> Tensor:
    """Return tokens [B, C, N, D + 2] of series [B, C, R] at the scale of this number.

    Backbones normalise what they encode, so that its level and deviation are lost to the tokens; both are appended to
    every token of a window, as location and log scale.
    """
    at_once = _samples_at_once(values, scales.patches[number])
    parts = [_tokens(backbone, part, scales, scales.lengths[number]) for part in values.split(at_once)]
    return parts[0] if len(parts) == 1 else torch.cat(parts)


def _samples_at_once(values: Tensor, patches: int) -> int:
    """Return how many samples a processor encodes at once: with more, the states of a block outgrow its caches.

    Where gradients or gates may be asked for, all of them: gates of a batch belong to its rows.
    """
    if not torch.is_inference_mode_enabled() or values.device.type != "cpu":
        return len(values)
    return max(1, _TOKENS_AT_ONCE // (values.shape[1] * patches))


def _tokens(backbone: Backbone, values: Tensor, scales: Scales, length: int) -> Tensor:
    series = shortened(values, length)
    starts = _starts(length, scales.context_length)
    windows = torch.stack([series[..., start : start + scales.context_length] for start in starts], dim=1)
    # the windows of a sample stay adjacent: selection gives every sample gates of its own
    tokens, statistics = backbone.encode(windows.flatten(0, 1))  # [B W, C, N / W, D]
    of_window = torch.cat([statistics.location, statistics.scale.log()], dim=-1).to(tokens.dtype)  # [B W, C, 2]
    tokens = torch.cat([tokens, of_window.unsqueeze(-2).expand(*tokens.shape[:-1], -1)], dim=-1)
    return torch.cat(tokens.unflatten(0, (len(values), len(starts))).unbind(1), dim=-2)


def shortened(values: Tensor, length: int) -> Tensor:
    """Return series [B, C, R] at fewer steps, each a weighted mean of those around it."""
    if values.shape[-1] == length:
        return values
    size = (1, length)
    return functional.interpolate(values.unsqueeze(-2), size, mode="bilinear", antialias=True).squeeze(-2)


def resampled(values: Sequence[np.ndarray], length: int) -> np.ndarray:
    """Bring series [C, L] of any lengths to [S, C, length]: between steps linearly, missing values included.

    Short series, too, fill the whole context: padding would leave most of its patches empty. Of longer ones, each step
    is the mean over its share of the series. A channel without values stays NaN.
    """
    found = np.full((len(values), len(values[0]), length), np.nan, dtype=np.float32)
    for sample, series in enumerate(values):
        for channel, row in enumerate(series):
            known = np.flatnonzero(~np.isnan(row))
            if len(known):
                found[sample, channel] = _resampled(np.interp(np.arange(len(row)), known, row[known]), length)
    return found


def _resampled(row: np.ndarray, length: int) -> np.ndarray:
    steps = np.arange(len(row))
    if len(row) <= length:
        return np.interp(np.linspace(0, len(row) - 1, length), steps, row)
    edges = np.linspace(0, len(row), length + 1)
    integral = np.concatenate([[0.0], np.cumsum(row)])
    return np.diff(np.interp(edges, np.arange(len(row) + 1), integral)) / np.diff(edges)
