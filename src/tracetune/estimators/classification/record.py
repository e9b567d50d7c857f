"""The part of trace.json that a classifier is built from.

Shapes: C channels, T context.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field

from tracetune.backbones.backbone import Backbone
from tracetune.base.errors import InputError, shown
from tracetune.base.json_types import JsonObject
from tracetune.base.schema import from_json, require_counts, require_names
from tracetune.heads.classification import ClassificationHeadConfig
from tracetune.tasks.classification import Classification, ClassificationModel


@dataclass(frozen=True)
class ClassifierRecord:
    """The keys of trace.json that a classifier needs.

    Attributes:
        classes: names, in the order of the outputs.
        channels: C.
        context_length: T.
        head: configuration of the head.
        temperature: by which logits are divided before they become probabilities.
        class_weights: of the loss, in the order of the classes.
        columns: how the table was read that it was trained on: names of columns; empty for arrays.
    """

    classes: list[str]
    channels: int
    context_length: int
    head: ClassificationHeadConfig
    temperature: float
    class_weights: list[float]
    columns: JsonObject = field(default_factory=dict)

    def __post_init__(self) -> None:
        require_names(self, "classes", 2)
        require_counts(self, "channels", "context_length")
        if self.temperature <= 0:
            raise InputError(f"Expected a temperature above 0, found {self.temperature}.")
        if len(self.class_weights) != len(self.classes) or any(weight <= 0 for weight in self.class_weights):
            raise InputError(f"Expected a weight above 0 for each class, found {shown(self.class_weights)}.")

    @classmethod
    def from_json(cls, record: Mapping[str, object], where: str) -> "ClassifierRecord":
        """Check what was read from the file ``where``."""
        return from_json(cls, record, where)

    def build(self, name: str, backbone: Backbone) -> ClassificationModel:
        """Return the model as it was fitted, but for its weights, on the backbone of that name."""
        return self.task(name).model(backbone, self.head)

    def task(self, name: str) -> Classification:
        """Return the task that it was fitted for."""
        weights = tuple(self.class_weights)
        return Classification(len(self.classes), self.channels, self.context_length, name, weights)
