"""The record of a detector: what it has learned; to JSON and arrays, and back."""

import logging
from collections.abc import Mapping
from dataclasses import asdict, dataclass, fields

import numpy as np

from tracetune.base.errors import InputError, Remark, shown, unknown_name
from tracetune.base.json_types import JsonObject
from tracetune.base.schema import from_json, require_counts, require_names
from tracetune.data.reading.labels import LABEL_COLUMN
from tracetune.data.reading.options import ReadingOptions
from tracetune.estimators.anomaly.item_scorer import ItemScorer, restored_item
from tracetune.estimators.anomaly.normal_scoring import NormalScoring
from tracetune.evaluation.anomaly.alarm_threshold import AlarmThreshold
from tracetune.tasks.anomaly.model import AnomalyModel
from tracetune.tasks.anomaly.scores.scorer import (
    EMBEDDED,
    OtherFeaturesError,
    Scorer,
    scorer_named,
)

logger = logging.getLogger(__name__)

_MOST_EMBEDDED = 2**30  # bytes of embeddings that are saved


@dataclass(frozen=True, eq=False)
class Learned:
    """The normal parts of a panel's items.

    Attributes:
        items: by their names.
        channels: C names.
        scorer: what scores.
        contamination: share of the steps that may be anomalous all the same.
        false_alarm_rate: share of normal steps that raise an alarm.
        threshold: the score that they exceed with this probability.
        table_threshold: the same of rows that are compared with their table as well.
        freq: of the panel; None for steps that are counted.
        reading: how its table was read.
        remarks: what is doubtful about it.
        calibration: what the threshold rests on.
        label_column: a column of tables that is no channel.
        labelled: whether there were labels, in that column or as arrays.
    """

    items: Mapping[str, ItemScorer]
    channels: tuple[str, ...]
    scorer: Scorer
    contamination: float
    false_alarm_rate: float
    threshold: float
    table_threshold: float
    freq: str | None
    reading: ReadingOptions
    remarks: tuple[Remark, ...]
    calibration: AlarmThreshold
    label_column: str = LABEL_COLUMN
    labelled: bool = False

    def to_json(self) -> JsonObject:
        """Return all but the arrays, as JSON types."""
        return {
            "items": [{"item_id": item, "key": list(each.learned.key)} for item, each in self.items.items()],
            "channels": list(map(str, self.channels)),
            "scorer": {"name": self.scorer.name, "options": asdict(self.scorer)},
            "contamination": self.contamination,
            "false_alarm_rate": self.false_alarm_rate,
            "threshold": self.threshold,
            "table_threshold": self.table_threshold,
            "calibration": asdict(self.calibration),
            "freq": self.freq,
            "dated": all(each.learned.timestamps.dtype.kind == "M" for each in self.items.values()),
            "reading": self.reading.to_json(),
            "remarks": list(map(str, self.remarks)),
            "label_column": self.label_column,
            "labelled": self.labelled,
        }

    def arrays(self) -> dict[str, np.ndarray]:
        """Return what is too large for JSON, by name; of embeddings the first ones, up to 1 GiB."""
        found: dict[str, np.ndarray] = {}
        embedded = left_out = 0
        for number, item in enumerate(self.items.values()):
            for name, array in item.arrays().items():
                size = array.nbytes if EMBEDDED in name else 0
                if embedded + size > _MOST_EMBEDDED:
                    left_out += 1
                    continue
                embedded += size
                found[f"{number}/{name}"] = array
        if left_out:
            logger.warning(
                "%d sets of embedded windows are not saved: with them the folder would hold more than 1 GiB. They are "
                "computed again when it is loaded.",
                left_out,
            )
        return found


@dataclass(frozen=True)
class SavedItem:
    """An item as trace.json names it."""

    item_id: str
    key: list[str | int | float | bool]


@dataclass(frozen=True)
class SavedScorer:
    """A scorer as trace.json describes it."""

    name: str
    options: JsonObject

    def built(self) -> Scorer:
        """Return the scorer.

        Raises:
            InputError: unknown name or options.
        """
        known = {field.name for field in fields(scorer_named(self.name))}
        for name in self.options:
            if name not in known:
                raise unknown_name(f"option of scorer {self.name!r}", name, known)
        options = {name: tuple(value) if isinstance(value, list) else value for name, value in self.options.items()}
        try:
            return scorer_named(self.name, **options)
        except TypeError as error:
            raise InputError(f"Scorer {self.name!r} takes no such options: {shown(options)} ({error}).") from error


@dataclass(frozen=True)
class SavedDetector:
    """The keys of trace.json that a detector needs."""

    items: list[SavedItem]
    channels: list[str]
    scorer: SavedScorer
    contamination: float
    false_alarm_rate: float
    threshold: float
    table_threshold: float
    freq: str | None
    dated: bool
    reading: JsonObject
    remarks: list[str]
    context_length: int
    head: JsonObject | None
    calibration: AlarmThreshold
    label_column: str
    labelled: bool

    def __post_init__(self) -> None:
        require_counts(self, "context_length")
        require_names(self, "channels")
        NormalScoring(self.scorer.built(), self.contamination, self.false_alarm_rate)
        if not self.items:
            raise InputError("Expected at least one item, found none.")

    @classmethod
    def from_json(cls, record: Mapping[str, object], where: str) -> "SavedDetector":
        """Check what was read from the file ``where``."""
        return from_json(cls, record, where)

    def learned(self, arrays: Mapping[str, np.ndarray], model: AnomalyModel) -> Learned:
        """Return the normal parts that were saved; embeddings that the model does not give are computed anew."""
        try:
            items = self._restored(arrays, model)
        except OtherFeaturesError:
            logger.warning(
                "The saved embeddings of the normal part are not those of the model: another version embedded it, or "
                "its weights were changed after it had learned. They are computed anew; the threshold stays as it was. "
                "Fit the detector again to be sure of it."
            )
            items = self._restored({name: array for name, array in arrays.items() if EMBEDDED not in name}, model)
        return Learned(
            items=items,
            channels=tuple(self.channels),
            scorer=self.scorer.built(),
            contamination=self.contamination,
            false_alarm_rate=self.false_alarm_rate,
            threshold=self.threshold,
            table_threshold=self.table_threshold,
            freq=self.freq,
            reading=ReadingOptions.from_json(self.reading),
            remarks=tuple(map(Remark, self.remarks)),
            calibration=self.calibration,
            label_column=self.label_column,
            labelled=self.labelled,
        )

    def _restored(self, arrays: Mapping[str, np.ndarray], model: AnomalyModel) -> dict[str, ItemScorer]:
        scorer = self.scorer.built()
        items = {}
        for number, item in enumerate(self.items):
            prefix = f"{number}/"
            arrays_of_item = {name[len(prefix) :]: array for name, array in arrays.items() if name.startswith(prefix)}
            try:
                _check_shape(item.item_id, arrays_of_item["values"], arrays_of_item["timestamps"], len(self.channels))
                items[item.item_id] = restored_item(
                    item.item_id, tuple(item.key), self.dated, arrays_of_item, scorer, model, self.contamination
                )
            except OtherFeaturesError:
                raise
            except KeyError as error:
                raise InputError(f"The arrays of item {item.item_id!r} lack {error}. Save the model again.") from error
            except (TypeError, ValueError, IndexError, RuntimeError) as error:
                raise InputError(f"The arrays of item {item.item_id!r} do not fit its scorer: {error}") from error
        return items


def _check_shape(item: str, values: np.ndarray, timestamps: np.ndarray, channels: int) -> None:
    if timestamps.ndim != 1 or values.shape != (channels, len(timestamps)):
        raise InputError(
            f"Expected the learned part of {item!r} to be of {channels} channels and as many steps as it has times, "
            f"found {values.shape} values and {timestamps.shape} times. Save the model again."
        )
