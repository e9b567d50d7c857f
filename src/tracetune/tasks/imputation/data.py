"""Imputation data: which windows of a panel train and validate, how series are scaled, and which channels go together.

Shapes: C channels, L steps of a series, T context.
"""

import math
from collections.abc import Sequence

import numpy as np

from tracetune.base.errors import InputError
from tracetune.data.batch_source import spread_rows
from tracetune.data.panels import Panel
from tracetune.data.splits import PanelSplit, Part, Scaler, cut_periods, require_magnitude
from tracetune.evaluation.periods import SampleGroups
from tracetune.tasks.imputation.hidden_steps import FITTED_PATTERNS
from tracetune.tasks.imputation.masked_windows import SHARES, MaskedWindows, Place
from tracetune.tasks.task import TrainingData

_WINDOWS_PER_CONTEXT = 4
_CLOSEST = 64  # training windows begin every 64th of a context at the closest
_MOST_VISITS = 4  # of the same training window, with other steps hidden
_MOST_PERIODS = 12  # of a training range; windows of one share no step with those of the next but one
_LARGEST_RELATED = 4000  # steps, enough to know which channels go together


def imputation_data(
    panel: Panel,
    split: PanelSplit,
    context_length: int,
    *,
    scalers: Sequence[Scaler] | None = None,
    patterns: Sequence[str] = FITTED_PATTERNS,
    shares: tuple[float, float] = SHARES,
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
                found += [Place(number, end, start, 0, period) for end in reversed(ends) for _ in FITTED_PATTERNS]
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
