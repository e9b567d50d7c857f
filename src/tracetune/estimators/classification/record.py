"""The part of trace.json that a classifier is built from.

Shapes: C channels, T context.
"""

from dataclasses import dataclass

from tracetune.base.errors import InputError
from tracetune.base.json_types import JsonObject
from tracetune.base.schema import require_counts, require_names
from tracetune.estimators.class_weights import require_weights
from tracetune.estimators.fitted_record import FittedRecord
from tracetune.heads.classification_config import ClassificationHeadConfig
from tracetune.tasks.classification.model import Classification


@dataclass(frozen=True)
class ClassifierRecord(FittedRecord):
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
    columns: JsonObject

    def __post_init__(self) -> None:
        require_names(self, "classes", 2)
        require_counts(self, "channels", "context_length")
        if self.temperature <= 0:
            raise InputError(f"Expected a temperature above 0, found {self.temperature}.")
        require_weights(self.class_weights, self.classes)

    def task(self, name: str) -> Classification:
        """Return the task that it was fitted for."""
        weights = tuple(self.class_weights)
        return Classification(len(self.classes), self.channels, self.context_length, name, weights)
