"""Mixtures of the fills of a foundation model without a fit, of the straight line and of the seasonal median.

A model that was pretrained on other series may rebuild a sharp shape worse than its last repetition shows it, or bend
where a straight line holds. Which of the three to trust, observed steps of the series itself say: gaps as long as its
own are hidden there, and the weights that fill these best are taken, at least 0 and 1 in sum (stacking: Breiman 1996,
Machine Learning 24).

Shapes: L steps of a series, R hidden steps.
"""

from collections.abc import Callable

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
RowFill = Callable[[np.ndarray], np.ndarray]
"""From a channel [L] with NaN where missing to the channel without."""


def weighed_fill(model: RowFill, row: np.ndarray, usual: int) -> np.ndarray:
    """Return a channel [L] whose gaps are filled by the mixture that suits hidden steps of it.

    Gaps at an end, and gaps of a length of which fewer than three can be hidden, are filled by the model alone.

    Args:
        model: fills a channel.
        row: [L], NaN where missing.
        usual: the season of its frequency; 1 for none. Seasons are those after which it repeats, see `seasons`.
    """
    filled = model(row)
    hidden = hidden_like(row)
    if not hidden.any():
        return filled
    tried = np.where(hidden, np.nan, row)
    by_model, straight, line = model(tried), linear(tried), linear(row)
    lags = [lag for lag, _ in seasons([tried[None]], usual=usual)] or [1]
    medians = {lag: (seasonal_median(tried, lag), seasonal_median(row, lag)) for lag in lags}
    classes, of_hidden = _inner_classes(row), np.where(hidden, _inner_classes(tried), -1)
    result = filled.copy()
    for number in np.unique(of_hidden[hidden]):
        here = of_hidden == number
        wanted, steps = row[here] - straight[here], classes == number
        found = []
        for lag, (of_tried, _) in medians.items():
            parts = np.stack([by_model, of_tried])[:, here] - straight[here]  # [2, R]
            errors = ((WEIGHTS @ parts - wanted) ** 2).mean(axis=1)
            found.append((float(errors.min()), lag, WEIGHTS[int(errors.argmin())]))
        _, lag, (of_model, of_season) = min(found, key=lambda each: each[0])
        mixed = line + of_model * (filled - line) + of_season * (medians[lag][1] - line)
        result[steps] = mixed[steps]
    return result


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
