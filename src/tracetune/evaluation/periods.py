"""Losses of samples that belong to periods of time and to items: their mean and its standard error."""

from dataclasses import dataclass

import numpy as np

from tracetune.base.errors import InputError


@dataclass(frozen=True, eq=False)
class SampleGroups:
    """Which period and which item each of S samples belongs to.

    Attributes:
        periods: [S] numbers from 0, the latest period last.
        items: [S] numbers from 0.
    """

    periods: np.ndarray
    items: np.ndarray

    def __post_init__(self) -> None:
        if self.periods.shape != self.items.shape or self.periods.ndim != 1:
            raise InputError(
                "Expected one period and one item for each sample, found arrays of shape "
                f"{list(self.periods.shape)} and {list(self.items.shape)}."
            )

    @classmethod
    def of_single_items(cls, samples: int) -> "SampleGroups":
        """Return groups of unrelated samples: each is an item, and all are in one period."""
        return cls(np.zeros(samples, dtype=np.int64), np.arange(samples))


@dataclass(frozen=True)
class Difference:
    """A mean difference of paired losses.

    Attributes:
        mean: over all samples; positive where the first loss is the larger one.
        error: standard error of the mean; None where one period and one item leave it unknown.
    """

    mean: float
    error: float | None


def paired_difference(first: np.ndarray, second: np.ndarray, groups: SampleGroups) -> Difference:
    """Return the mean of (first - second) over losses [S] of the same samples, with its standard error."""
    values = np.asarray(first, dtype=np.float64) - np.asarray(second, dtype=np.float64)
    return Difference(float(values.mean()), standard_error(values, groups))


def standard_error(values: np.ndarray, groups: SampleGroups) -> float | None:
    """Return the standard error of the mean of values [S] that are alike within periods and within items.

    With sums e_g = sum_{i in g} (v_i - mean) over the samples of each of G groups,

        SE^2 = G / (G - 1) sum_g e_g^2 / S^2

    (Liang & Zeger 1986, with the usual correction for few groups). It is computed for periods and for items, and the
    larger of the two counts: a shock that all items share shows between periods, an item that is unlike the others
    between items. Windows that overlap are in the same group, and are not taken for independent.

    Returns:
        The error; None where there is one period and one item.
    """
    errors = [_clustered_error(values, labels) for labels in (groups.periods, groups.items)]
    known = [error for error in errors if error is not None]
    return max(known) if known else None


def period_means(values: np.ndarray, groups: SampleGroups) -> list[float]:
    """Return the mean of values [S] in each period."""
    sums = np.bincount(groups.periods, weights=values)
    counts = np.bincount(groups.periods)
    return [float(total / count) for total, count in zip(sums, counts, strict=True) if count]


def _clustered_error(values: np.ndarray, labels: np.ndarray) -> float | None:
    _, dense = np.unique(labels, return_inverse=True)
    count = int(dense.max()) + 1
    if count < 2:
        return None
    sums = np.bincount(dense, weights=values - values.mean())
    return float(np.sqrt(count / (count - 1) * (sums**2).sum()) / len(values))
