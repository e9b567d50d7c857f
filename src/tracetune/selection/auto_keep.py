"""``keep="auto"``: models with ever fewer modules compete on validation data, and the best one is restored."""

from collections.abc import Callable, Iterable, Sequence
from contextlib import AbstractContextManager
from typing import Any

import numpy as np

from tracetune.base.step_files import StepFiles
from tracetune.selection.best_model import BestModel, best_round
from tracetune.selection.evidence import Evidence
from tracetune.selection.gates import Gates
from tracetune.selection.process_means import mean_over_processes
from tracetune.selection.round_record import RoundRecord
from tracetune.selection.validation import LossFunction, mean_loss, sample_losses


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
        precision: Callable[[], AbstractContextManager[Any]],
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

    def offer(self, batches: Iterable[object], step: int) -> float:
        """Let the model as it is compete; returns its mean loss on ``batches``, which are the same for all."""
        with self._precision():
            loss = mean_loss(self._gates.model, batches, self._loss_fn)
        loss = float(mean_over_processes(np.array(loss)))
        better = self._best.offer(self._gates, loss, step)
        if better and self._files is not None and self._files.writable:
            self._best.save(self._files.new(step))
        return loss

    def restore(self) -> None:
        """Bring the best model back."""
        self._best.restore(self._gates)

    def close_all_but(self, helpful: Sequence[str], batches: Iterable[object]) -> None:
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

    def _losses(self, batches: Iterable[object]) -> np.ndarray:
        with self._precision():
            return sample_losses(self._gates.model, batches, self._loss_fn)


def shown_to_help(evidence: Evidence, opened: Sequence[str], significance: float) -> list[str]:
    """Return those of the open modules that were shown to help."""
    helpful = set(evidence.helpful(significance))
    return [name for name in opened if name in helpful]
