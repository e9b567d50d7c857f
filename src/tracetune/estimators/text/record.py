"""The typed record of a text classifier in trace.json."""

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from tracetune.base.errors import InputError, shown
from tracetune.base.schema import require_counts, require_names
from tracetune.estimators.class_weights import require_weights
from tracetune.estimators.fitted_record import B, FittedRecord
from tracetune.heads.pooled import PooledHeadConfig
from tracetune.tasks.text import TextClassification


@dataclass(frozen=True)
class TextClassifierRecord(FittedRecord):
    """The keys of trace.json that a text classifier needs.

    Attributes:
        classes: names, in the order of the outputs.
        max_length: most tokens of a text.
        longest: tokens of the longest text that it was fitted on.
        pairs: whether it takes pairs of texts.
        text_columns: columns of the table that it was fitted on; empty where that was no table.
        label_column: likewise.
        head: configuration of the head.
        class_weights: of the loss, in the order of the classes.
        layers: how many of the first layers of the encoder it has; None for all.
    """

    classes: list[str]
    max_length: int
    longest: int
    pairs: bool
    text_columns: list[str]
    label_column: str | None
    head: PooledHeadConfig
    class_weights: list[float]
    layers: int | None

    def __post_init__(self) -> None:
        require_names(self, "classes", 2)
        require_counts(self, "max_length", "longest")
        require_weights(self.class_weights, self.classes)
        if self.text_columns and len(self.text_columns) != 1 + self.pairs:
            raise InputError(f"Expected {1 + self.pairs} columns of texts, or none, found {shown(self.text_columns)}.")

    def loader(self, load: Callable[..., B]) -> Callable[[str | Path], B]:
        """Return what loads the encoder with as many layers as the model has."""
        return partial(load, layers=self.layers)

    def task(self, name: str) -> TextClassification:
        """Return the task that it was fitted for."""
        return TextClassification(len(self.classes), self.longest, name, tuple(self.class_weights))
