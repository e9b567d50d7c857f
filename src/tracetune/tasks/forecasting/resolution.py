"""Short series at a finer resolution: stretched, so that a backbone which reads patches sees more of them.

A yearly series of 20 steps is two patches of 16. At resolution k it is stretched by linear interpolation to k points a
step, k H points are forecast, and every k-th of them is the forecast of a step. Resolution 1 is the series as it is.

Shapes: B batch, C channels, T context, H prediction length, k resolution.
"""

from collections.abc import Sequence
from numbers import Integral
from typing import Final, Literal

import torch
from torch import Tensor

from tracetune.backbones.backbone import Backbone, ZeroShotForecaster
from tracetune.base.errors import InputError, argument, shown

Resolution = int | Sequence[int] | Literal["auto"]
"""One resolution, several whose forecasts are averaged, or a choice by a backtest."""

AUTO: Final = "auto"


def stretch(values: Tensor, observed: Tensor, resolution: int) -> tuple[Tensor, Tensor]:
    """Return values [B, C, kT] whose last one is the last step's, and which of them are observed.

    Point k t + k - 1 is step t; between two steps lie k - 1 points on a straight line, which are observed where both
    steps are. What would lie before the first step is unobserved. Unobserved points hold 0.

    Args:
        values: [B, C, T].
        observed: [B, C, T], not 0 where observed.
        resolution: k.
    """
    if resolution == 1:
        return values, observed
    seen = (observed != 0) & ~values.isnan()
    values = torch.where(seen, values, 0.0)
    first = values.new_zeros(*values.shape[:-1], 1)
    earlier = torch.cat([first, values[..., :-1]], dim=-1).unsqueeze(-1)
    share = torch.arange(1, resolution + 1, device=values.device, dtype=values.dtype) / resolution
    between = torch.lerp(earlier, values.unsqueeze(-1).expand(*values.shape, resolution), share)  # [B, C, T, k]
    both = seen & torch.cat([torch.zeros_like(seen[..., :1]), seen[..., :-1]], dim=-1)
    known = both.unsqueeze(-1).repeat_interleave(resolution, dim=-1)
    known[..., -1] = seen
    return torch.where(known, between, 0.0).flatten(-2), known.flatten(-2).to(observed.dtype)


def every_step(points: Tensor, resolution: int) -> Tensor:
    """Return the steps [B, C, H, ...] among forecast points [B, C, kH, ...]."""
    return points[:, :, resolution - 1 :: resolution]


def checked_resolutions(resolution: object) -> tuple[int, ...]:
    """Return a resolution, or several of them, as whole numbers in ascending order.

    Raises:
        InputError: something else, or a number below 1.
    """
    several = [resolution] if isinstance(resolution, Integral) else resolution
    name = argument("resolution")
    if not isinstance(several, Sequence) or isinstance(several, str) or not several:
        raise InputError(
            f"Expected {name} as a number of points a step such as 4, several such as 3 and 6, or 'auto', found "
            f"{shown(resolution)}."
        )
    for one in several:
        if isinstance(one, bool) or not isinstance(one, Integral) or one < 1:
            raise InputError(f"Expected {name} of whole numbers of at least 1, found {shown(one)}.")
    return tuple(sorted({int(one) for one in several}))


def longest_resolution(backbone: Backbone, prediction_length: int) -> int:
    """Return the highest resolution k at which the backbone forecasts k H points in one pass; at least 1.

    A backbone that does not forecast by itself has no such limit but its context, which must hold a step.
    """
    most = backbone.context_length
    if not isinstance(backbone, ZeroShotForecaster):
        return max(most, 1)
    fits = (k for k in range(most // prediction_length, 1, -1) if backbone.num_passes(most, k * prediction_length) == 1)
    return next(fits, 1)


def require_resolutions(backbone: Backbone, resolutions: Sequence[int], prediction_length: int) -> None:
    """Refuse resolutions at which the backbone cannot forecast the horizon in one pass.

    Raises:
        InputError: names the highest one that it can.
    """
    highest = max(resolutions)
    if highest == 1 or highest <= (most := longest_resolution(backbone, prediction_length)):
        return
    raise InputError(
        f"Expected {argument('resolution')} of at most {most}, found {highest}: {highest} points for each of "
        f"{prediction_length} steps are {highest * prediction_length} points, more than the backbone forecasts in one "
        "pass. Use a lower resolution or a shorter horizon."
    )


def read_steps(context_length: int, backbone_context: int, resolution: int) -> int:
    """Return how many steps of a context of T are read at a resolution: as many as the backbone's context holds."""
    return context_length if resolution == 1 else min(context_length, max(backbone_context // resolution, 1))


def read_points(context_length: int, backbone_context: int, resolution: int) -> int:
    """Return how many points the backbone is given: the context as it is, or its own context, padded, if stretched.

    A backbone knows short series as padded ones: with fewer patches than it was pretrained on it forecasts badly.
    """
    return context_length if resolution == 1 else backbone_context


def token_counts(
    backbone: Backbone, resolutions: Sequence[int], context_length: int, prediction_length: int, tokens: str
) -> list[int]:
    """Return how many tokens a head reads at each resolution; ``tokens`` as in HeadConfig, decided."""
    if tokens == "future":
        return [backbone.num_patches(k * prediction_length) for k in resolutions]
    return [backbone.num_patches(read_points(context_length, backbone.context_length, k)) for k in resolutions]
