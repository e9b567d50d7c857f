"""Score steps by how far the windows around them are from the nearest normal windows."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from itertools import pairwise

import numpy as np
import torch

from tracetune.base.errors import InputError, argument, shown
from tracetune.tasks.anomaly.scores.features import WindowFeatures
from tracetune.tasks.anomaly.scores.gaps import well_observed
from tracetune.tasks.anomaly.scores.scaling import LEAST_UNIT, Scaling, Spread, mean_of_known
from tracetune.tasks.anomaly.scores.scorer import EMBEDDED, Calibration, NormalChannel, Reference
from tracetune.tasks.anomaly.scores.sliding import scattered_starts, spread, window_widths
from tracetune.tasks.anomaly.scores.window_bank import Bank, bank_of, normal_starts, stride_of, windows_of

HELD_OUT_BLOCKS = 5
_CHUNK = 2048


@dataclass(frozen=True)
class NeighbourScorer:
    """Distances to the nearest windows of a normal part, at several widths, added up in units of their own spread.

    The nearest windows do not overlap each other: three over the same steps are one. Where a share of the part may be
    anomalous, as large a share of its windows is nearest, and they may.

    Attributes:
        features: what windows are compared by.
        scaling: of the normal part.
        banks: one a width.
        spreads: of the normal part's own scores, one a width.
        normal_scores: [T] scores of the normal part, each window compared with those that do not overlap it.
        repeatability: how much nearer the nearest windows are than any two: 1 where windows repeat each other, 0 where
            the nearest one is as far as any, so that distances say nothing.
    """

    features: WindowFeatures
    scaling: Scaling
    banks: tuple[Bank, ...]
    spreads: tuple[Spread, ...]
    normal_scores: np.ndarray
    repeatability: float

    @property
    def reach(self) -> int:
        """Return steps of the widest window."""
        return max(bank.width for bank in self.banks)

    @property
    def calibration(self) -> Calibration:
        """Return spreads, normal scores, repeatability, and features that took long to compute."""
        rows = [bank.rows.numpy() for bank in self.banks] if self.features.saved else []
        return {
            "spreads": np.array([(each.middle, each.unit) for each in self.spreads]),
            "normal_scores": self.normal_scores,
            "repeatability": np.array([self.repeatability]),
            **{f"{EMBEDDED}{number}": each for number, each in enumerate(rows)},
        }

    def held_out_scores(self) -> np.ndarray:
        """Return scores [T] of the normal part, each fifth by the windows outside of it, see `ChannelScorer`."""
        length = len(self.normal_scores)
        return _combined([_held_out(bank, length) for bank in self.banks], self.spreads)

    def score(self, values: np.ndarray, at: int | None = None, reference: Reference = "normal") -> np.ndarray:
        """Return scores [T] of values [T], see `ChannelScorer`."""
        scaled = self.scaling.scaled(values)
        per_width = []
        for bank in self.banks:
            place = at
            if reference == "table":
                place = len(self.normal_scores) + self.reach if at is None else at  # as if it came later
                bank = bank.with_table(scaled, place, len(self.normal_scores), self.features)
            per_width.append(_scores(scaled, bank, self.features, at or 0, place))
        return _combined(per_width, self.spreads)


def fit_neighbour_scorer(
    normal: NormalChannel,
    features: WindowFeatures,
    widths: Sequence[int] | None = None,
    *,
    neighbours: int = 3,
    bank_size: int = 4000,
) -> NeighbourScorer:
    """Learn a normal part.

    The part need not be free of anomalies: windows are compared with ``neighbours`` others that overlap neither them
    nor each other, so that what occurs no more often than that is still far from some of them. Of a part with a share
    of anomalies as large a share of its windows is nearest.

    Args:
        normal: to learn.
        features: what windows are compared by.
        widths: of windows in steps; None for one and two periods, see `window_widths`.
        neighbours: how many nearest windows a distance is averaged over; of a short part, no more than a quarter of as
            many as fit into it side by side.
        bank_size: about the most windows that are kept of each width.

    Raises:
        InputError: fewer values than two windows, or no window of any width that is observed.
        OtherFeaturesError: the calibration has features of windows that are not those of ``features``.
    """
    values = np.asarray(normal.values, float)
    scaling = Scaling.of(values)
    scaled = scaling.scaled(values)
    fitting = _learnable(scaled, window_widths(values) if widths is None else tuple(widths))
    known = normal.calibration
    saved = known or {}
    banks = tuple(
        bank_of(scaled, width, features, neighbours, normal.contamination, bank_size, saved.get(f"{EMBEDDED}{number}"))
        for number, width in enumerate(fitting)
    )
    if known is not None:
        spreads = tuple(Spread(*map(float, each)) for each in known["spreads"])
        if len(spreads) != len(banks):
            raise ValueError(f"scores of {len(spreads)} widths of windows, where there are {len(banks)}")
        repeatability = float(known["repeatability"][0])
        return NeighbourScorer(features, scaling, banks, spreads, known["normal_scores"], repeatability)
    per_width = [_scores(scaled, bank, features, 0, 0) for bank in banks]
    spreads = tuple(_spread(bank, scores) for bank, scores in zip(banks, per_width, strict=True))
    return NeighbourScorer(
        features=features,
        scaling=scaling,
        banks=banks,
        spreads=spreads,
        normal_scores=_combined(per_width, spreads),
        repeatability=float(np.mean([_repeatability(bank) for bank in banks])),
    )


def require_windows(widths: Sequence[int] | None, neighbours: int) -> None:
    """Refuse windows that cannot be compared: a window of one step has no shape.

    Raises:
        InputError: a width below 2, no width at all, or fewer neighbours than one.
    """
    least = [] if widths is None else list(widths) or [0]
    if any(not isinstance(width, int) or width < 2 for width in least):
        raise InputError(f"Expected {argument('widths')} of whole steps of at least 2, found {shown(widths)}.")
    if neighbours < 1:
        raise InputError(f"Expected at least 1 of the nearest neighbours, found {shown(neighbours)}.")


def _learnable(scaled: np.ndarray, widths: Sequence[int]) -> list[int]:
    """Return those widths of which a normal part has two windows, and one with few missing steps.

    Raises:
        InputError: there is none.
    """
    narrowest = min(widths)
    if len(scaled) < 2 * narrowest:
        raise InputError(
            f"Expected at least {2 * narrowest} normal steps, two windows of {narrowest}, found {len(scaled)}."
        )
    found = [width for width in widths if 2 * width <= len(scaled) and len(normal_starts(scaled, width))]
    if not found:
        raise InputError(
            f"Expected a normal part with windows of {narrowest} steps with few of them missing, found none. Give a "
            f"part with fewer gaps, or narrower windows ({argument('widths')})."
        )
    return found


def _scores(scaled: np.ndarray, bank: Bank, features: WindowFeatures, phase: int, place: int | None) -> np.ndarray:
    """Return scores [T] of one width; none (NaN) of fewer steps than that: a shorter window has another shape.

    Features of a chunk are forgotten once they are compared: those of all windows would fill the memory.

    Args:
        scaled: values [T] to score, NaN where missing.
        bank: windows to compare with.
        features: what windows are compared by.
        phase: place of the first step among the strides in which windows begin.
        place: that of the first step among those of the bank, whose windows do not count where they overlap; None
            where the two have no steps in common.
    """
    if len(scaled) < bank.width:
        return np.full(len(scaled), np.nan)
    starts = scattered_starts(len(scaled), bank.width, stride_of(bank.width), phase)
    starts = starts[well_observed(scaled, starts, bank.width)]
    if not len(starts):
        return np.full(len(scaled), np.nan)
    windows = windows_of(scaled, bank.width)
    found = []
    for first in range(0, len(starts), _CHUNK):
        part = starts[first : first + _CHUNK]
        places = None if place is None else part + place
        queries = features(bank.completion.completed(windows[part], places))
        found.append(bank.distances(queries, None if places is None else torch.as_tensor(places)))
    return spread(starts, torch.cat(found).numpy(), bank.width, len(scaled))


def _held_out(bank: Bank, length: int) -> np.ndarray:
    """Return scores [T] of the bank's own windows, each compared with those that lie outside of its block of steps."""
    borders = [length * number // HELD_OUT_BLOCKS for number in range(HELD_OUT_BLOCKS + 1)]
    starts, scores = [], []
    for first, last in pairwise(borders):
        inside = (bank.starts >= first) & (bank.starts < last)
        outside = (bank.starts + bank.width <= first) | (bank.starts >= last + bank.width)
        if inside.any() and outside.any():
            starts.append(bank.starts[inside].numpy())
            scores.append(bank.distances(bank.rows[inside], outside=outside).numpy())
    if not starts:
        return np.full(length, np.nan)
    return spread(np.concatenate(starts), np.concatenate(scores), bank.width, length)


def _spread(bank: Bank, scores: np.ndarray) -> Spread:
    """Return that of the scores [T] of one width over the normal part.

    Of windows that repeat each other exactly it is no unit: held out, the few at a phase that the rest lacks would
    score in the thousands, and a threshold above them hide what happens in other channels. The unit is the highest of
    the held-out scores then.
    """
    found = Spread.of(scores, LEAST_UNIT)
    if found.unit > LEAST_UNIT:
        return found
    held_out = _held_out(bank, len(scores))
    return replace(found, unit=max(float(np.nanmax(held_out, initial=-np.inf)) - found.middle, LEAST_UNIT))


def _repeatability(bank: Bank, sample: int = 500) -> float:
    """Return 1 - median distance to the nearest windows / median distance of any two; 0 where all are the same."""
    generator = torch.Generator().manual_seed(0)
    one, other = torch.randint(len(bank.rows), (2, 4 * sample), generator=generator)
    any_two = (bank.rows[one] - bank.rows[other]).norm(dim=1).median()
    part = torch.randperm(len(bank.rows), generator=generator)[:sample]
    nearest = bank.distances(bank.rows[part], bank.starts[part]).median()
    return float((1 - nearest / any_two).clamp(0, 1)) if any_two > 1e-4 else 0.0


def _combined(per_width: Sequence[np.ndarray], spreads: Sequence[Spread]) -> np.ndarray:
    """Return the mean [T] over the widths that have a score, in units of their spreads; NaN where none has."""
    return mean_of_known([each.scaled(scores) for scores, each in zip(per_width, spreads, strict=True)])
