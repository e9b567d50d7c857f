"""What trace.json says of a text classifier, typed."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from tracetune.base.schema import from_json
from tracetune.heads.pooled import PooledHeadConfig
from tracetune.tasks.text import TextClassification


@dataclass(frozen=True)
class TextClassifierRecord:
    """The keys of trace.json that a text classifier needs.

    Attributes:
        classes: names, in the order of the outputs.
        max_length: most tokens of a text.
        longest: tokens of the longest text that it was fitted on.
        pairs: whether it takes pairs of texts.
        text_columns: columns of the table that it was fitted on; empty where that was no table.
        label_column: likewise.
        head: configuration of the head.
    """

    classes: list[str]
    max_length: int
    longest: int
    pairs: bool
    text_columns: list[str]
    label_column: str | None
    head: PooledHeadConfig

    @classmethod
    def from_json(cls, record: Mapping[str, Any], where: str) -> "TextClassifierRecord":
        """Check what was read from the file ``where``."""
        return from_json(cls, record, where)

    def task(self, name: str) -> TextClassification:
        """Return the task that it was fitted for."""
        return TextClassification(len(self.classes), self.longest, name)
