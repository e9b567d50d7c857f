"""The keys of trace.json that an imputer needs."""

from dataclasses import dataclass

import numpy as np

from tracetune.backbones.backbone import Backbone
from tracetune.base.errors import InputError, shown, unknown_name
from tracetune.base.json_types import JsonObject
from tracetune.base.schema import require_counts, require_names
from tracetune.data.panels import Panel
from tracetune.data.splits import Scaler
from tracetune.estimators.fitted_record import FittedRecord
from tracetune.estimators.imputation.gap_intervals import GapIntervals
from tracetune.estimators.imputation.observed import changes
from tracetune.heads.imputation import ImputationHeadConfig
from tracetune.tasks.imputation.model import BACKBONE, LINE, SEASON, Imputation, ImputationModel

MOST_SCALERS = 1000
RULES = (BACKBONE, LINE, SEASON)


@dataclass(frozen=True)
class Scale:
    """Mean and deviation of each channel of an item in training."""

    mean: list[float]
    scale: list[float]

    def __post_init__(self) -> None:
        if len(self.mean) != len(self.scale) or any(scale <= 0 for scale in self.scale):
            raise InputError(f"Expected a deviation above 0 for each mean, found {shown(self.scale)}.")


@dataclass(frozen=True)
class ImputerRecord(FittedRecord):
    """The parts of an imputer apart from its weights.

    Attributes:
        channels: names of the C targets.
        context_length: T.
        season: steps of one season.
        related: channels that each channel is also filled from.
        head: configuration of the head; None where the model has none.
        intervals: quantiles of the errors by distance to observed steps, see `GapIntervals`.
        changes: of each channel from step to step in training, over its deviation; 0 where not known.
        rule: how a model without a head fills.
        scales: of the items of training, at most a thousand: what is known of a channel that is all missing later.
        reading: how the table was read that it was trained on.
    """

    channels: list[str]
    context_length: int
    season: int
    related: list[list[int]]
    head: ImputationHeadConfig | None
    intervals: JsonObject
    changes: list[float]
    rule: str
    scales: dict[str, Scale]
    reading: JsonObject

    def __post_init__(self) -> None:
        require_counts(self, "context_length", "season")
        require_names(self, "channels")
        if self.rule not in RULES:
            raise unknown_name("rule", self.rule, RULES)
        channels, widths = len(self.channels), {len(row) for row in self.related}
        places = {place for row in self.related for place in row}
        if self.related and (len(self.related) != channels or len(widths) > 1 or not places <= set(range(channels))):
            raise InputError(f"Expected as many related ones of {channels} channels for each, found {self.related}.")
        if len(self.changes) != channels or not all(0 <= each < np.inf for each in self.changes):
            raise InputError(f"Expected changes of at least 0 for each of {channels} channels, found {self.changes}.")
        self.gap_intervals()

    def task(self, name: str) -> Imputation:
        """Return the task that it was fitted for."""
        related = tuple(tuple(row) for row in self.related)
        return Imputation(len(self.channels), self.context_length, self.season, related, name)

    def build(self, name: str, backbone: Backbone) -> ImputationModel:
        """Return the model as it was fitted, but for its weights, on the backbone of that name."""
        task = self.task(name)
        return task.filling_by(backbone, self.rule) if self.head is None else task.model(backbone, self.head)

    def gap_intervals(self) -> GapIntervals:
        """Return the quantiles of its errors."""
        return GapIntervals.from_dict(self.intervals, "intervals")

    def scaler(self, item: str) -> Scaler | None:
        """Return how an item was scaled in training, by which a channel without values now is known still; or None."""
        known = self.scales.get(item)
        if known is None or len(known.mean) != len(self.channels):
            return None
        return Scaler(np.array(known.mean), np.array(known.scale))


def item_scales(panel: Panel, scalers: tuple[Scaler, ...]) -> dict[str, Scale]:
    """Return the scales of the items of a panel; none where they are too many."""
    if len(panel) > MOST_SCALERS:
        return {}
    pairs = zip(panel, scalers, strict=True)
    return {series.item_id: Scale(scaler.mean.tolist(), scaler.scale.tolist()) for series, scaler in pairs}


def changes_per_deviation(panel: Panel, scalers: tuple[Scaler, ...]) -> list[float]:
    """Return for each channel its changes from step to step over its deviation, the median of items; 0 if unknown."""
    pairs = zip(panel, scalers, strict=True)
    shares = np.stack([changes(series.values) / scaler.scale for series, scaler in pairs])
    return [float(np.median(found)) if len(found := row[row > 0]) else 0.0 for row in shares.T]
