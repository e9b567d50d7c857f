"""Samples for learning a normal part by a metric: windows with their neighbours, and windows unlike them.

Shapes: B batch, C channels, L steps of a series, W steps of a window, V views (windows) of a sample, R samples, K
negatives.
"""

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from tracetune.base.errors import InputError, argument
from tracetune.data.batch_source import chosen_rows, spread_rows
from tracetune.evaluation.periods import SampleGroups
from tracetune.tasks.anomaly.hidden_patches import periods_of
from tracetune.tasks.anomaly.scores.features import RawShape
from tracetune.tasks.anomaly.scores.gaps import filled_gaps, well_observed
from tracetune.tasks.anomaly.scores.sliding import scattered_starts
from tracetune.tasks.anomaly.window_embeddings import NEGATIVES
from tracetune.tasks.task import TrainingData

_STRIDES = 8  # anchors over a step, as many as the windows that the scorer looks at
_MOST_ANCHORS = 1000  # of one width of one channel
_FEWEST_CANDIDATES = 4  # windows apart from an anchor, to find repetitions and unlike ones among
_ALL_ALIKE = 1e-3  # a typical distance of shapes, of about unit length, below which none is unlike another


@dataclass(frozen=True, eq=False)
class Neighbourhoods:
    """Windows of one channel, by their first steps, with what they are to be near to and far from.

    Attributes:
        series: number of the channel's series.
        channel: its number.
        width: W.
        starts: [R, V] of anchor, neighbour in time, nearest repetition, and negatives.
        pull: [R, 2] weights of the two positives.
    """

    series: int
    channel: int
    width: int
    starts: np.ndarray
    pull: np.ndarray


class NeighbouringWindows:
    """Samples of V windows each, resampled to the same number of steps; the same ones at every visit.

    Args:
        values: [L] steps of channels without gaps, by series and channel.
        members: whose rows are the samples, one after the other.
        resample: from windows [R, W] to [R, steps].
    """

    def __init__(
        self,
        values: dict[tuple[int, int], np.ndarray],
        members: Sequence[Neighbourhoods],
        resample: Callable[[Tensor], Tensor],
    ) -> None:
        self.values = values
        self.members = members
        self.resample = resample
        self._firsts = np.cumsum([0, *(len(each.starts) for each in members)])

    def __len__(self) -> int:
        return int(self._firsts[-1])

    def __getitems__(self, indices: list[int]) -> dict[str, Tensor]:
        """Return ``views`` [B, V, steps] and ``pull`` [B, 2]."""
        rows = np.asarray(indices)
        of = self.member_of(rows)
        views: Tensor | None = None
        pull = torch.empty(len(rows), 2)
        for number in np.unique(of):
            each, places = self.members[number], np.flatnonzero(of == number)
            chosen = rows[places] - self._firsts[number]
            windows = np.lib.stride_tricks.sliding_window_view(self.values[each.series, each.channel], each.width)
            found = torch.as_tensor(windows[each.starts[chosen].ravel()], dtype=torch.float32)
            part = self.resample(found).unflatten(0, (len(chosen), -1))
            views = part.new_empty(len(rows), *part.shape[1:]) if views is None else views
            views[places] = part
            pull[places] = torch.as_tensor(each.pull[chosen], dtype=torch.float32)
        assert views is not None, "a batch has rows"
        return {"views": views, "pull": pull}

    def member_of(self, rows: np.ndarray) -> np.ndarray:
        """Return the number of the member that each row is of."""
        return np.searchsorted(self._firsts, rows, side="right") - 1

    def anchors(self) -> np.ndarray:
        """Return the first step of the anchor of each row."""
        return np.concatenate([each.starts[:, 0] for each in self.members])


def neighbouring_data(
    values: Sequence[np.ndarray],
    borders: Sequence[int],
    widths: Callable[[np.ndarray], Sequence[int]],
    resample: Callable[[Tensor], Tensor],
    most_validation: int | None,
    seed: int,
) -> TrainingData:
    """Return neighbourhoods of windows; those whose anchors lie behind the border validate, in several periods.

    As for the scorer "neighbours", windows behind the border are compared with those before it.

    Args:
        values: one array [C, L] a series, scaled, NaN where missing.
        borders: how many first steps of each train.
        widths: returns the widths of windows for the training steps [L] of a channel.
        resample: from windows [R, W] to [R, steps].
        most_validation: most validation samples; None for all.
        seed: of what is drawn.

    Raises:
        InputError: no channel is long enough for neighbours, or none has windows that are unlike each other.
    """
    filled: dict[tuple[int, int], np.ndarray] = {}
    train: list[Neighbourhoods] = []
    held_out: list[Neighbourhoods] = []
    for series, (array, border) in enumerate(zip(values, borders, strict=True)):
        for channel, row in enumerate(array):
            for width in widths(row[:border]):
                generator = np.random.default_rng([seed, series, channel, width])
                before, behind = ((first, last, width) for first, last in ((0, border), (border, len(row))))
                place = series, channel
                train += _neighbourhoods(row, before, border, place, generator)
                held_out += _neighbourhoods(row, behind, border, place, generator)
            filled[series, channel] = filled_gaps(row)
    if not train or not held_out:
        raise InputError(
            "Expected a normal part in which windows have neighbours: with windows that are unlike each other, and so "
            "long that the first three quarters of it hold five of the narrowest ones and the last quarter holds one; "
            f"found {_lengths(values)} steps. Give a longer part, or narrower windows ({argument('widths')}), or learn "
            f"to rebuild it: {argument('loss', 'reconstruction')}."
        )
    validation = NeighbouringWindows(filled, held_out, resample)
    rows = spread_rows(len(validation), most_validation or len(validation), seed)
    members = validation.member_of(rows)
    series = np.array([each.series for each in held_out])[members]
    channels = np.array([each.channel for each in held_out])[members]
    starts, stops = np.array(borders)[series], np.array([array.shape[1] for array in values])[series]
    groups = SampleGroups.of_channels(periods_of(validation.anchors()[rows], starts, stops), series, channels)
    return TrainingData(NeighbouringWindows(filled, train, resample), chosen_rows(validation, rows.tolist()), groups)


def _neighbourhoods(
    row: np.ndarray, anchors: tuple[int, int, int], border: int, place: tuple[int, int], generator: np.random.Generator
) -> list[Neighbourhoods]:
    """Return those of the windows within [first, last) of a channel [L], given with their width; none, or one.

    The neighbour begins up to an eighth of a window earlier or later. Repetition and negatives are windows before the
    border that do not overlap the anchor: the one nearest to it in raw shape, whose weight is 1 - its distance / the
    median distance of all (at least 0), and some of those that are farther than this median.
    """
    first, last, width = anchors
    starts, candidates = (_starts(row, *span, width) for span in ((first, last), (0, border)))
    if not len(starts) or not len(candidates):
        return []
    windows = np.lib.stride_tricks.sliding_window_view(filled_gaps(row), width)
    shape = RawShape()
    distances = torch.cdist(shape(windows[starts]), shape(windows[candidates])).numpy().astype(float)
    apart = np.abs(starts[:, None] - candidates) >= width
    distances[~apart] = np.inf
    enough = apart.sum(1) >= _FEWEST_CANDIDATES
    typical = np.ma.median(np.ma.masked_array(distances, ~apart), axis=1).filled(0.0)
    kept = np.flatnonzero(enough & (typical > _ALL_ALIKE))
    if not len(kept):
        return []
    starts, distances, typical = starts[kept], distances[kept], typical[kept, None]
    nearest = distances.argmin(1)
    unlike = np.isfinite(distances) & (distances >= typical)
    negatives = np.stack([_drawn(np.flatnonzero(each), generator) for each in unlike])
    weight = 1 - distances[np.arange(len(starts)), nearest] / typical[:, 0]
    neighbours = _shifted(row, starts, anchors, generator)
    views = np.column_stack([starts, neighbours, candidates[nearest], candidates[negatives]])
    pull = np.column_stack([np.ones(len(starts)), weight.clip(0, 1)])
    return [Neighbourhoods(*place, width, views, pull)]


def _starts(row: np.ndarray, first: int, last: int, width: int) -> np.ndarray:
    """Return first steps of windows within [first, last) that are well observed, at all phases."""
    length = last - first
    if length < width:
        return np.zeros(0, dtype=int)
    stride = max(width // _STRIDES, math.ceil((length - width) / _MOST_ANCHORS), 1)
    starts = first + scattered_starts(length, width, stride)
    return starts[well_observed(row, starts, width)]


def _shifted(
    row: np.ndarray, starts: np.ndarray, anchors: tuple[int, int, int], generator: np.random.Generator
) -> np.ndarray:
    """Return first steps [R] of windows a little earlier or later, the anchor's where neither is well observed."""
    first, last, width = anchors
    shifts = generator.integers(1, max(width // _STRIDES, 1) + 1, len(starts)) * generator.choice([-1, 1], len(starts))
    found = starts.copy()
    for sign in (-1, 1):  # the drawn side last, so that it counts where both can be taken
        moved = starts + sign * shifts
        fits = (moved >= first) & (moved + width <= last)
        fits[fits] = well_observed(row, moved[fits], width)
        found[fits] = moved[fits]
    return found


def _drawn(places: np.ndarray, generator: np.random.Generator) -> np.ndarray:
    """Return K of the places, each once as long as there are enough."""
    return np.resize(generator.permutation(places), NEGATIVES)


def _lengths(values: Sequence[np.ndarray]) -> str:
    lengths = sorted({array.shape[1] for array in values})
    return f"{lengths[0]:,}" if len(lengths) == 1 else f"{lengths[0]:,} to {lengths[-1]:,}"
