"""Evaluation of fills: observed steps are hidden, and filled by a model and by rules that need none.

Shapes: C channels, L steps of a series, T context.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd

from tracetune.base.errors import InputError, argument
from tracetune.data.splits import Scaler
from tracetune.evaluation.fills import simple_fills
from tracetune.tasks.imputation.hidden_steps import CHANNELS, draw_hidden

BEST_SIMPLE = "best of these per series"
Fill = Callable[[np.ndarray, int], np.ndarray]
"""From values [C, L] with gaps and the number of their series to values without; NaN where it fills nothing."""


@dataclass
class _Errors:
    squares: float = 0.0
    sizes: float = 0.0
    steps: int = 0

    def add(self, errors: np.ndarray) -> None:
        self.squares += float((errors**2).sum())
        self.sizes += float(np.abs(errors).sum())
        self.steps += errors.size


def fill_errors(
    model: Fill,
    series: Sequence[np.ndarray],
    scalers: Sequence[Scaler],
    context_length: int,
    season: int,
    pattern: str,
    share: float,
    seed: int,
) -> pd.DataFrame:
    """Return MSE and MAE over hidden steps, of scaled values, for the model and the simple fills.

    "best of these per series" is for each channel of each series the simple fill that has the lowest error on other
    hidden steps of the same series.

    Args:
        model: fills a series.
        series: values [C, L], NaN where missing.
        scalers: of each series; where nothing is filled, the mean counts.
        context_length: T; patterns are drawn anew for each stretch of T steps; whole channels are hidden over a whole
            series, a share of them at a time until each was hidden once.
        season: steps of one season.
        pattern: see ``draw_hidden``.
        share: of the steps to hide.
        seed: fixes what is hidden.

    Raises:
        InputError: too few observed steps to hide one.
    """
    errors: dict[str, _Errors] = {}
    for number, (given, scaler) in enumerate(zip(series, scalers, strict=True)):
        generator = hiding(seed, number)
        values = scaler.transform(given)
        for hidden in hidden_steps(values, pattern, share, context_length, generator):
            shown = np.where(hidden, np.nan, values)
            simple = _simple(shown, season)
            trial = next(hidden_steps(shown, pattern, share, context_length, generator))
            trials = _simple(np.where(trial, np.nan, shown), season)
            by_model = np.nan_to_num(scaler.transform(model(np.where(hidden, np.nan, given), number)))
            fills = {"model": by_model, **simple, BEST_SIMPLE: _best(simple, trials, shown, trial)}
            for name, filled in fills.items():
                errors.setdefault(name, _Errors()).add((filled - values)[hidden])
    if not any(each.steps for each in errors.values()):
        observed = sum(int((~np.isnan(values)).sum()) for values in series)
        raise InputError(
            f"Expected observed steps of which some can be hidden, found {observed:,}, of which the pattern "
            f"{pattern!r} with {argument('share', share)} hides none. Give longer series, or a larger "
            f"{argument('share')}."
        )
    return pd.DataFrame(
        {
            "method": name,
            "mse": each.squares / each.steps,
            "mae": each.sizes / each.steps,
            "hidden": each.steps,
        }
        for name, each in errors.items()
    )


def hiding(seed: int, number: int) -> np.random.Generator:
    """Return what fixes the hidden steps of a series by its number."""
    return np.random.default_rng([seed, number])


def hidden_steps(
    values: np.ndarray, pattern: str, share: float, context_length: int, generator: np.random.Generator
) -> Iterator[np.ndarray]:
    """Yield observed steps of a series [C, L] to hide; one observed step at least stays in the series.

    One draw, of whole channels as many as hide each channel once: a few channels of a series say little of the others.
    """
    channels, length = values.shape
    observed = ~np.isnan(values)
    if pattern == CHANNELS and channels > 1:
        size = min(max(1, round(share * channels)), channels - 1)
        order = generator.permutation(channels)
        for start in range(0, channels, size):
            chosen = np.isin(np.arange(channels), order[start : start + size])
            yield _one_left(observed & chosen[:, None], observed, generator)
        return
    stretch = min(context_length, length)
    sizes = [min(stretch, length - start) for start in range(0, length, stretch)]
    hidden = np.concatenate([draw_hidden(pattern, share, (channels, size), generator) for size in sizes], axis=1)
    yield _one_left(hidden & observed, observed, generator)


def _one_left(hidden: np.ndarray, observed: np.ndarray, generator: np.random.Generator) -> np.ndarray:
    """Return the steps to hide, without one of them if they would be all that are observed."""
    if observed.any() and (hidden == observed).all():
        hidden.flat[generator.choice(np.flatnonzero(observed))] = False
    return hidden


def _simple(values: np.ndarray, season: int) -> dict[str, np.ndarray]:
    """Return the simple fills of a series [C, L]; a channel without a value is filled with 0, the mean of scaling."""
    fills = simple_fills(season)
    return {name: np.nan_to_num(np.stack([fill(row) for row in values])) for name, fill in fills.items()}


def _best(
    fills: Mapping[str, np.ndarray], trials: Mapping[str, np.ndarray], values: np.ndarray, hidden: np.ndarray
) -> np.ndarray:
    """Return for each channel the fill whose trial came nearest to the values at hidden steps."""
    names = list(fills)
    errors = np.stack([np.where(hidden, trials[name] - values, 0.0) for name in names])
    best = (errors**2).sum(axis=2).argmin(axis=0)  # [C]
    return np.stack([fills[names[number]][channel] for channel, number in enumerate(best)])
