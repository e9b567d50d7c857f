"""Loading, saving and state of the estimators that put a model on a backbone, which stands alone before the fit."""

import copy
from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import ClassVar, Generic, Self, TypeVar, cast

import numpy as np
import torch
from peft import PeftModel
from torch import nn

from tracetune.backbones.backbone import Backbone
from tracetune.base.device import resolve_device
from tracetune.base.errors import InputError, argument, either
from tracetune.base.json_types import JsonObject
from tracetune.estimators.described import Described
from tracetune.estimators.fitted_record import FittedRecord
from tracetune.estimators.saved_model import (
    is_saved_model,
    load_parts,
    merged_model,
    read_saved_model,
    save_model,
    saved_arrays,
)
from tracetune.fitting.trained import History

B = TypeVar("B", bound=Backbone)
R = TypeVar("R", bound=FittedRecord)


class BackboneEstimator(Described, ABC, Generic[B, R]):
    """A backbone, and the model that was fitted on it.

    Attributes:
        device: where both are.
        backbone: as loaded.
        base_name: where it comes from.
        model: what was fitted on it; None before the fit.
        trace: the record of the fit, as in trace.json.
        record: the part of it that the estimator needs, typed; None before the fit.
        history: the Trainer's log of each phase of the fit; empty after loading.
    """

    noun: ClassVar[str]
    unfitted: ClassVar[str]  # what it is before the fit, in words
    task_name: ClassVar[str]
    record_class: type[R]

    def __init__(
        self,
        backbone: B,
        base_name: str,
        *,
        model: nn.Module | None = None,
        trace: JsonObject | None = None,
        history: Mapping[str, History] | None = None,
        device: str | torch.device = "auto",
    ) -> None:
        self.device = resolve_device(device)
        self.backbone = backbone.to(self.device).eval()
        self.base_name = base_name
        self.model = None if model is None else model.to(self.device).eval()
        self.trace = trace
        self.record = None if trace is None else self.record_class.from_json(trace, "the record")
        self.history = dict(history or {})

    def save_pretrained(self, folder: str | Path) -> None:
        """Write the fine-tuned model: its weights, a model card and trace.json; whole or not at all.

        Raises:
            InputError: nothing was fitted yet, or the folder is not empty.
        """
        trace = {**self._fitted_trace(), "task": self.task_name}
        save_model(folder, self._fitted_model(), trace, self._card(trace), self._arrays())

    def merge(self) -> Self:
        """Return a copy whose adapters are folded into the backbone's weights: same results up to rounding, less work.

        What has no adapters comes back as it is.

        Raises:
            InputError: nothing was fitted yet, or the sum of weights and adapters is not finite.
        """
        model = self._fitted_model()
        if not isinstance(model, PeftModel):
            return self
        merged = copy.copy(self)
        merged.model, merged.trace = merged_model(model, self._fitted_trace())
        merged.backbone = cast(B, merged.model.backbone)
        return merged

    def _arrays(self) -> Mapping[str, np.ndarray] | None:
        """Return what is saved beside model and record, where there is something."""
        return None

    @staticmethod
    @abstractmethod
    def _card(trace: JsonObject) -> str:
        """Return the model card of the fit with this record."""

    def _refuse_second_fit(self) -> None:
        if self.model is not None:
            raise InputError(
                f"This {self.noun} is fine-tuned already. Start from its base: "
                f"{type(self).__name__}.from_pretrained({self.base_name!r})."
            )

    def _fitted_trace(self) -> JsonObject:
        if self.trace is None:
            first = either("Call fit first", "Expected --model FOLDER: what `tracetune finetune` saved")
            raise InputError(f"{self.base_name!r} is {self.unfitted}. {first}.")
        return self.trace

    def _fitted_record(self) -> R:
        self._fitted_trace()
        assert self.record is not None, "what has a trace has a record"
        return self.record

    def _fitted_model(self) -> nn.Module:
        self._fitted_trace()
        assert self.model is not None, "what has a record has a model"
        return self.model


@dataclass(frozen=True, eq=False)
class Loaded(Generic[B, R]):
    """A backbone by name, or what a saved folder holds.

    Attributes:
        backbone: as loaded; adapters of the model are in it.
        base_name: where it comes from.
        model: as saved; None for a backbone by name, like all that follows.
        trace: the record of the fit.
        record: what the estimator needs of it.
        arrays: what was saved besides.
    """

    backbone: B
    base_name: str
    model: nn.Module | None = None
    trace: JsonObject | None = None
    record: R | None = None
    arrays: Mapping[str, np.ndarray] = field(default_factory=dict)


def load_on_backbone(
    name_or_folder: str | Path,
    task: str,
    record_class: type[R],
    base: str | Path | B | None,
    load: Callable[[str | Path], B],
    **lengths: int | None,
) -> Loaded[B, R]:
    """Load a backbone by name, or a model that was saved.

    Args:
        name_or_folder: of a backbone, or a folder from `save_model`.
        task: what a saved model must be for.
        record_class: what the estimator needs of the record.
        base: where the backbone of a saved model is now, or the backbone itself.
        load: loads a backbone by name or folder.
        lengths: what was asked for, by names of the record's fields; a saved model has its own.

    Raises:
        InputError: unknown or damaged model, another length than it was fitted for, or another backbone.
    """
    if not is_saved_model(name_or_folder):
        return Loaded(load(name_or_folder), str(name_or_folder))
    saved = read_saved_model(name_or_folder, task, record_class.from_json)
    for length, asked in lengths.items():
        if asked not in (None, kept := getattr(saved.content, length)):
            raise InputError(f"{saved.folder} was fine-tuned for {argument(length, kept)}. Leave it out.")
    name = saved.base_model.name
    again = saved.content.loader(load)
    model, backbone = load_parts(saved, lambda found: saved.content.build(name, found), base, again)
    return Loaded(backbone, name, model, saved.record, saved.content, saved_arrays(saved))
