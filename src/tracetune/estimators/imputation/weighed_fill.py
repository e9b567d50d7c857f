"""Mixtures of the fills of a foundation model without a fit, of the straight line and of the seasonal median.

A model that was pretrained on other series may rebuild a sharp shape worse than its last repetition shows it, or bend
where a straight line holds. Which of the three to trust, observed steps of the series itself say: gaps as long as its
own are hidden there, and the weights that fill these best are taken, at least 0 and 1 in sum (stacking: Breiman 1996,
Machine Learning 24).

Shapes: L steps of a series, R hidden steps.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

import numpy as np

from tracetune.base.stretches import stretches_of
from tracetune.data.examination import seasons
from tracetune.evaluation.fills import linear, seasonal_median

_CLASS_ENDS = (1, 3, 7, 15, 31, 63)  # steps of a gap; each class has weights of its own
_FEWEST, _MOST_STEPS = 3, 512  # hidden gaps and hidden steps of a class
_SHARE = 0.4  # of the observed steps, that are hidden at most
_TENTHS = 10
_TRIES = 8  # places that are drawn for each gap to hide
_ALONE = (1.0, 0.0)  # weights of the model and of the season
_STEPS = range(_TENTHS + 1)
WEIGHTS = np.array([_ALONE, *((m / _TENTHS, s / _TENTHS) for m in _STEPS for s in _STEPS if m + s <= _TENTHS)])


class RowFill(Protocol):
    """A model that fills a channel."""

    def __call__(self, row: np.ndarray, wanted: np.ndarray | None = None) -> np.ndarray:
        """Return a channel [L] with NaN where missing without gaps; of ``wanted`` steps [L] alone, if they are given.

        These are only compared with what is known there: fewer windows do.
        """
        ...


@dataclass(frozen=True)
class Mixture:
    """Weights by which the gaps of one class of length of a channel are filled.

    Attributes:
        shortest: steps of the shortest gap of the class.
        longest: steps of the longest one; None without an end.
        steps: how many steps of the channel are filled so.
        hidden: how many steps were hidden to choose the weights; 0 where the model fills alone.
        zero_shot: weight of what the model rebuilds.
        seasonal_median: weight of the seasonal median.
        linear: weight of the straight line.
        season: steps of the season of the median; 1 where there is none.
    """

    shortest: int
    longest: int | None
    steps: int
    hidden: int
    zero_shot: float
    seasonal_median: float
    linear: float
    season: int


def weighed_fill(model: RowFill, row: np.ndarray, usual: int) -> tuple[np.ndarray, tuple[Mixture, ...]]:
    """Return a channel [L] whose gaps are filled by the mixtures that suit hidden steps of it, and these mixtures.

    Gaps at an end, and gaps of a length of which fewer than three can be hidden, are filled by the model alone.

    Args:
        model: fills a channel.
        row: [L], NaN where missing.
        usual: the season of its frequency; 1 for none. Seasons are those after which it repeats, see `seasons`.
    """
    filled, classes = model(row), _inner_classes(row)
    hidden = hidden_like(row)
    chosen: dict[int, tuple[float, float, int, int]] = {}
    if hidden.any():
        tried = np.where(hidden, np.nan, row)
        lags = [lag for lag, _ in seasons([tried[None]], usual=usual)] or [1]
        chosen = _chosen(row, tried, model(tried, hidden), lags)
    numbers = _inner_numbers(classes)
    mixtures = tuple(_mixture(number, int((classes == number).sum()), chosen) for number in numbers)
    return mixed(row, filled, mixtures), mixtures


def mixed(row: np.ndarray, by_model: np.ndarray, mixtures: Sequence[Mixture]) -> np.ndarray:
    """Return a channel [L] filled by the mixtures, and where these say nothing by the model.

    Args:
        row: [L], NaN where missing.
        by_model: [L], filled by the model.
        mixtures: for classes of length of gaps.
    """
    line, result, classes = linear(row), by_model.copy(), _inner_classes(row)
    for each in mixtures:
        here = classes == np.searchsorted(_CLASS_ENDS, each.shortest)
        by_season = seasonal_median(row, each.season) - line
        whole = line + each.zero_shot * (by_model - line) + each.seasonal_median * by_season
        result[here] = whole[here]
    return result


def _chosen(
    row: np.ndarray, tried: np.ndarray, by_model: np.ndarray, lags: Sequence[int]
) -> dict[int, tuple[float, float, int, int]]:
    """Return for each class of hidden gaps the weights of model and season, the season, and how many steps it hid.

    Args:
        row: [L], NaN where missing.
        tried: [L], NaN where steps are hidden too.
        by_model: [L], ``tried`` filled by the model.
        lags: seasons to try.
    """
    hidden, straight = np.isnan(tried) & ~np.isnan(row), linear(tried)
    classes = np.where(hidden, _inner_classes(tried), -1)
    medians = {lag: seasonal_median(tried, lag) for lag in lags}
    chosen = {}
    for number in _inner_numbers(classes):
        here = classes == number
        wanted, found = row[here] - straight[here], []
        for lag, median in medians.items():
            parts = np.stack([by_model, median])[:, here] - straight[here]  # [2, R]
            errors = ((WEIGHTS @ parts - wanted) ** 2).mean(axis=1)
            found.append((float(errors.min()), lag, *WEIGHTS[int(errors.argmin())].tolist()))
        _, lag, of_model, of_season = min(found, key=lambda each: each[0])
        chosen[number] = (of_model, of_season, lag, int(here.sum()))
    return chosen


def _mixture(number: int, steps: int, chosen: dict[int, tuple[float, float, int, int]]) -> Mixture:
    """Return what fills a class of gaps in words and numbers."""
    of_model, of_season, season, hidden = chosen.get(number, (*_ALONE, 1, 0))
    ends = (0, *_CLASS_ENDS)
    longest = _CLASS_ENDS[number] if number < len(_CLASS_ENDS) else None
    line = round(1 - of_model - of_season, 1)
    return Mixture(ends[number] + 1, longest, steps, hidden, of_model, of_season, line, season if of_season else 1)


def _inner_numbers(classes: np.ndarray) -> list[int]:
    """Return the classes of inner gaps among those of steps [L]."""
    return [number for number in np.unique(classes).tolist() if number >= 0]


def hidden_like(row: np.ndarray) -> np.ndarray:
    """Return observed steps [L] to hide: gaps as long as those inside the series, apart from these and one another.

    Classes of length of which too few find a place are left out.
    """
    gaps = _inner_gaps(row)
    generator = np.random.default_rng(0)
    free = ~np.isnan(row)
    left = int(_SHARE * free.sum())
    hidden = np.zeros(len(row), dtype=bool)
    lengths = np.diff(gaps).ravel()
    classes = np.searchsorted(_CLASS_ENDS, lengths)
    for number in np.unique(classes):
        sizes, placed = lengths[classes == number], []
        budget = min(_MOST_STEPS, left // len(np.unique(classes)))
        spent = 0
        for size in generator.choice(sizes, max(_FEWEST, budget // max(1, int(sizes.mean())))).tolist():
            spent += size
            if spent > max(budget, _FEWEST):
                break
            start = _place(free, size, generator)
            if start is not None:
                placed.append(slice(start, start + size))
                free[max(0, start - 1) : start + size + 1] = False
        if len(placed) >= _FEWEST:
            for part in placed:
                hidden[part] = True
    return hidden


def _place(free: np.ndarray, size: int, generator: np.random.Generator) -> int | None:
    """Draw a step before which, and after whose ``size`` steps, there is another free one; None where none is found."""
    if len(free) < size + 2:
        return None
    for start in generator.integers(1, len(free) - size, _TRIES).tolist():
        if free[start - 1 : start + size + 1].all():
            return start
    return None


def _inner_gaps(row: np.ndarray) -> np.ndarray:
    """Return first steps and ends [G, 2] of the gaps that have observed steps on both sides."""
    gaps = stretches_of(np.isnan(row))
    return gaps[(gaps[:, 0] > 0) & (gaps[:, 1] < len(row))]


def _inner_classes(row: np.ndarray) -> np.ndarray:
    """Return the class of length of the inner gap in which each step lies [L]; -1 elsewhere."""
    classes = np.full(len(row), -1)
    for start, stop in _inner_gaps(row).tolist():
        classes[start:stop] = np.searchsorted(_CLASS_ENDS, stop - start)
    return classes
