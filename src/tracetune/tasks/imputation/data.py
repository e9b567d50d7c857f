"""Imputation data: windows over all channels of a series, in each of which observed steps are hidden to be filled.

What is hidden in a window is fixed by the seed and the number of the window, so that features can be kept and a run can
be repeated. Shapes: C channels, L steps of a series, T context.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial

import numpy as np
import torch
from torch import Tensor

from tracetune.base.errors import InputError, unknown_name
from tracetune.data.batch_source import spread_rows
from tracetune.data.panels import Panel
from tracetune.data.splits import PanelSplit, Part, Scaler, cut_periods, require_magnitude
from tracetune.evaluation.periods import SampleGroups
from tracetune.tasks.task import TrainingData

POINTS, BLOCKS, SUBSEQUENCES, CHANNELS = "points", "blocks", "sub-sequences", "channels"
PATTERNS = (POINTS, BLOCKS, SUBSEQUENCES, CHANNELS)
ENDS = "ends"  # the first or last steps of a series, as where data are late; windows of a fit hide these too
_FITTED = (*PATTERNS, ENDS)
_BLOCK = (4, 32)  # steps, the shortest and the longest
_SHARES = (0.1, 0.5)  # of the steps of a training window, the least and the most
_WINDOWS_PER_CONTEXT = 4
_CLOSEST = 64  # training windows begin every 64th of a context at the closest
_MOST_VISITS = 4  # of the same training window, with other steps hidden
_MOST_PERIODS = 12  # of a training range; windows of one share no step with those of the next but one
_LARGEST_RELATED = 4000  # steps, enough to know which channels go together


def draw_hidden(pattern: str, share: float, shape: tuple[int, int], generator: np.random.Generator) -> np.ndarray:
    """Return which steps [C, T] to hide, a share of all; of points and of whole channels about one.

    Args:
        pattern: "points" hides single steps of each channel by itself, "blocks" runs of 4 to 32 steps of all channels
            at once (the last one is cut to the share), "sub-sequences" one run of share * T steps in each channel at a
            place of its own, "channels" whole channels (of a single one, a sub-sequence).
        share: between 0 and 1.
        shape: C and T.
        generator: source of random numbers.

    Raises:
        InputError: an unknown pattern, or a share out of range.
    """
    if pattern not in PATTERNS:
        raise unknown_name("pattern of gaps", pattern, PATTERNS)
    if not 0 < share < 1:
        raise InputError(f"Expected a share of hidden steps between 0 and 1, found {share}.")
    channels, length = shape
    if pattern == POINTS:
        return generator.random(shape) < share
    if pattern == CHANNELS and channels > 1:
        hidden = np.zeros(shape, dtype=bool)
        hidden[generator.permutation(channels)[: min(max(1, round(share * channels)), channels - 1)]] = True
        return hidden
    if pattern == BLOCKS:
        return np.broadcast_to(_runs(share, length, generator), shape).copy()
    steps = np.arange(length)
    size = min(max(1, round(share * length)), max(length - 1, 1))
    starts = generator.integers(0, length - size + 1, size=(channels, 1))
    return (steps >= starts) & (steps < starts + size)


def _draw_ends(share: float, shape: tuple[int, int], generator: np.random.Generator) -> np.ndarray:
    """Return which steps [C, T] to hide: the first or the last ones of each channel, 1 to a share, short runs often."""
    channels, length = shape
    longest = min(max(1, round(share * length)), max(length - 1, 1))
    sizes = np.exp(generator.uniform(0.0, np.log(longest + 1), size=(channels, 1))).astype(int)
    steps = np.arange(length)
    return np.where(generator.random((channels, 1)) < 0.5, steps < sizes, steps >= length - sizes)


def _runs(share: float, length: int, generator: np.random.Generator) -> np.ndarray:
    """Draw runs of hidden steps [T]."""
    hidden = np.zeros(length, dtype=bool)
    wanted = max(1, round(share * length))
    while (left := wanted - int(hidden.sum())) > 0:
        size = min(int(generator.integers(_BLOCK[0], _BLOCK[1] + 1)), left)
        start = int(generator.integers(0, length - size + 1))
        hidden[start : start + size] = True
    return hidden


@dataclass(frozen=True)
class Place:
    """One window.

    Attributes:
        series: number of its series.
        stop: step after its last one; it has the T steps before, those before the series are padding.
        start: no step before this one is hidden.
        first: no step before this one is shown.
        period: which stretch of its part it lies in, by time.
    """

    series: int
    stop: int
    start: int
    first: int = 0
    period: int = 0


class MaskedWindows:
    """Windows with hidden steps, as a data set that hands out whole batches.

    Args:
        values: one array [C, L] a series, scaled, NaN where missing.
        places: the windows.
        context_length: T.
        patterns: what is hidden; windows take them in turn.
        shares: least and most share of steps to hide; one number where both are the same.
        seed: fixes what is hidden.
    """

    def __init__(
        self,
        values: Sequence[np.ndarray],
        places: Sequence[Place],
        context_length: int,
        patterns: Sequence[str] = _FITTED,
        shares: tuple[float, float] = _SHARES,
        seed: int = 0,
    ) -> None:
        self.values = values
        self.context_length = context_length
        self.patterns = tuple(patterns)
        self.shares = shares
        self.seed = seed
        self.places = tuple(places)

    def __len__(self) -> int:
        return len(self.places)

    def __getitems__(self, indices: list[int]) -> dict[str, Tensor]:
        """Return a batch of windows.

        ``values`` [B, C, T] (0 where not shown), ``input_mask`` [B, C, T] (1 where shown), ``step_mask`` [B, T] (1
        where the series has a step), ``target_values`` and ``target_mask`` [B, C, T] (1 at hidden steps), and
        ``period`` [B].
        """
        windows = [self._window(int(index)) for index in indices]
        values, shown, steps, hidden = (np.stack(parts) for parts in zip(*windows, strict=True))
        return {
            "values": torch.from_numpy(np.where(shown, values, 0.0).astype(np.float32)),
            "input_mask": torch.from_numpy(shown.astype(np.float32)),
            "step_mask": torch.from_numpy(steps.astype(np.float32)),
            "target_values": torch.from_numpy(np.where(hidden, values, 0.0).astype(np.float32)),
            "target_mask": torch.from_numpy(hidden.astype(np.float32)),
            "period": torch.tensor([self.places[int(index)].period for index in indices]),
        }

    def without_targets(self) -> np.ndarray:
        """Return whether each window hides nothing that is observed, or shows nothing; such windows teach nothing."""
        found = [self._window(index) for index in range(len(self))]
        return np.array([not hidden.any() or not shown.any() for _, shown, _, hidden in found])

    def _window(self, index: int) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
        """Return values [C, T], which are shown, which steps the series has [T], and which values are hidden [C, T]."""
        place = self.places[index]
        series = self.values[place.series]
        begin = place.stop - self.context_length
        first = max(begin, place.first)
        values = np.full((len(series), self.context_length), np.nan, dtype=np.float32)
        values[:, first - begin :] = series[:, first : place.stop]
        steps = np.arange(self.context_length) >= first - begin
        observed = ~np.isnan(values)
        generator = np.random.default_rng([self.seed, index])
        away = max(place.start, first) - begin  # steps that are only shown
        share = generator.uniform(*self.shares) if self.shares[0] < self.shares[1] else self.shares[0]
        pattern = self.patterns[index % len(self.patterns)]
        covered = np.zeros_like(observed)
        draw = _draw_ends if pattern == ENDS else partial(draw_hidden, pattern)
        covered[:, away:] = draw(share, (len(series), self.context_length - away), generator)
        if pattern == CHANNELS and len(series) > 1:
            covered |= covered.any(axis=1, keepdims=True)  # the whole window, measured where it may be
        may = observed & (np.arange(self.context_length) >= away)
        if not (covered & may).any() or not (observed & ~covered).any():  # of short windows: one step
            covered = _one_of(may, generator)
        hidden, shown = covered & may, observed & ~covered
        return values, shown, steps, hidden


def _one_of(steps: np.ndarray, generator: np.random.Generator) -> np.ndarray:
    """Draw one of the true entries of a mask; none of an empty one."""
    chosen = np.zeros_like(steps)
    places = np.flatnonzero(steps)
    if len(places):
        chosen.flat[generator.choice(places)] = True
    return chosen


def imputation_data(
    panel: Panel,
    split: PanelSplit,
    context_length: int,
    *,
    scalers: Sequence[Scaler] | None = None,
    patterns: Sequence[str] = _FITTED,
    shares: tuple[float, float] = _SHARES,
    train_windows: int | None = None,
    validation_windows: int | None = None,
    rolling: bool = True,
    seed: int = 0,
) -> TrainingData:
    """Return training and validation windows of a split panel.

    Training windows lie in the training ranges. Validation windows hide steps of one validation period each, and show
    what lies before it too.

    Args:
        panel: the series.
        split: ranges of each part.
        context_length: T; shorter series are padded on the left.
        scalers: of each series, by which losses are comparable; None fits them on the training ranges.
        patterns: what is hidden, see `draw_hidden`.
        shares: least and most share of steps to hide.
        train_windows: about how many training windows, as many as there are; None takes one every quarter of a context.
        validation_windows: most validation windows.
        rolling: whether the validation range of each series is cut into periods.
        seed: fixes what is hidden and which windows are drawn.

    Raises:
        InputError: values too large, or no window with two observed values in a part.
    """
    scalers = fit_scalers(panel, split) if scalers is None else scalers
    values = scaled_values(panel, scalers)
    train = _drawn(_training_places(split.train, context_length, train_windows), train_windows, seed)
    periods = cut_periods(split.validation, max(1, context_length // 4)) if rolling else []
    validation = _drawn(_validation_places(periods or [split.validation], context_length), validation_windows, seed)
    made = [
        _with_targets(MaskedWindows(values, places, context_length, patterns, shares, salt), part)
        for places, part, salt in ((train, "training", 2 * seed), (validation, "validation", 2 * seed + 1))
    ]
    places = made[1].places
    groups = SampleGroups(np.array([each.period for each in places]), np.array([each.series for each in places]))
    return TrainingData(made[0], made[1], groups)


def fit_scalers(panel: Panel, split: PanelSplit) -> tuple[Scaler, ...]:
    """Return a scaler for each series, fitted on its training range, see ``Scaler.fit``.

    Raises:
        InputError: values too large.
    """
    for series in panel:
        require_magnitude(series.values, f"item {series.item_id!r}")
    parts = zip(panel.series, split.train, split.validation, strict=True)
    return tuple(Scaler.fit(series.values, *fitted, counted=counted) for series, fitted, counted in parts)


def scaled_values(panel: Panel, scalers: Sequence[Scaler]) -> tuple[np.ndarray, ...]:
    """Return the values [C, L] of each series, scaled, float32."""
    pairs = zip(panel.series, scalers, strict=True)
    return tuple(scaler.transform(series.values).astype(np.float32) for series, scaler in pairs)


def related_channels(values: Sequence[np.ndarray], ranges: Sequence[Part], most: int) -> tuple[tuple[int, ...], ...]:
    """Return for each of C channels the others that it is most correlated with, at most ``most``; () where C is 1.

    Args:
        values: one array [C, L] a series, scaled; the last 4,000 steps of each range count.
        ranges: of each series.
        most: how many; fewer where there are no more channels.
    """
    channels = len(values[0])
    count = min(most, channels - 1)
    if count < 1:
        return ()
    parts = [
        array[:, max(start, stop - _LARGEST_RELATED) : stop]
        for array, (start, stop) in zip(values, ranges, strict=True)
    ]
    joined = np.concatenate(parts, axis=1).astype(np.float64)
    centred = np.nan_to_num(
        joined - np.nanmean(np.where(np.isnan(joined).all(1, keepdims=True), 0.0, joined), axis=1, keepdims=True)
    )
    size = np.sqrt((centred**2).sum(axis=1))
    likeness = np.abs(centred @ centred.T) / np.maximum(size[:, None] * size, 1e-12)
    np.fill_diagonal(likeness, -1.0)
    order = np.argsort(-likeness, axis=1, kind="stable")[:, :count]
    return tuple(tuple(int(other) for other in row) for row in order)


def _training_places(ranges: Sequence[Part], context_length: int, count: int | None) -> list[Place]:
    """Return windows every quarter of a context or closer, the last one at the end of its range.

    Where there are fewer than ``count``, each comes several times: what is hidden is drawn anew each time.
    """
    stride = max(1, context_length // _WINDOWS_PER_CONTEXT)
    if count is not None:
        room = sum(max(stop - start - context_length, 0) + 1 for start, stop in ranges)
        stride = min(stride, max(1, context_length // _CLOSEST, room // count))
    found = []
    for number, (start, stop) in enumerate(ranges):
        if stop - start >= 2:
            ends = range(stop, min(start + context_length, stop) - 1, -stride)
            periods = max(1, min(_MOST_PERIODS, (ends[0] - ends[-1]) // context_length))
            spread = ends[0] - ends[-1] + 1
            found += [Place(number, end, start, start, (end - ends[-1]) * periods // spread) for end in reversed(ends)]
    if count is None or not found:
        return found
    return found * min(_MOST_VISITS, math.ceil(count / len(found)))


def _validation_places(periods: Sequence[Sequence[Part]], context_length: int) -> list[Place]:
    """Return windows that end in a period, and hide steps of that period alone; earlier periods first."""
    stride = max(1, context_length // _WINDOWS_PER_CONTEXT)
    found = []
    for period, ranges in enumerate(periods):
        for number, (start, stop) in enumerate(ranges):
            if stop > start:
                ends = range(stop, min(start + context_length, stop) - 1, -stride)
                # One window a pattern: each is measured on the same steps.
                found += [Place(number, end, start, 0, period) for end in reversed(ends) for _ in _FITTED]
    return found


def _drawn(places: Sequence[Place], count: int | None, seed: int) -> list[Place]:
    return [places[row] for row in spread_rows(len(places), len(places) if count is None else count, seed)]


def _with_targets(windows: MaskedWindows, part: str) -> MaskedWindows:
    """Leave out windows that hide or show nothing."""
    empty = windows.without_targets() if len(windows) else np.ones(0, dtype=bool)
    kept = [place for place, nothing in zip(windows.places, empty, strict=True) if not nothing]
    if not kept:
        raise InputError(
            f"Expected a {part} part with a window that has two observed values, found none: nothing can be hidden and "
            "filled there. Give longer series, or leave out the empty end."
        )
    if empty.any():
        return MaskedWindows(
            windows.values, kept, windows.context_length, windows.patterns, windows.shares, windows.seed
        )
    return windows
