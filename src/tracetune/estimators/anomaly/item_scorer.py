"""Score all channels of one item by its own normal part."""

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property

import numpy as np

from tracetune.base.errors import InputError
from tracetune.data.panels import Panel, Series
from tracetune.estimators.anomaly.step_differences import StepDifferences
from tracetune.tasks.anomaly.model import AnomalyModel
from tracetune.tasks.anomaly.scores.scorer import ChannelScorer, NormalChannel, Reference, Scorer

Arrays = dict[str, np.ndarray]

_AS_WRITTEN = 1e-12  # relative; reading 17 digits of a text file can be off in the last one


@dataclass(frozen=True, eq=False)
class ItemScorer:
    """The normal part of one item, and the scorers that learned it.

    Attributes:
        learned: the part itself.
        channels: C scorers.
    """

    learned: Series
    channels: tuple[ChannelScorer, ...]

    @property
    def normal_scores(self) -> np.ndarray:
        """Return scores [C, T] of the normal part, none compared with itself."""
        return np.stack([channel.normal_scores for channel in self.channels])

    def held_out_scores(self) -> np.ndarray:
        """Return scores [C, T] of the normal part as if it were new; the normal scores of a part too short for that."""
        found = np.stack([channel.held_out_scores() for channel in self.channels])
        return self.normal_scores if np.isnan(found).all() else found

    @property
    def reach(self) -> int:
        """Return the number of steps beyond which a value has no part in the score of a step."""
        return max(channel.reach for channel in self.channels)

    @cached_property
    def step_differences(self) -> tuple[StepDifferences, ...]:
        """Return what tells, in each channel, how far single steps are from the nearest normal windows."""
        return tuple(StepDifferences(row, self.reach) for row in self.learned.values)

    def score(self, values: np.ndarray, at: int | None = None, reference: Reference = "normal") -> np.ndarray:
        """Return scores [C, L] of values [C, L]; ``at`` and ``reference`` as in `ChannelScorer`."""
        return np.stack([channel.score(row, at, reference) for channel, row in zip(self.channels, values, strict=True)])

    def place_of(self, series: Series) -> int | None:
        """Return how many steps after the learned part's start a series starts; None if it is of other data.

        It is of the same data if the two share steps, and agree on all values that neither lacks (labelled anomalies
        are missing in the learned part) as far as text files keep them, which is to 15 digits. What was learned is then
        scored without being compared with itself.
        """
        mine, given = self.learned.timestamps, series.timestamps
        if not len(given) or given.dtype != mine.dtype or given[0] > mine[-1] or given[-1] < mine[0]:
            return None
        place = int(np.searchsorted(mine, given[0])) if given[0] >= mine[0] else -int(np.searchsorted(given, mine[0]))
        here, there = slice(max(place, 0), place + len(given)), slice(max(-place, 0), len(mine) - place)
        if not np.array_equal(mine[here], given[there]):
            return None
        learned, found = self.learned.values[:, here], series.values[:, there]
        known = ~(np.isnan(learned) | np.isnan(found))
        same = np.isclose(found[known], learned[known], rtol=_AS_WRITTEN, atol=0.0)
        return place if len(same) and same.all() else None

    def arrays(self) -> Arrays:
        """Return what `restored_item` needs, by name."""
        arrays = {"values": self.learned.values, "timestamps": self.learned.timestamps.astype(np.int64)}
        for number, channel in enumerate(self.channels):
            arrays |= {f"{number}.{name}": value for name, value in channel.calibration.items()}
        return arrays


def fit_item(series: Series, names: tuple[str, ...], scorer: Scorer, model: AnomalyModel, share: float) -> ItemScorer:
    """Learn the normal part of an item, of whose steps a ``share`` may be anomalous all the same.

    Raises:
        InputError: a channel, of ``names``, that cannot be learned.
    """
    channels = []
    for name, values in zip(names, series.values, strict=True):
        try:
            channels.append(scorer.fit(NormalChannel(values, share), model))
        except InputError as error:
            raise InputError(f"Channel {name!r} of item {series.item_id!r} cannot be learned. {error}") from error
    return ItemScorer(series, tuple(channels))


def restored_item(
    item_id: str,
    key: tuple[object, ...],
    dated: bool,
    arrays: Mapping[str, np.ndarray],
    scorer: Scorer,
    model: AnomalyModel,
    share: float,
) -> ItemScorer:
    """Return the item that ``arrays`` were saved of."""
    values = arrays["values"]
    timestamps = arrays["timestamps"].astype("datetime64[ns]") if dated else arrays["timestamps"]
    channels = []
    for number, row in enumerate(values):
        prefix = f"{number}."
        calibration = {name[len(prefix) :]: value for name, value in arrays.items() if name.startswith(prefix)}
        channels.append(scorer.fit(NormalChannel(row, share, calibration), model))
    return ItemScorer(Series(item_id, timestamps, values, key), tuple(channels))


def total(scores: np.ndarray) -> np.ndarray:
    """Return the highest score [T] over the channels of scores [C, T]; NaN where no channel has one."""
    return np.fmax.reduce(scores, axis=0)


def items_of(panel: Panel, items: Mapping[str, ItemScorer]) -> list[ItemScorer]:
    """Return the scorer of each series of a panel: its own, or the only one there is.

    Raises:
        InputError: series that were not learned, where several were.
    """
    if len(items) == 1:
        return [next(iter(items.values()))] * len(panel)
    unknown = [series.item_id for series in panel if series.item_id not in items]
    if unknown:
        shown = ", ".join(map(repr, unknown[:5]))
        raise InputError(
            f"Expected items whose normal part was learned ({', '.join(map(repr, list(items)[:5]))}, ...; "
            f"{len(items)} in all), found {shown}. Learn them too, or one detector for each."
        )
    return [items[series.item_id] for series in panel]
