"""A task on a frozen backbone: what every phase of a fit begins with."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

from tracetune.backbones.backbone import Backbone
from tracetune.backbones.loading import weights_digest
from tracetune.tasks.task import Task, TaskModel


@dataclass(frozen=True)
class FrozenTask:
    """A task, and a backbone that is frozen while the fit goes on.

    Attributes:
        task: what is fitted.
        backbone: all candidates share it but for the method, which gets a copy.
        backbone_sha256: `weights_digest` of it, which takes a while for a large one.
    """

    task: Task
    backbone: Backbone
    backbone_sha256: str

    @classmethod
    @contextmanager
    def of(cls, task: Task, backbone: Backbone) -> Iterator["FrozenTask"]:
        """Freeze every weight of the backbone inside the context."""
        trainable = [parameter for parameter in backbone.parameters() if parameter.requires_grad]
        backbone.eval().requires_grad_(False)
        try:
            yield cls(task, backbone, weights_digest(backbone))
        finally:
            for parameter in trainable:
                parameter.requires_grad_(True)

    def model(self, head: Any) -> TaskModel:
        """Return a model with a new head on the backbone, of this configuration; None takes the task's own."""
        return self.task.model(self.backbone, head or self.task.default_head)
