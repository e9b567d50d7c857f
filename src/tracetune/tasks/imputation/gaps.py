"""Gaps in series: how long they are, how near the next observed step is, and simple ways to fill them.

Everything works on values [..., T] and a mask of the same shape that says which steps are observed; values elsewhere
are never read. Shapes: T steps, S steps of one season.
"""

import torch
from torch import Tensor

from tracetune.backbones.normalisation import interpolate_gaps

# Upper ends of the classes of gap length; after them come gaps with observed steps on one side only, short and longer
# ones, and series without any.
LENGTH_ENDS = (1, 3, 7, 15, 31, 63, 127)
SHORT_ONE_SIDED, ONE_SIDED, UNOBSERVED = (len(LENGTH_ENDS) + place for place in (1, 2, 3))
LENGTH_CLASSES = UNOBSERVED + 1
_SHORT = 7  # steps; every patch in which such a gap lies has observed steps too, and is shown to the backbone
DISTANCE_ENDS = (1, 3, 7, 15, 31)
DISTANCE_CLASSES = len(DISTANCE_ENDS) + 1
_SEASONS = 3  # on either side, of which the seasonal median is taken


def neighbours(observed: Tensor) -> tuple[Tensor, Tensor]:
    """Return the nearest observed step at or before each step (-1: none), and at or after it (T: none), [..., T]."""
    length = observed.shape[-1]
    steps = torch.arange(length, device=observed.device).expand(observed.shape)
    before = torch.where(observed, steps, -1).cummax(dim=-1).values
    after = torch.where(observed, steps, length).flip(-1).cummin(dim=-1).values.flip(-1)
    return before, after


def gap_classes(observed: Tensor) -> tuple[Tensor, Tensor]:
    """Return the class of length of the gap that each step lies in, and of its distance to observed steps, [..., T].

    Both are 0 where a step is observed; what they are there does not matter.
    """
    length = observed.shape[-1]
    steps = torch.arange(length, device=observed.device).expand(observed.shape)
    before, after = neighbours(observed)
    missing = (after - before - 1).clamp(min=1)
    lengths = torch.bucketize(missing, torch.tensor(LENGTH_ENDS, device=observed.device))
    one_sided = torch.where(missing <= _SHORT, SHORT_ONE_SIDED, ONE_SIDED)
    lengths = torch.where((before < 0) | (after >= length), one_sided, lengths)
    lengths = torch.where((before < 0) & (after >= length), UNOBSERVED, lengths)
    nearest = torch.minimum(
        torch.where(before < 0, length, steps - before), torch.where(after >= length, length, after - steps)
    )
    distances = torch.bucketize(nearest.clamp(min=1), torch.tensor(DISTANCE_ENDS, device=observed.device))
    return torch.where(observed, 0, lengths), torch.where(observed, 0, distances)


def linear(values: Tensor, observed: Tensor) -> Tensor:
    """Return a straight line over each gap; edges repeat the nearest observed step, 0 where there is none."""
    return interpolate_gaps(torch.where(observed, values, 0.0), observed)


def bent(curve: Tensor, observed: Tensor) -> Tensor:
    """Return how far a curve [..., T] departs inside each gap from the straight line between its ends there.

    Added to the line through observed values it is the curve, moved and tilted so that it meets them.
    """
    return curve - interpolate_gaps(curve, observed)


def cubic(values: Tensor, observed: Tensor) -> Tensor:
    """Return a cubic over each gap (Catmull & Rom 1974, uneven steps): two observed steps on either side.

    The slope at an observed step is that of the line between the observed steps before and after it. Where a side has
    one observed step only, the slope there is that over the gap; gaps at an edge are filled as `linear` does.
    """
    length = values.shape[-1]
    shown = torch.where(observed, values, 0.0)
    before, after = neighbours(observed)
    inside = (before >= 0) & (after < length)
    left, right = before.clamp(min=0), after.clamp(max=length - 1)
    earlier = before.gather(-1, (left - 1).clamp(min=0))  # before the observed step on the left
    later = after.gather(-1, (right + 1).clamp(max=length - 1))
    earlier = torch.where((left > 0) & (earlier >= 0), earlier, left)
    later = torch.where((right < length - 1) & (later < length), later, right)
    at_left, at_right = shown.gather(-1, left), shown.gather(-1, right)
    width = (right - left).clamp(min=1)
    slope_left = (at_right - shown.gather(-1, earlier)) / (right - earlier).clamp(min=1)
    slope_right = (shown.gather(-1, later) - at_left) / (later - left).clamp(min=1)
    steps = torch.arange(length, device=values.device).expand(values.shape)
    u = (steps - left) / width
    curve = (
        (2 * u**3 - 3 * u**2 + 1) * at_left
        + (u**3 - 2 * u**2 + u) * width * slope_left
        + (3 * u**2 - 2 * u**3) * at_right
        + (u**3 - u**2) * width * slope_right
    )
    return torch.where(observed, shown, torch.where(inside, curve, linear(values, observed)))


def seasonal_median(values: Tensor, observed: Tensor, season: int) -> Tensor:
    """Return the median of the steps one, two and three seasons before and after, of those that are observed.

    Steps for which none is take their linear fill; so do all of them where S is 1, or more than half of T.
    """
    straight = linear(values, observed)
    length = values.shape[-1]
    if season < 2 or season > length // 2:
        return straight
    shown = torch.where(observed, values, torch.nan)
    shifted = []
    for count in range(1, _SEASONS + 1):
        steps = min(count * season, length)
        edge = torch.full_like(shown[..., :steps], torch.nan)
        shifted += [
            torch.cat([edge, shown[..., : length - steps]], -1),
            torch.cat([shown[..., steps:], edge], -1),
        ]
    median = torch.stack(shifted).nanquantile(0.5, dim=0)
    return torch.where(observed, shown, torch.where(median.isnan(), straight, median))
