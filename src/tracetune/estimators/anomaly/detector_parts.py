"""The parts of an anomaly detector, and what can be read of them: channels, threshold, how its table was read."""

from collections.abc import Mapping
from typing import TYPE_CHECKING

import torch
from torch import nn

from tracetune.base.device import resolve_device
from tracetune.base.errors import InputError, Remark, either
from tracetune.base.json_types import JsonObject
from tracetune.data.reading.options import ReadingOptions
from tracetune.estimators.anomaly.record import Learned
from tracetune.estimators.described import Described
from tracetune.fitting.trained import History
from tracetune.tasks.anomaly.model import AnomalyModel
from tracetune.tasks.task import task_model_of

if TYPE_CHECKING:
    from tracetune.estimators.anomaly.series_scores import ScoredPanel
    from tracetune.estimators.anomaly.stream import ItemStream


class DetectorParts(Described):
    """The parts of an anomaly detector.

    Attributes:
        device: where the model is.
        model: an AnomalyModel, or one with adapters.
        base_name: name or folder of the foundation model that it is, or was tuned from.
        learned: the normal parts of its items; None for a foundation model as it was loaded.
        trace: the record of the fit, as in trace.json; likewise.
        history: the Trainer's log of each phase of the fit; empty after loading.
    """

    def __init__(
        self,
        model: nn.Module,
        base_name: str,
        *,
        learned: Learned | None = None,
        trace: JsonObject | None = None,
        history: Mapping[str, History] | None = None,
        device: str | torch.device = "auto",
    ) -> None:
        self.device = resolve_device(device)
        self.model = model.to(self.device).eval()
        self.base_name = base_name
        self.learned = learned
        self.trace = trace
        self.history = dict(history or {})
        self._streams: dict[str, ItemStream] = {}  # of the items whose rows arrive one after the other
        self._said: set[Remark] = set()  # logged once
        self._scored: ScoredPanel | None = None  # the last one: of the same rows scores, events and pictures are asked

    @property
    def anomaly_model(self) -> AnomalyModel:
        """Return the model itself, inside PEFT's wrapper where there is one."""
        return task_model_of(self.model, AnomalyModel)

    @property
    def remarks(self) -> tuple[Remark, ...]:
        """Return what is doubtful about the part that was learned."""
        return self._known().remarks

    @property
    def channels(self) -> tuple[str, ...]:
        """Return the names of the channels that were learned."""
        return self._known().channels

    @property
    def label_column(self) -> str:
        """Return the name of the column of labels, which is no channel."""
        return self._known().label_column

    @property
    def threshold(self) -> float:
        """Return the score above which an alarm is raised, where no other rule is given."""
        return self._known().threshold

    @property
    def remembered(self) -> ReadingOptions:
        """Return how the table was read that was learned; tables to look through are read alike."""
        return self._known().reading

    def _learned_from(self, trace: JsonObject) -> str:
        found = self._known()
        return super()._learned_from({"data": {"items": len(found.items), "channels": found.channels}})

    def _known(self) -> Learned:
        if self.learned is None:
            first = either("Call fit first", "Expected --model FOLDER: what `tracetune finetune --task anomaly` saved")
            raise InputError(f"{self.base_name!r} is a foundation model, which knows no normal part. {first}.")
        return self.learned
