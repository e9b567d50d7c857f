"""``keep="auto"``: models with ever fewer modules compete on validation data, and the best one is restored."""

import math
from collections.abc import Callable, Iterable, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
from safetensors import safe_open
from safetensors.torch import save_file
from torch import Tensor

from tracetune.base.errors import InputError
from tracetune.base.files import staged_file
from tracetune.base.step_files import StepFiles
from tracetune.selection.evidence import Evidence
from tracetune.selection.gates import Gates
from tracetune.selection.layers import adapter_parameters
from tracetune.selection.process_means import mean_over_processes
from tracetune.selection.rounds.round_record import RoundRecord
from tracetune.selection.validation import AnyBatch, LossFunction, mean_loss, sample_losses


class AutoKeep:
    """The competition of the models before each round.

    Args:
        gates: gates of the model in training.
        loss_fn: from model and batch to losses [B] of the samples, or to their mean.
        precision: makes a context with the precision of training.
        files: where best models are kept for a run that goes on; None keeps them in memory alone.
    """

    def __init__(
        self,
        gates: Gates,
        loss_fn: LossFunction,
        precision: Callable[[], AbstractContextManager[object]],
        files: StepFiles | None,
    ) -> None:
        self._gates = gates
        self._loss_fn = loss_fn
        self._precision = precision
        self._files = files
        self._best = BestModel()

    @property
    def best_step(self) -> int:
        """Return the step at which the best model so far was seen."""
        return self._best.step

    def go_on(self, records: Sequence[RoundRecord]) -> None:
        """Take up the best model of an interrupted run."""
        step = best_round(records)
        if self._files is not None and step is not None:
            self._best = BestModel.load(self._files.path(step))

    def offer(self, batches: Iterable[AnyBatch], step: int) -> float:
        """Keep the model as it is if its mean loss on ``batches``, always the same, is the lowest; return that loss."""
        with self._precision():
            loss = mean_loss(self._gates.model, batches, self._loss_fn)
        loss = float(mean_over_processes(np.array(loss)))
        better = self._best.offer(self._gates, loss, step)
        if better and self._files is not None and self._files.writable:
            self._best.save(self._files.new(step))
        return loss

    def restore(self) -> None:
        """Restore the best model."""
        self._best.restore(self._gates)

    def close_all_but(self, helpful: Sequence[str], batches: Iterable[AnyBatch]) -> None:
        """Close the other open modules, unless that is shown to raise the loss on ``batches``: by a standard error."""
        opened = self._gates.open_names
        before = self._losses(batches)
        self._gates.set_open(helpful)
        worse = self._losses(batches) - before
        error = worse.std(ddof=1) / np.sqrt(len(worse)) if len(worse) > 1 else 0.0
        mean, error = mean_over_processes(np.array([worse.mean(), error])).tolist()
        if mean > error:
            self._gates.set_open(opened)

    def keep_files(self, records: Sequence[RoundRecord], checkpoints: Sequence[int], running: bool) -> None:
        """Remove the files that no checkpoint of these steps needs, nor the run while it is ``running``."""
        if self._files is not None:
            needed = {best_round(records, until=step) for step in checkpoints}
            self._files.keep({step for step in (*needed, self._best.step if running else None) if step is not None})

    def _losses(self, batches: Iterable[AnyBatch]) -> np.ndarray:
        with self._precision():
            return sample_losses(self._gates.model, batches, self._loss_fn)


def shown_to_help(evidence: Evidence, opened: Sequence[str], significance: float) -> list[str]:
    """Return those of the open modules that were shown to help."""
    helpful = set(evidence.helpful(significance))
    return [name for name in opened if name in helpful]


@dataclass
class BestModel:
    """The trained weights with the lowest validation loss so far, kept in main memory.

    Attributes:
        loss: its validation loss.
        step: optimizer step at which it was seen.
        open: modules that were open.
        weights: trained parameters by name: adapters, and whatever else trains (PEFT's ``modules_to_save``).
    """

    loss: float = math.inf
    step: int = 0
    open: tuple[str, ...] = ()
    weights: dict[str, Tensor] = field(default_factory=dict)

    def offer(self, gates: Gates, loss: float, step: int) -> bool:
        """Take the model as it is, unless a lower loss was seen; at equal loss the later, smaller model wins."""
        if loss > self.loss:
            return False
        self.loss, self.step, self.open = loss, step, gates.open_names
        self.weights = {name: weight.detach().cpu().clone() for name, weight in _trained(gates).items()}
        return True

    def restore(self, gates: Gates) -> None:
        """Restore the weights that were taken."""
        trained = _trained(gates)
        for name, weight in self.weights.items():
            trained[name].data.copy_(weight)
        gates.set_open(self.open)

    def save(self, path: Path) -> None:
        """Write to a safetensors file, whole or not at all."""
        metadata = {"loss": self.loss.hex(), "step": str(self.step), "open": "\n".join(self.open)}
        with staged_file(path) as temporary:
            save_file(self.weights, temporary, metadata=metadata)

    @classmethod
    def load(cls, path: Path) -> "BestModel":
        """Read what `save` wrote.

        Raises:
            InputError: the file is missing.
        """
        if not path.is_file():
            raise InputError(
                f"Expected the best model so far in {path}; it is missing. It belongs to the checkpoints beside its "
                "folder: restore it with them, or start anew in another folder."
            )
        with safe_open(path, framework="pt") as file:
            metadata = file.metadata()
            weights = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118 - not a mapping
        opened = tuple(name for name in metadata["open"].split("\n") if name)
        return cls(float.fromhex(metadata["loss"]), int(metadata["step"]), opened, weights)


def best_round(records: Sequence[RoundRecord], until: int | None = None) -> int | None:
    """Return the step of the round before which validation loss was lowest, the latest of equals; None without a loss.

    Args:
        records: all rounds so far.
        until: the last step to look at.
    """
    losses = {
        record.step: record.validation_loss
        for record in records
        if record.validation_loss is not None and (until is None or record.step <= until)
    }
    return min(losses, key=lambda step: (losses[step], -step)) if losses else None


def _trained(gates: Gates) -> dict[str, Tensor]:
    adapters = {id(weight) for layer in gates.layers.values() for weight in adapter_parameters(layer).values()}
    named = gates.model.named_parameters()
    return {name: weight for name, weight in named if weight.requires_grad or id(weight) in adapters}
