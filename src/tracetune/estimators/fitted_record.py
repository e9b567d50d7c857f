"""The part of trace.json that an estimator on a backbone is built from, the same for every task."""

from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, Self, TypeVar

from torch import nn

from tracetune.backbones.backbone import Backbone
from tracetune.base.schema import from_json
from tracetune.tasks.task import Task

B = TypeVar("B", bound=Backbone)


class FittedRecord(ABC):
    """The keys of trace.json that an estimator is built from; every task has a dataclass of its own.

    Attributes:
        head: configuration of the head.
    """

    head: Any

    @classmethod
    def from_json(cls, record: Mapping[str, object], where: str) -> Self:
        """Check what was read from the file ``where``.

        Raises:
            InputError: a key is missing or holds something else.
        """
        return from_json(cls, record, where)

    @abstractmethod
    def task(self, name: str) -> Task:
        """Return the task that the model was fitted for, on the backbone of that name."""

    def loader(self, load: Callable[..., B]) -> Callable[[str | Path], B]:
        """Return what loads the backbone by name or folder as the model has it, from what loads it as it is."""
        return load

    def build(self, name: str, backbone: Backbone) -> nn.Module:
        """Return the model as it was fitted, but for its weights, on the backbone of that name."""
        return self.task(name).model(backbone, self.head)
