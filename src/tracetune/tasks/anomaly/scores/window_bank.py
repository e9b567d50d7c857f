"""Banks of normal windows of one width: which windows are kept, their features, and distances to the nearest ones."""

import math
from dataclasses import dataclass, replace

import numpy as np
import torch
from torch import Tensor

from tracetune.tasks.anomaly.scores.completion import Completion
from tracetune.tasks.anomaly.scores.features import WindowFeatures
from tracetune.tasks.anomaly.scores.gaps import filled_gaps, well_observed
from tracetune.tasks.anomaly.scores.neighbours import nearest_distance
from tracetune.tasks.anomaly.scores.scorer import OtherFeaturesError
from tracetune.tasks.anomaly.scores.sliding import scattered_starts

_MOST_NUMBERS = 2**24  # of one bank
_WINDOWS_OVER_A_STEP = 8
_BANK_WINDOWS_OVER_A_STEP = 32  # so that a later window finds a normal one at its own phase
_LARGEST_SHARE = 4
_PROBES = 8  # windows that are embedded again to see whether saved features are those of the model
_ROUNDING = 1e-2  # of unit vectors, on another device; bfloat16 gives 7e-3, weights that are 1 % off 1.5e-2


@dataclass(frozen=True)
class Bank:
    """The windows of one width that others are compared with.

    Attributes:
        width: W, steps of a window.
        starts: [M] first steps of its windows in the normal part.
        rows: [M, E] their features.
        completion: what windows with gaps are completed by.
        neighbours: how many nearest windows a distance is averaged over that do not overlap.
        share: of its windows that may be anomalous; as many nearest ones count at least, which may overlap.
    """

    width: int
    starts: Tensor
    rows: Tensor
    completion: Completion
    neighbours: int
    share: float

    def distances(self, queries: Tensor, starts: Tensor | None = None, outside: Tensor | None = None) -> Tensor:
        """Return the mean distance [K] of queries [K, E] to the nearest windows.

        Args:
            queries: features of windows.
            starts: [K] their first steps, where they lie on the same time axis: what overlaps them does not count.
            outside: [M] the windows of the bank to compare with; None for all.
        """
        kept, rows = (self.starts, self.rows) if outside is None else (self.starts[outside], self.rows[outside])
        apart = None if starts is None else (starts, kept, self.width)
        if round(self.share * len(kept)) > self.neighbours:
            return nearest_distance(queries, rows, round(self.share * len(kept)), apart)
        return nearest_distance(queries, rows, self.neighbours, apart, (kept, self.width))

    def with_table(self, scaled: np.ndarray, place: int, learned: int, features: WindowFeatures) -> "Bank":
        """Return this bank with the windows of values [T] at ``place`` that do not lie in its ``learned`` steps."""
        if len(scaled) < self.width:
            return self
        size = max(_MOST_NUMBERS // self.rows.shape[1], 1)
        stride = max(self.width // _BANK_WINDOWS_OVER_A_STEP, math.ceil((len(scaled) - self.width) / size), 1)
        starts = normal_starts(scaled, self.width, stride)
        starts = starts[(starts + place < 0) | (starts + place + self.width > learned)]
        if not len(starts):
            return self
        rows = features(self.completion.completed(windows_of(scaled, self.width)[starts], starts + place))
        places = torch.as_tensor(starts + place)
        return replace(self, starts=torch.cat([self.starts, places]), rows=torch.cat([self.rows, rows]))


def bank_of(
    scaled: np.ndarray,
    width: int,
    features: WindowFeatures,
    neighbours: int,
    contamination: float,
    bank_size: int,
    saved: np.ndarray | None,
) -> Bank:
    """Return the bank of a normal part [T], about ``bank_size`` windows; ``saved`` are their features from before.

    Raises:
        OtherFeaturesError: the saved features are not those of its windows.
    """
    filled = filled_gaps(scaled)
    windows = windows_of(filled, width)
    length = features(windows[normal_starts(scaled, width)[:1]]).shape[1]
    size = min(bank_size, max(_MOST_NUMBERS // length, 1))
    # Of a part with anomalies the nearest windows are a share of all, which need not be many.
    fine = stride_of(width) if contamination else max(width // _BANK_WINDOWS_OVER_A_STEP, 1)
    starts = _complete_ones(
        scaled, normal_starts(scaled, width, max(fine, math.ceil((len(scaled) - width) / size))), width
    )
    side_by_side = len(scaled) // width
    nearest = max(min(neighbours, side_by_side // _LARGEST_SHARE), 1)  # far ones would count in a short part
    rows = features(windows[starts]) if saved is None else _checked_rows(saved, windows[starts], features)
    return Bank(width, torch.as_tensor(starts), rows, Completion(filled, starts, width), nearest, contamination)


def _checked_rows(saved: np.ndarray, windows: np.ndarray, features: WindowFeatures) -> Tensor:
    """Return features [M, E] of windows [M, W] as they were saved.

    Raises:
        OtherFeaturesError: they are not the features of these windows, of which a few are computed again.
    """
    rows = torch.tensor(saved)
    places = np.linspace(0, len(windows) - 1, _PROBES).astype(int)
    found = features(windows[places])
    if rows.shape != (len(windows), found.shape[1]) or not ((rows[places] - found).norm(dim=1) < _ROUNDING).all():
        raise OtherFeaturesError("saved features of windows are not those of the model")
    return rows


def normal_starts(scaled: np.ndarray, width: int, stride: int | None = None) -> np.ndarray:
    """Return the first steps of the windows of a normal part with few missing steps; they are at all phases."""
    starts = scattered_starts(len(scaled), width, stride or stride_of(width))
    return starts[well_observed(scaled, starts, width)]


def _complete_ones(scaled: np.ndarray, starts: np.ndarray, width: int) -> np.ndarray:
    """Return the starts [M] of windows that lack no step, where these are at least half of them; else all."""
    missing = np.concatenate([[0], np.cumsum(np.isnan(scaled))])
    complete = missing[starts + width] == missing[starts]
    return starts[complete] if 2 * complete.sum() >= len(starts) else starts


def windows_of(values: np.ndarray, width: int) -> np.ndarray:
    """Return all windows [T - W + 1, W] of values [T], as a view."""
    return np.lib.stride_tricks.sliding_window_view(values, width)


def stride_of(width: int) -> int:
    """Return the steps between the first steps of windows: eight windows lie over each step."""
    return max(1, width // _WINDOWS_OVER_A_STEP)
