"""Quantiles of the errors of fills, by the distance of a step to what is observed around its gap.

Errors of gaps that were hidden in known rows are sorted by `gap_distances`. Their mean size at a distance, which never
falls with it, is the scale there; errors over their scale make one sample, whose quantiles are those of all distances
(split conformal prediction with normalised errors: Lei et al. 2018, sections 2 and 5.2). Far from observed steps few
gaps say what the scale is: quantiles are wider there by those of Student's t over the normal ones, with as many degrees
of freedom as there are gaps that share no step.

Shapes: C channels, L steps of a series, E errors, K distances, Q quantile levels.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from scipy import stats

from tracetune.base.errors import InputError
from tracetune.base.json_types import JsonObject
from tracetune.base.schema import from_json
from tracetune.base.stretches import stretches_of
from tracetune.estimators.imputation.gap_distances import gap_distances
from tracetune.estimators.imputation.gap_errors import GapErrors
from tracetune.estimators.intervals import LEVELS, ResidualQuantiles, conformal_levels

_PER_OCTAVE = 2  # distances
_FEWEST = 30  # gaps; with fewer, errors count with either sign
_DIGITS = 6


@dataclass(frozen=True, eq=False)
class DistanceQuantiles:
    """Quantiles of errors by distance.

    Attributes:
        distances: [K], ascending.
        quantiles: [K, Q] of the errors there.
        longest: steps of the longest gap that was hidden.
    """

    distances: np.ndarray
    quantiles: ResidualQuantiles
    longest: int

    def __post_init__(self) -> None:
        """Refuse what no errors give, e.g. from an edited file."""
        distances = self.distances
        ascend = np.isfinite(distances).all() and (distances > 0).all() and (np.diff(distances) > 0).all()
        if distances.shape != self.quantiles.values.shape[:1] or not ascend:
            raise InputError(f"Expected a distance for each row of quantiles, ascending, found {distances.tolist()}.")

    def at(self, distances: np.ndarray, levels: Sequence[float]) -> np.ndarray:
        """Return offsets [E, len(levels)] from fills at distances [E].

        They are interpolated over the logarithm of the distance. Beyond the farthest one they grow with its root, as on
        a random walk.
        """
        known = self.quantiles.at(levels)
        places, last = np.log(self.distances), self.distances[-1]
        offsets = np.stack([np.interp(np.log(distances), places, column) for column in known.T], axis=-1)
        return offsets * np.sqrt(np.maximum(distances / last, 1.0))[:, None]

    def to_dict(self) -> JsonObject:
        """Return distances and quantiles as JSON types."""
        return {"distances": self.distances.tolist(), "longest": self.longest, **self.quantiles.to_dict()}


@dataclass(frozen=True, eq=False)
class GapIntervals:
    """Quantiles of the errors of fills.

    Attributes:
        inside: of steps with observed ones on both sides.
        ends: of steps with observed ones on one side.
        unobserved: [1, Q], of channels without an observed step.
    """

    inside: DistanceQuantiles
    ends: DistanceQuantiles
    unobserved: ResidualQuantiles

    def offsets(self, values: np.ndarray, levels: Sequence[float]) -> np.ndarray:
        """Return how far quantiles are from the fills of a series [C, L], in its units: [C, L, len(levels)]."""
        distances, one_sided = gap_distances(values)
        offsets = np.zeros((*values.shape, len(levels)))
        offsets[np.isinf(distances)] = self.unobserved.at(levels)[0]
        for quantiles, here in ((self.inside, ~one_sided), (self.ends, one_sided)):
            steps = here & np.isfinite(distances)
            offsets[steps] = quantiles.at(distances[steps], levels)
        return offsets

    def longer_than_hidden(self, values: np.ndarray) -> int:
        """Return the steps of the longest gap of a series [C, L], if it is longer than all that were hidden; else 0."""
        length, longest = values.shape[1], 0
        for row in np.isnan(values):
            for start, stop in stretches_of(row).tolist():
                known = self.inside if start > 0 and stop < length else self.ends
                if known.longest < stop - start < length:
                    longest = max(longest, stop - start)
        return longest

    def to_dict(self) -> JsonObject:
        """Return the quantiles as JSON types."""
        return {
            "inside": self.inside.to_dict(),
            "ends": self.ends.to_dict(),
            "unobserved": self.unobserved.to_dict(),
        }

    @classmethod
    def from_dict(cls, content: object, where: str) -> "GapIntervals":
        """Build them from what `to_dict` returned.

        Raises:
            InputError: other content; ``where`` says of which file.
        """
        if isinstance(content, dict) and "levels" in content:
            raise InputError(f"{where}: quantiles by the length of gaps, as a former version saved them. Fit again.")
        tables = from_json(_Tables, content, where)
        unobserved = ResidualQuantiles.from_dict(tables.unobserved, where)
        return cls(_of_table(tables.inside, where), _of_table(tables.ends, where), unobserved)


@dataclass(frozen=True)
class _Tables:
    """Intervals as JSON."""

    inside: JsonObject
    ends: JsonObject
    unobserved: JsonObject


@dataclass(frozen=True, eq=False)
class _Scale:
    """The size of errors by distance.

    Attributes:
        distances: [K], ascending.
        sizes: [K], means of absolute errors, ascending.
        independent: [K], how many gaps that share no step they are means of.
        longest: steps of the longest gap.
    """

    distances: np.ndarray
    sizes: np.ndarray
    independent: np.ndarray
    longest: int

    def at(self, distances: np.ndarray) -> np.ndarray:
        """Return the sizes at distances [E]."""
        return np.interp(np.log(distances), np.log(self.distances), self.sizes)


_NORMAL_SIZE = float(np.sqrt(2 / np.pi))  # mean absolute value of a standard normal number
_UNKNOWN = _Scale(np.ones(1), np.full(1, _NORMAL_SIZE), np.ones(1), 0)


def gap_intervals(found: GapErrors) -> GapIntervals:
    """Return the quantiles of errors of hidden gaps.

    Where nothing could be hidden, as in a series of two steps, an error is taken to deviate as the series does.
    """
    finite = np.isfinite(found.distances)
    inside, ends = _scale(found, finite & ~found.one_sided), _scale(found, finite & found.one_sided)
    inside, ends = inside or ends or _UNKNOWN, ends or inside or _UNKNOWN
    sizes = np.where(found.one_sided, ends.at(found.distances), inside.at(found.distances))
    with np.errstate(invalid="ignore"):
        relative = found.errors / sizes
    shape = _shape(relative[finite], found.gaps[finite])
    whole = _scale(found, ~finite)
    unobserved = _UNKNOWN if whole is None else whole
    return GapIntervals(
        DistanceQuantiles(inside.distances, _quantiles(inside, shape), inside.longest),
        DistanceQuantiles(ends.distances, _quantiles(ends, shape), ends.longest),
        _quantiles(unobserved, _shape(found.errors[~finite] / unobserved.sizes[0], found.gaps[~finite])),
    )


def _scale(found: GapErrors, here: np.ndarray) -> _Scale | None:
    """Return the size of the errors that are ``here`` [E] by distance, by half octaves; None without any."""
    if not here.any():
        return None
    sizes, distances = np.abs(found.errors[here]), found.distances[here]
    octaves = np.log2(distances, where=np.isfinite(distances), out=np.zeros(len(distances)))
    places = np.floor(_PER_OCTAVE * octaves + 1e-9)
    rows = []
    for place in np.unique(places):
        one = places == place
        gaps, length = len(np.unique(found.gaps[here][one])), np.median(found.lengths[here][one])
        independent = max(1.0, min(gaps, found.steps / (length + 2)))
        rows.append((np.exp(np.log(distances[one]).mean()), sizes[one].mean(), independent))
    middle, means, independent_gaps = np.array(rows).T
    return _Scale(middle, np.maximum.accumulate(means), independent_gaps, int(found.lengths[here].max()))


def _shape(relative: np.ndarray, gaps: np.ndarray) -> np.ndarray:
    """Return quantiles [Q] of errors over their size, of which some lie in the same of the ``gaps``."""
    count = len(np.unique(gaps))
    if not count:
        return np.asarray(stats.norm.ppf(LEVELS)) / _NORMAL_SIZE
    relative = relative[np.isfinite(relative)]  # an error of 0 where all are
    if count < _FEWEST:
        relative = np.concatenate([relative, -relative])
    return np.quantile(relative, conformal_levels(LEVELS, count)) if len(relative) else np.zeros(len(LEVELS))


def _quantiles(scale: _Scale, shape: np.ndarray) -> ResidualQuantiles:
    """Return quantiles [K, Q] of errors by their size and their shape [Q]."""
    levels = np.asarray(LEVELS)
    off = levels != 0.5  # the median of both distributions is 0
    wider = np.ones((len(scale.sizes), len(levels)))
    wider[:, off] = stats.t.ppf(levels[off], scale.independent[:, None]) / stats.norm.ppf(levels[off])
    values = np.round(scale.sizes[:, None] * wider * shape, _DIGITS)
    return ResidualQuantiles(levels, np.maximum.accumulate(values, axis=1))


def _of_table(content: JsonObject, where: str) -> DistanceQuantiles:
    """Build quantiles by distance from JSON."""
    table = from_json(_Table, content, where)
    quantiles = ResidualQuantiles.from_dict({"levels": table.levels, "values": table.values}, where)
    return DistanceQuantiles(np.asarray(table.distances), quantiles, table.longest)


@dataclass(frozen=True)
class _Table:
    """Quantiles by distance as JSON."""

    distances: list[float]
    longest: int
    levels: list[float]
    values: list[list[float]]
