"""Losses of samples that belong to periods of time and to items: their mean and its standard error."""

from dataclasses import dataclass

import numpy as np

_FLOOR = 0.1  # of the mean loss, in relative gains


@dataclass(frozen=True, eq=False)
class SampleGroups:
    """Period and item of each of S samples.

    Attributes:
        periods: [S] numbers from 0, the latest period last.
        items: [S] numbers from 0.
        one_scale: whether losses of all items are on one scale, such as cross-entropies of classes; those of forecasts
            are on that of their series.
    """

    periods: np.ndarray
    items: np.ndarray
    one_scale: bool = False

    def __post_init__(self) -> None:
        if self.periods.shape != self.items.shape or self.periods.ndim != 1:
            raise ValueError(
                "Expected one period and one item for each sample, found arrays of shape "
                f"{list(self.periods.shape)} and {list(self.items.shape)}."
            )

    @classmethod
    def of_labelled_samples(cls, samples: int) -> "SampleGroups":
        """Return groups of samples with a class each: each is an item, all are in one period and on one scale."""
        return cls(np.zeros(samples, dtype=np.int64), np.arange(samples), one_scale=True)

    @classmethod
    def of_channels(cls, periods: np.ndarray, series: np.ndarray, channels: np.ndarray) -> "SampleGroups":
        """Return groups whose items are the channels of each series, by their numbers [S]."""
        _, items = np.unique(np.stack([series, channels]), axis=1, return_inverse=True)
        return cls(periods, items.reshape(-1))


@dataclass(frozen=True)
class Difference:
    """A mean difference of paired losses, plain or relative.

    Attributes:
        mean: over all samples or groups; positive where the first loss is the larger one.
        error: standard error of the mean; None where one period and one item leave it unknown.
        groups: number of periods of items that it is from.
    """

    mean: float
    error: float | None
    groups: int


def relative_gain(first: np.ndarray, second: np.ndarray, groups: SampleGroups) -> Difference:
    """Return by what share losses [S] fall from ``first`` to ``second``, with the standard error between groups.

    With a and b the mean losses of the samples of one period and item, and e a tenth of the mean of |first|, it is the
    mean over periods and items of

        (a - b) / ((|a| + |b|) / 2 + e),

    close to log(a / b) where losses are positive. Periods and items weigh the same, whatever their losses: in a plain
    difference the few with the largest losses decide, and their noise hides what all others show. e keeps groups whose
    loss is next to nothing from deciding instead.

    Of losses on one scale it is the mean of (a - b), divided by the mean of these denominators: each by its own would
    take a model for better that is surer of what it is right about, and of what it is wrong about too.
    """
    found = _by_group(np.stack([first, second]), groups)
    before, after = found.values
    floor = _FLOOR * np.abs(first).mean()
    size = (np.abs(before) + np.abs(after)) / 2 + floor
    if groups.one_scale:
        size = np.full_like(size, size.mean())
    gains = np.divide(before - after, size, out=np.zeros_like(size), where=size > 0)
    return Difference(float(gains.mean()), standard_error(gains, found.groups), len(gains))


@dataclass(frozen=True, eq=False)
class _GroupMeans:
    """Mean values [..., G] of the G periods of items that have samples, as samples of their own."""

    values: np.ndarray
    groups: SampleGroups


def _by_group(values: np.ndarray, groups: SampleGroups) -> _GroupMeans:
    """Return the means of values [..., S] over the samples of each period and item."""
    (periods, items), place = np.unique(np.stack([groups.periods, groups.items]), axis=1, return_inverse=True)
    place = place.reshape(-1)
    counts = np.bincount(place)
    rows = np.asarray(values, dtype=np.float64).reshape(-1, len(place))
    means = np.stack([np.bincount(place, weights=row) / counts for row in rows])
    kept = SampleGroups(periods, items, groups.one_scale)
    return _GroupMeans(means.reshape(*values.shape[:-1], len(counts)), kept)


def paired_difference(first: np.ndarray, second: np.ndarray, groups: SampleGroups) -> Difference:
    """Return the mean of (first - second) over losses [S] of the same samples, with its standard error."""
    values = np.asarray(first, dtype=np.float64) - np.asarray(second, dtype=np.float64)
    return Difference(float(values.mean()), standard_error(values, groups), len(_by_group(values, groups).values))


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
