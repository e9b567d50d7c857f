"""TRACE: LoRA on every layer; modules are scored during training, and only the important ones are kept."""

import math
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import ClassVar

from tracetune.adapters.linear_layers import LinearLayer
from tracetune.adapters.lora import LoraOptions, add_lora, lora_parameters
from tracetune.data.batch_source import batch_loader
from tracetune.fitting.methods.method import Adapted, register_method
from tracetune.fitting.trained import MethodReport
from tracetune.selection.config import SelectionConfig
from tracetune.tasks.task import TaskModel, TrainingData
from tracetune.training.config import TrainingConfig
from tracetune.training.trace_callback import TraceCallback


@register_method
@dataclass(frozen=True)
class Trace:
    """Gated LoRA selection (Li & Zhu, arXiv 2503.16991).

    >>> from tracetune import FitConfig
    >>> FitConfig(method=Trace(SelectionConfig(keep=12))).method.selection.keep  # modules
    12

    Attributes:
        selection: which modules to keep, and how to find them.
        lora: rank, scale and layers of the modules.
    """

    selection: SelectionConfig = field(default_factory=SelectionConfig)
    lora: LoraOptions = field(default_factory=LoraOptions)
    name: ClassVar[str] = "trace"
    adapts_backbone: ClassVar[bool] = True

    @property
    def scalable(self) -> bool:
        """Return whether there are no magnitudes, which a factor does not reach."""
        return not self.lora.use_dora

    def check(self, layers: Mapping[str, LinearLayer], steps: int) -> None:
        """Refuse patterns that fit no layer, a budget that fits no module, and rounds beyond the run."""
        self.selection.check(steps, lora_parameters(layers, self.lora))

    def adapt(self, model: TaskModel, data: TrainingData, training: TrainingConfig) -> Adapted:
        """Add LoRA, and the callback that scores it on validation samples; models above the budget do not compete."""
        selection = _batches_within(self.selection, training.most_windows(model.tokens_per_sample))
        adapted = add_lora(model, self.lora)
        last_round = selection.last_round(training.total_steps(len(data.train)))
        loader = batch_loader(data.validation, selection.batch_size)
        callback = TraceCallback(selection, loader)
        return Adapted(adapted, (callback,), last_round, closes_modules=True, report=lambda: _report(callback))


def _batches_within(selection: SelectionConfig, most: int | None) -> SelectionConfig:
    """Return the selection with batches of at most ``most`` samples, and accordingly more of them."""
    if most is None or most >= selection.batch_size:
        return selection
    batches = selection.scoring_batches
    if batches is not None:
        batches = math.ceil(batches * selection.batch_size / most)
    return replace(selection, batch_size=most, scoring_batches=batches)


def _report(callback: TraceCallback) -> MethodReport:
    selection = callback.report()
    return MethodReport({"selection": selection}, {"selection": selection["scoring_seconds"]})
