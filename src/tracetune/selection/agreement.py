"""Agreement of importance scores: rank correlations over modules, with intervals, and sets that have members in common.

Notation for shapes: M modules.
"""

from collections.abc import Callable, Collection
from dataclasses import dataclass

import numpy as np
from scipy import stats

from tracetune.base.errors import InputError
from tracetune.evaluation.statistics import Interval

_LEAST_MODULES = 3


@dataclass(frozen=True)
class Agreement:
    """Rank correlations of scores with a yardstick; NaN where either of the two is constant.

    Attributes:
        spearman: correlation of the ranks.
        kendall: tau-b, the surplus of pairs of modules in the same order.
        modules: M.
    """

    spearman: Interval
    kendall: Interval
    modules: int


@dataclass(frozen=True)
class Overlap:
    """Members that two sets have in common, beside what random sets would have.

    Attributes:
        sizes: of the two sets.
        shared: how many are in both.
        expected: how many are in both on average, where two sets of these sizes are drawn at random.
        p_value: how often random sets have as many in common, or more.
    """

    sizes: tuple[int, int]
    shared: int
    expected: float
    p_value: float


def set_overlap(first: Collection[str], second: Collection[str], modules: int) -> Overlap:
    """Return what two sets of the M ``modules`` have in common, with the hypergeometric distribution of random sets."""
    sizes, shared = (len(first), len(second)), len(set(first) & set(second))
    random_sets = stats.hypergeom(modules, *sizes)
    return Overlap(sizes, shared, float(random_sets.mean()), float(random_sets.sf(shared - 1)))


def rank_agreement(
    scores: np.ndarray, yardstick: np.ndarray, confidence: float = 0.95, resamples: int = 1000, seed: int = 0
) -> Agreement:
    """Return Spearman's rho and Kendall's tau-b of scores [M] with a yardstick [M], and percentile bootstrap intervals.

    Modules are drawn with replacement. Noise in the yardstick itself counts as disagreement.

    Raises:
        InputError: different numbers of modules, fewer than 3, or a value that is not finite.
    """
    if scores.shape != yardstick.shape or scores.ndim != 1 or len(scores) < _LEAST_MODULES:
        raise InputError(
            f"Expected scores and yardstick of the same {_LEAST_MODULES} or more modules, found shapes "
            f"{list(scores.shape)} and {list(yardstick.shape)}."
        )
    if not (np.isfinite(scores).all() and np.isfinite(yardstick).all()):
        raise InputError("Expected finite scores, found NaN or infinity. Look for extreme values in the data.")
    drawn = np.random.default_rng(seed).integers(len(scores), size=(resamples, len(scores)))
    pairs = [(scores, yardstick), *zip(scores[drawn], yardstick[drawn], strict=True)]
    return Agreement(_interval(_spearman, pairs, confidence), _interval(_kendall, pairs, confidence), len(scores))


def _interval(
    statistic: Callable[[np.ndarray, np.ndarray], float], pairs: list[tuple[np.ndarray, np.ndarray]], confidence: float
) -> Interval:
    """Return the statistic of the first pair, and quantiles of the others where it is defined."""
    estimate, *resampled = (statistic(*pair) for pair in pairs)
    if np.isnan(resampled).all():
        return Interval(estimate, np.nan, np.nan)
    low, high = np.nanquantile(resampled, [(1 - confidence) / 2, (1 + confidence) / 2])
    return Interval(estimate, float(low), float(high))


def _spearman(first: np.ndarray, second: np.ndarray) -> float:
    ranks = stats.rankdata(np.stack([first, second]), axis=1)
    if (ranks.min(axis=1) == ranks.max(axis=1)).any():
        return float("nan")
    return float(stats.pearsonr(*ranks).statistic)


def _kendall(first: np.ndarray, second: np.ndarray) -> float:
    # the p-value is not used; "asymptotic" is the cheap one
    return float(stats.kendalltau(first, second, method="asymptotic").statistic)
