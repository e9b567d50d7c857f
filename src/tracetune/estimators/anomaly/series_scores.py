"""Scores of the steps of series, with the threshold from which on they raise an alarm."""

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np

from tracetune.base.errors import Remark, either
from tracetune.data.panels import Panel, Series


@dataclass(frozen=True, eq=False)
class Scores:
    """Scores of one series.

    Attributes:
        series: what was scored.
        channels: [C, T], NaN where there is none.
        total: [T], the highest of the channels.
        threshold: [T].
    """

    series: Series
    channels: np.ndarray
    total: np.ndarray
    threshold: np.ndarray

    @property
    def alarm(self) -> np.ndarray:
        """Return which steps [T] raise an alarm; those without a score do not."""
        return np.nan_to_num(self.total, nan=-np.inf) > self.threshold


@dataclass(frozen=True, eq=False)
class ScoredPanel:
    """The scores of a panel, kept for what else is asked about it: alarms, then events, then a picture.

    Attributes:
        panel: what was scored; its values are copies, as callers may change theirs.
        reference: what its windows were compared with.
        channels: scores [C, T] of each series.
    """

    panel: Panel
    reference: str
    channels: tuple[np.ndarray, ...]

    @classmethod
    def of(cls, panel: Panel, reference: str, channels: Sequence[np.ndarray]) -> "ScoredPanel":
        """Return the scores [C, T] of each series of a panel with what they are of."""
        copies = tuple(replace(each, values=each.values.copy()) for each in panel)
        return cls(replace(panel, series=copies), reference, tuple(channels))

    def is_of(self, panel: Panel, reference: str) -> bool:
        """Return whether these are the scores of a panel, or of one with the same series."""
        same = reference == self.reference and len(panel) == len(self.panel)
        return same and all(map(_same, panel, self.panel))


def _same(one: Series, other: Series) -> bool:
    return (
        one.item_id == other.item_id
        and np.array_equal(one.timestamps, other.timestamps)
        and np.array_equal(one.values, other.values, equal_nan=True)
    )


def without_score(found: Sequence[Scores]) -> list[Remark]:
    """Return a remark where steps have no score, and so raise no alarm whatever they hold."""
    steps = sum(len(each.total) for each in found)
    lacking = [each for each in found if np.isnan(each.total).any()]
    whole = [each for each in lacking if np.isfinite(each.series.values).all()]
    short = [each for each in whole if np.isnan(each.total).all()]
    begun = [each for each in whole if each not in short]
    gappy = [each for each in lacking if each not in whole]
    go_on = either(", or give them to update, which goes on from the normal part", "")
    reasons = [
        (short, f"it has fewer steps than what was learned is compared by. Give the rows before them too{go_on}."),
        (begun, "a forecast takes steps before it."),
        (gappy, "too many steps of each window around them are missing."),
    ]
    remarks = []
    for series, reason in reasons:
        count = sum(int(np.isnan(each.total).sum()) for each in series)
        share = "None" if count == steps else f"{steps - count:,}"
        if count:
            first = series[0].series.item_id
            said = (
                f"{share} of {steps:,} steps can raise an alarm: {count:,} have no score (first of {first!r}), because"
            )
            remarks.append(Remark(f"{said} {reason}"))
    return remarks
