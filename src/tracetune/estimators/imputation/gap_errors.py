"""Errors of fills of gaps that are hidden in known series: of many lengths, inside the series and at their ends.

Shapes: C channels, L steps of a series, E hidden steps.
"""

import math
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

import numpy as np

from tracetune.base.stretches import stretches_of
from tracetune.estimators.imputation.gap_distances import gap_distances

_MOST_PLACES, _FEWEST_PLACES = 64, 12  # of gaps of one length; fewer of long ones, which overlap
_PLACED_STEPS = 1024  # hidden by gaps of one length, about
_APART = 4  # times its length, from one hidden gap to the next
_LONGEST = 1 / 3  # of a series
_MOST_STEPS = 1024  # in the longest gap
_RATIO, _END_RATIO = 2, 4  # from one length of gaps to the next; also inside series of many channels
_MANY_CHANNELS = 8
_HELD_OUT = 1 / 5  # of a series, its end: whole channels are measured there
_MOST_CHANNELS = 8  # that are hidden as a whole
Fill = Callable[[np.ndarray, np.ndarray, int], np.ndarray]
"""From values [C, L] with gaps, steps [L] whose fills are read, and the number of the series, to values without."""


@dataclass(frozen=True, eq=False)
class GapErrors:
    """Errors of hidden steps.

    Attributes:
        errors: [E], truth less fill.
        distances: [E], see `gap_distances`; inf where nothing of a channel was shown.
        one_sided: [E], whether observed steps were on one side only.
        lengths: [E], steps of the gap.
        gaps: [E], number of the gap; channels that were hidden at once share one.
        steps: of all series, in which the gaps were hidden.
    """

    errors: np.ndarray
    distances: np.ndarray
    one_sided: np.ndarray
    lengths: np.ndarray
    gaps: np.ndarray
    steps: int


@dataclass(frozen=True)
class _Trial:
    """Gaps that are hidden at once in a part of a series.

    Attributes:
        number: of the series.
        begin: first step of the part.
        hidden: [C, steps of the part].
        length: steps of each gap.
    """

    number: int
    begin: int
    hidden: np.ndarray
    length: int


def gap_errors(fill: Fill, series: Sequence[np.ndarray], longest: int | None = None, *, related: bool) -> GapErrors:
    """Hide gaps of many lengths, up to a third of the longest series, and measure how they are filled.

    They have 1, 2, 4, ... steps (1, 4, 16, ... in many channels), and lie all over the series, at times in all
    channels, at times in every other one. At the ends, series are cut, and their first or last steps hidden.

    Args:
        fill: fills a series.
        series: [C, L] each, scaled, NaN where missing.
        longest: steps of the longest gap to hide; None for as long as the series allow.
        related: whether channels are filled from one another; whole channels are hidden too.
    """
    generator = np.random.default_rng(0)
    found: list[tuple[np.ndarray, ...]] = []
    count = 0
    for trial in _trials(series, longest, related, generator):
        stop = trial.begin + trial.hidden.shape[1]
        part = series[trial.number][:, trial.begin : stop]
        hidden = trial.hidden & ~np.isnan(part)
        if hidden.any():
            tried = np.where(hidden, np.nan, part)
            filled = fill(tried, hidden.any(axis=0), trial.number)
            distances, one_sided = gap_distances(tried)
            gaps = _numbered(trial.hidden) + count
            count = int(gaps.max()) + 1
            kept = hidden & ~np.isnan(filled)
            lengths = np.full(int(kept.sum()), trial.length)
            found.append(((part - filled)[kept], distances[kept], one_sided[kept], lengths, gaps[kept]))
    steps = sum(values.shape[1] for values in series)
    if not found:
        nothing = np.zeros(0)
        return GapErrors(nothing, nothing, nothing.astype(bool), nothing.astype(int), nothing.astype(int), steps)
    errors, distances, one_sided, lengths, gaps = (np.concatenate(parts) for parts in zip(*found, strict=True))
    return GapErrors(errors, distances, one_sided, lengths, gaps, steps)


def _trials(
    series: Sequence[np.ndarray], longest: int | None, related: bool, generator: np.random.Generator
) -> Iterator[_Trial]:
    """Yield what to hide: inside the series, at their ends, and whole channels where they are ``related``."""
    most = min(int(_LONGEST * max(values.shape[1] for values in series)), _MOST_STEPS)
    most = max(1, most if longest is None else min(most, longest))
    channels = len(series[0])
    for length in _lengths(most, _RATIO if channels < _MANY_CHANNELS else _END_RATIO):
        passes = list(_inner_passes(series, length, _places(length, channels), generator))
        yield from passes
        if channels > 1:
            yield from (_in_turn(trial, turn) for turn, trial in enumerate(passes))
    for length in _lengths(most, _END_RATIO):
        yield from _end_trials(series, length, generator)
    if related:
        yield from _whole_channels(series)


def _lengths(most: int, ratio: int) -> list[int]:
    """Return the lengths 1, ratio, ratio^2, ... and ``most``."""
    return sorted({*(ratio**power for power in range(most.bit_length()) if ratio**power <= most), most})


def _places(length: int, channels: int) -> int:
    """Return how many gaps of a length to hide."""
    return max(_FEWEST_PLACES, min(_MOST_PLACES, _PLACED_STEPS // length) // channels)


def _starts(rooms: Sequence[int], count: int, generator: np.random.Generator) -> list[tuple[int, int]]:
    """Return evenly spread pairs of a series and a place in it, of as many as each has room for."""
    before = np.concatenate([[0], np.cumsum(rooms)])
    spread = np.unique(((np.arange(count) + generator.random()) / count * before[-1]).astype(int))
    if not before[-1]:
        return []
    numbers = np.searchsorted(before, spread, side="right") - 1
    return [(int(number), int(place - before[number])) for number, place in zip(numbers, spread, strict=True)]


def _inner_passes(
    series: Sequence[np.ndarray], length: int, count: int, generator: np.random.Generator
) -> Iterator[_Trial]:
    """Yield gaps inside the series, all channels at once; those that are too near to one another, one by one."""
    rooms = [max(0, values.shape[1] - length - 1) for values in series]
    passes: list[tuple[int, list[int]]] = []
    for number, place in _starts(rooms, count, generator):
        start = place + 1
        for other, taken in passes:
            if other == number and taken[-1] + _APART * (length + 1) <= start:
                taken.append(start)
                break
        else:
            passes.append((number, [start]))
    for number, taken in passes:
        hidden = np.zeros(series[number].shape, dtype=bool)
        for start in taken:
            hidden[:, start : start + length] = True
        yield _Trial(number, 0, hidden, length)


def _in_turn(trial: _Trial, turn: int) -> _Trial:
    """Return the gaps of a trial, each in every other channel only."""
    hidden = trial.hidden.copy()
    for number, (start, stop) in enumerate(stretches_of(hidden[0]).tolist(), turn):
        hidden[number % 2 :: 2, start:stop] = False
    return _Trial(trial.number, trial.begin, hidden, trial.length)


def _end_trials(series: Sequence[np.ndarray], length: int, generator: np.random.Generator) -> Iterator[_Trial]:
    """Yield series that are cut, with their first or last steps hidden, at times in one channel only."""
    rooms = [max(0, values.shape[1] - length) for values in series]
    for turn, (number, place) in enumerate(_starts(rooms, _FEWEST_PLACES, generator)):
        channels, steps = series[number].shape
        begin, stop, first = (place, steps, 0) if turn % 2 else (0, place + 1 + length, place + 1)
        hidden = np.zeros((channels, stop - begin), dtype=bool)
        every, one = slice(None), turn // 4 % channels
        hidden[every if turn % 4 < 2 else one, first : first + length] = True
        yield _Trial(number, begin, hidden, length)


def _whole_channels(series: Sequence[np.ndarray]) -> Iterator[_Trial]:
    """Yield the ends of the longest series, each time with one channel hidden."""
    number = max(range(len(series)), key=lambda each: series[each].shape[1])
    channels, steps = series[number].shape
    size = math.ceil(_HELD_OUT * steps)
    for channel in np.unique(np.linspace(0, channels - 1, min(channels, _MOST_CHANNELS)).astype(int)).tolist():
        hidden = np.zeros((channels, size), dtype=bool)
        hidden[channel] = True
        yield _Trial(number, steps - size, hidden, size)


def _numbered(hidden: np.ndarray) -> np.ndarray:
    """Return the number of the gap in which each step of a part lies [C, steps], the same in all channels."""
    numbers = np.zeros(hidden.shape[1], dtype=int)
    for number, (start, stop) in enumerate(stretches_of(np.asarray(hidden.any(axis=0))).tolist(), 1):
        numbers[start:stop] = number
    return np.broadcast_to(numbers, hidden.shape)
