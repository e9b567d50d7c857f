"""Confidence intervals and significance tests for paired results."""

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import combinations

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike
from scipy import stats

from tracetune.base.errors import InputError, unknown_name


@dataclass(frozen=True)
class Interval:
    """An estimate and the interval around it."""

    estimate: float
    low: float
    high: float


@dataclass(frozen=True)
class PairTest:
    """Two methods compared on the same cases.

    Attributes:
        first: name of a method.
        second: name of the other.
        difference: median of (first - second); negative where the first has the lower errors.
        cases: on how many cases.
        p_value: of the test alone.
        adjusted_p_value: corrected for all tests of the family.
    """

    first: str
    second: str
    difference: float
    cases: int
    p_value: float
    adjusted_p_value: float


@dataclass(frozen=True)
class Significance:
    """A test statistic and its two-sided p-value."""

    statistic: float
    p_value: float


def paired_bootstrap_interval(
    first: ArrayLike, second: ArrayLike, confidence: float = 0.95, resamples: int = 10_000, seed: int = 0
) -> Interval:
    """Return the mean of (first - second) over paired cases [S], with its percentile bootstrap interval (Efron 1979).

    Whole pairs are drawn, so what makes a case hard for both cancels out.

    Raises:
        InputError: lengths differ, no case, values that are not finite, or a confidence outside (0, 1).
    """
    differences = _differences(first, second)
    if not 0 < confidence < 1:
        raise InputError(f"Expected a confidence between 0 and 1, found {confidence}.")
    random = np.random.default_rng(seed)
    cases = len(differences)
    means = [differences[random.integers(cases, size=cases)].mean() for _ in range(resamples)]
    low, high = np.quantile(means, [(1 - confidence) / 2, (1 + confidence) / 2])
    return Interval(float(differences.mean()), float(low), float(high))


def wilcoxon_holm(table: pd.DataFrame, control: str | None = None) -> list[PairTest]:
    """Return Wilcoxon signed-rank test of each pair of methods, p-values corrected after Holm (1979).

    Args:
        table: one row a case (data set, horizon, seed), one column a method, errors in the cells.
        control: compare only this method with each of the others; None compares all pairs.

    Returns:
        One entry a pair, in the order of the columns.

    Raises:
        InputError: an unknown control, fewer than two methods, or an error that is not finite.
    """
    _check_table(table)
    methods = list(table.columns)
    if control is not None and control not in methods:
        raise unknown_name("method", control, methods)
    pairs = [pair for pair in combinations(methods, 2) if control in (None, *pair)]
    if control is not None:
        pairs = [(control, second if first == control else first) for first, second in pairs]
    p_values = [_wilcoxon(table[first].to_numpy() - table[second].to_numpy()) for first, second in pairs]
    return [
        PairTest(first, second, float((table[first] - table[second]).median()), len(table), p_value, adjusted)
        for (first, second), p_value, adjusted in zip(pairs, p_values, holm(p_values), strict=True)
    ]


def holm(p_values: Sequence[float]) -> list[float]:
    """Return step-down corrected p-values (Holm 1979), in the order given."""
    values = np.asarray(p_values, dtype=np.float64)
    order = np.argsort(values)
    adjusted = np.maximum.accumulate(values[order] * np.arange(len(values), 0, -1))
    result = np.empty_like(values)
    result[order] = np.minimum(adjusted, 1.0)
    return [float(value) for value in result]


def diebold_mariano(first: ArrayLike, second: ArrayLike, horizon: int = 1, power: int = 2) -> Significance:
    """Test two forecasts of one series for equal accuracy (Diebold & Mariano, in the form of Harvey et al. 1997).

    With d_t = |e1_t|^power - |e2_t|^power over n origins, autocovariances c_k and horizon h:

        DM = mean(d) / sqrt((c_0 + 2 sum_{k<h} c_k) / n) * sqrt((n + 1 - 2 h + h (h - 1) / n) / n)

    and p from Student's t with n - 1 degrees of freedom. Where the estimated variance is not positive, which the
    truncated sum allows for h > 1, the autocovariances are left out (h = 1).

    Args:
        first: errors e1 [n] at consecutive origins.
        second: errors e2 [n] at the same origins.
        horizon: h, how many steps ahead was forecast.
        power: 1 for absolute, 2 for squared errors.

    Returns:
        Statistic, negative where the first forecast is the more accurate, and p-value. Equal losses throughout
        give 0 and 1.

    Raises:
        InputError: lengths differ, values that are not finite, or no more origins than ``horizon``.
    """
    losses = _differences(np.abs(_finite(first)) ** power, np.abs(_finite(second)) ** power)
    origins = len(losses)
    if not 1 <= horizon < origins:
        raise InputError(f"Expected a horizon from 1 to {origins - 1} for {origins} errors, found {horizon}.")
    if not losses.any():
        return Significance(0.0, 1.0)
    centred = losses - losses.mean()
    covariances = [centred[lag:] @ centred[: origins - lag] / origins for lag in range(horizon)]
    variance = (covariances[0] + 2 * sum(covariances[1:])) / origins
    if variance <= 0 and horizon > 1:
        return diebold_mariano(first, second, 1, power)
    correction = (origins + 1 - 2 * horizon + horizon * (horizon - 1) / origins) / origins
    with np.errstate(divide="ignore"):
        statistic = losses.mean() / np.sqrt(variance) * np.sqrt(correction)
    return Significance(float(statistic), float(2 * stats.t.sf(abs(statistic), origins - 1)))


def _wilcoxon(differences: np.ndarray) -> float:
    if not differences.any():
        return 1.0
    return float(stats.wilcoxon(differences).pvalue)


def _differences(first: ArrayLike, second: ArrayLike) -> np.ndarray:
    first, second = _finite(first), _finite(second)
    if first.shape != second.shape:
        raise InputError(f"Expected results for the same cases, found {len(first)} and {len(second)}.")
    return first - second


def _finite(values: ArrayLike) -> np.ndarray:
    array = np.asarray(values, dtype=np.float64)
    if array.ndim != 1 or len(array) == 0 or not np.isfinite(array).all():
        raise InputError("Expected at least one value, all of them finite, in one dimension.")
    return array


def _check_table(table: pd.DataFrame) -> None:
    if table.shape[1] < 2 or len(table) == 0:
        raise InputError(f"Expected a table with cases in rows and at least two methods, found shape {table.shape}.")
    if not np.isfinite(table.to_numpy(dtype=np.float64)).all():
        raise InputError("Expected a finite error in every cell: leave out cases that not all methods have solved.")
